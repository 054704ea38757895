"""The status of a live migration over HTTP: a page for people, metrics for Prometheus, an answer for a probe."""

import hashlib
import json
import logging
import re
import socket
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from socketserver import ThreadingTCPServer
from threading import Lock, Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit

from actingweb.migration.errors import MigrationError, TargetError, UsageError
from actingweb.migration.live.history import read_history
from actingweb.migration.live.state import State
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["Monitor", "address_of", "serving"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_HOST = "127.0.0.1"
_REQUEST_SECONDS = 5.0
_POLL_SECONDS = 0.1
_PAGE = "status.html"
_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data:; style-src {style}; script-src {script}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ENDED = "the status is no longer read"
_NO_METRICS = "metrics need the package prometheus-client: pip install 'actingweb-db[metrics]'"


class Monitor:
    """Reads the state for any number of threads over one connection, which is replaced after an error.

    Its methods raise `StateError` if there is no migration, and `TargetError`.
    """

    def __init__(self, state: State) -> None:
        """Connect at the first call."""
        self._state = state
        self._connection: Connection | None = None
        self._closed = False
        self._lock = Lock()

    def status(self) -> Status:
        """Return the status."""
        return self._read(partial(read_status, self._state))

    def facts(self) -> dict[str, Any]:
        """Return the status and the history, in the types of JSON but for dates."""
        return self._read(self._facts)

    def close(self) -> None:
        """Close the connection; a request that is still being answered opens no other."""
        with self._lock:
            self._closed = True
            self._drop()

    def _facts(self, connection: Connection) -> dict[str, Any]:
        return read_status(self._state, connection).asdict() | asdict(read_history(self._state, connection))

    def _read(self, read: Callable[[Connection], T]) -> T:
        with self._lock:
            if self._closed:
                raise UsageError(_ENDED)
            try:
                with target_errors():
                    self._connection = self._connection or self._state.connect()
                    return read(self._connection)
            except TargetError:
                self._drop()
                raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def address_of(text: str) -> tuple[str, int]:
    """Return the host and the port of `:9187`, `0.0.0.0:9187` or `[::1]:9187`. Raise `UsageError`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if port is None or parts.netloc != text or "@" in text:
        raise UsageError(f"an address to listen on is [HOST]:PORT, such as :9187, not {text}")
    return host or _HOST, port


@contextmanager
def serving(monitor: Monitor, host: str, port: int) -> Iterator[str]:
    """Answer requests in threads of their own during the `with` block; yield the URL.

    Port 0 stands for a free one. Raise `UsageError` if the address cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        server = _Server(monitor, family, address)
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with closing(monitor), server:
        thread = Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="status", daemon=True)
        thread.start()
        try:
            name = f"[{host}]" if ":" in host else host
            yield f"http://{name}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class _Answer:
    content_type: str
    body: bytes
    status: HTTPStatus = HTTPStatus.OK


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    # A client that says nothing does not keep the process from ending.
    daemon_threads = True

    def __init__(self, monitor: Monitor, family: int, address: Any) -> None:
        self.address_family = family
        self._monitor = monitor
        page = resources.files(__package__).joinpath(_PAGE).read_bytes()
        self._page = _Answer("text/html; charset=utf-8", page)
        self.policy = _policy(page.decode())
        self.routes: dict[str, Callable[[], _Answer]] = {
            "/": lambda: self._page,
            "/status.json": self._status,
            "/metrics": self._metrics,
            "/healthz": self._health,
        }
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - of the base class
        """Log what is not just a client that has gone, without its text, which may quote what was read."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _LOG.error("%s while a request was answered", type(error).__name__)

    def _status(self) -> _Answer:
        try:
            facts, status = self._monitor.facts(), HTTPStatus.OK
        except MigrationError as error:
            facts, status = {"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE
        return _Answer("application/json", json.dumps(facts, default=datetime.isoformat).encode(), status)

    def _metrics(self) -> _Answer:
        try:
            from actingweb.migration.cli.metrics import CONTENT_TYPE_LATEST, exposition
        except ModuleNotFoundError:
            return _text(_NO_METRICS, HTTPStatus.NOT_IMPLEMENTED)
        return _Answer(CONTENT_TYPE_LATEST, exposition(self._monitor.status))

    def _health(self) -> _Answer:
        try:
            problem = self._monitor.status().stalled
        except MigrationError as error:
            problem = str(error)
        return _text(problem, HTTPStatus.SERVICE_UNAVAILABLE) if problem else _text("ok", HTTPStatus.OK)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answer."""
        try:
            route = self.server.routes.get(urlsplit(self.path).path)
        except ValueError:
            # As of "//[".
            route = None
        self._send(route() if route else _text("there is no such page", HTTPStatus.NOT_FOUND))

    def refuse(self) -> None:
        """Refuse what is not a GET."""
        self._send(_text("only GET is allowed", HTTPStatus.METHOD_NOT_ALLOWED), Allow="GET")

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = refuse  # noqa: N815 - names of the base class

    def end_headers(self) -> None:
        """Add what every answer has, errors too."""
        for name, value in {**_HEADERS, "Content-Security-Policy": self.server.policy}.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Return the name of the server, without versions."""
        return "actingweb-db"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Log nothing."""

    def _send(self, answer: _Answer, **headers: str) -> None:
        self.send_response(answer.status)
        for name, value in {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _text(line: str, status: HTTPStatus) -> _Answer:
    return _Answer("text/plain; charset=utf-8", f"{line}\n".encode(), status)


def _policy(page: str) -> str:
    """Return the content security policy that allows the page its own style and script, and nothing else."""
    hashes = {kind: b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in _INLINE.findall(page)}
    return _POLICY.format(**{kind: f"'sha256-{value}'" for kind, value in hashes.items()})
