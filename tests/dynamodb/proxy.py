"""A proxy in front of DynamoDB that counts requests and spoils some of them."""

from __future__ import annotations

import http.client
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, Any] | bytes]
Send = Callable[[], Answer]
Spoiler = Callable[[Send], Answer | None]


def lost(send: Send) -> None:
    """Let the server execute the request, and close the connection in place of its answer."""
    send()


def dropped(_: Send) -> None:
    """Close the connection in place of executing the request."""


def failing(code: str, status: int = 400, message: str = "injected", **more: Any) -> Spoiler:
    """Answer with an error in place of executing the request."""
    return lambda _: (status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more})


def failing_late(code: str, status: int) -> Spoiler:
    """Let the server execute the request, and answer with an error."""

    def spoil(send: Send) -> Answer:
        send()
        return failing(code, status)(send) or (status, {})

    return spoil


def answering(answer: dict[str, Any]) -> Spoiler:
    """Answer so in place of executing the request."""
    return lambda _: (200, answer)


def raw(body: bytes) -> Spoiler:
    """Answer with a success whose body is this."""
    return lambda _: (200, body)


@dataclass
class Seen:
    """A request that came: its operation and its body."""

    operation: str
    body: dict[str, Any]


class SpoilingProxy(ThreadingHTTPServer):
    """Forwards requests to a server.

    Attributes:
        seen: the requests that came, in order.
        spoilers: what to do with the next requests; None forwards one.
        always: what to do with each request when `spoilers` is empty.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(url).netloc
        self.seen: list[Seen] = []
        self.spoilers: deque[Spoiler | None] = deque()
        self.always: Spoiler | None = None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def operations(self, call: Callable[[], object]) -> list[str]:
        """Return the operations that a call requests."""
        before = len(self.seen)
        call()
        return [request.operation for request in self.seen[before:]]

    def stop(self) -> None:
        """Refuse new connections."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: SpoilingProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        self.server.seen.append(Seen(operation, json.loads(body)))
        spoiler = self.server.spoilers.popleft() if self.server.spoilers else self.server.always
        answer = self._forwarded(body) if spoiler is None else spoiler(lambda: self._forwarded(body))
        if answer is None:
            self.close_connection = True
        else:
            self._answer(*answer)

    def _forwarded(self, body: bytes) -> Answer:
        upstream = http.client.HTTPConnection(self.server.target)
        try:
            upstream.request("POST", self.path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            upstream.close()

    def _answer(self, status: int, answer: dict[str, Any] | bytes) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


@contextmanager
def spoiling_proxy(url: str) -> Iterator[SpoilingProxy]:
    """Yield a proxy for the server at `url`."""
    proxy = SpoilingProxy(url)
    try:
        yield proxy
    finally:
        proxy.stop()
