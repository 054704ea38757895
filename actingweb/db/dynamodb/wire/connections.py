"""HTTP/1.1 over kept connections: at most so many, none left half-read, every phase within its time.

`http.client` reads the answers.
"""

import io
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple, cast
from weakref import WeakSet, finalize

from actingweb.db.dynamodb.wire.failures import (
    ConnectionLostError,
    ConnectTimeoutError,
    GarbledAnswerError,
    NameNotFoundError,
    NoAnswerError,
    NotConnectedError,
    ProxyError,
    ProxyRefusedError,
    RefusedError,
    TlsError,
    WireError,
)
from actingweb.db.dynamodb.wire.messages import Answer
from actingweb.db.events import connection_closed, connection_opened, connection_waited, pool_timed_out
from actingweb.db.observe import Server

__all__ = ["BACKEND", "Connections", "Limits", "Proxy", "Route", "open_connections"]

BACKEND = "dynamodb"

_IDLE_SECONDS = 120.0
"""A network may forget a connection that was idle for longer, without a word to either end."""
_PROXY_REFUSES = 407
_ANSWER_BYTES = 256 * 1024 * 1024
"""Much more than DynamoDB's 16 MB, however they are escaped."""


class Proxy(NamedTuple):
    """A forward proxy; `authorization` is the header that it wants."""

    hostname: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.hostname!r}, {self.port})"


class Route(NamedTuple):
    """How a server is reached.

    Attributes:
        hostname: its name or address, without brackets.
        tls: None means without TLS.
        proxy: between both. To a server without TLS it forwards, to one with TLS it opens a tunnel.
        keepalive: whether the system asks now and then if the server is still there.
    """

    hostname: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    keepalive: bool = False


class Limits(NamedTuple):
    """Seconds for a connection to come about, all included, and for the answer to come from then on."""

    connect: float
    answer: float


class Connections:
    """Connections to one server. Thread-safe; a child process makes its own."""

    def __init__(self, route: Route, size: int) -> None:
        self.route = route
        self._size = size
        self.forget()
        with _lock:
            _all.add(self)

    def exchange(self, request: bytes, limits: Limits) -> Answer:
        """Send a request and return its answer. Raise `WireError`."""
        deadline = time.monotonic() + limits.connect
        free = self._free
        if not free.acquire(blocking=False):
            self._wait(free, limits.connect)
        try:
            connection = self._take(deadline)
            try:
                answer = connection.exchange(request, time.monotonic() + limits.answer)
            except BaseException:
                self._close(connection)
                raise
            if connection.is_reusable:
                self._idle.append(connection)
            else:
                self._close(connection)
            return answer
        finally:
            free.release()

    def _wait(self, free: threading.Semaphore, seconds: float) -> None:
        """Wait until another request may be sent. Raise `ConnectTimeoutError`."""
        began = time.monotonic()
        with self._lock:
            self._waiting += 1
        try:
            if not free.acquire(timeout=seconds):
                pool_timed_out(BACKEND)
                raise ConnectTimeoutError
        finally:
            with self._lock:
                self._waiting -= 1
        connection_waited(BACKEND, time.monotonic() - began)

    def _take(self, deadline: float) -> "_Connection":
        while self._idle:
            try:
                # The one that was used last, so that those too many grow old.
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_alive():
                return connection
            self._close(connection)
        connection = _Connection(self.route, _connect(self.route, deadline), deadline)
        self._open.add(connection)
        return connection

    def counts(self) -> tuple[int, int, int, int]:
        """Return how many connections are open, how many are idle, how many calls wait, and how many may be open."""
        return len(self._open), len(self._idle), self._waiting, self._size

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._close(self._idle.pop())

    def _close(self, connection: "_Connection") -> None:
        connection.close()
        # Not left to the weak reference: the traceback of a failed request keeps its connection.
        self._open.discard(connection)

    def forget(self) -> None:
        """Leave all connections to the process that made them."""
        self._idle: list[_Connection] = []
        self._open: WeakSet[_Connection] = WeakSet()
        self._free = threading.Semaphore(self._size)
        self._waiting = 0
        self._lock = threading.Lock()


class _Connection:
    """A connection, for one thread at a time.

    Attributes:
        is_reusable: whether the last answer was read to its end and the server keeps the connection.
    """

    def __init__(self, route: Route, link: socket.socket, deadline: float) -> None:
        self._deadline = deadline
        self._socket = self._hold(link)
        self.is_reusable = False
        self._used = 0.0
        self._server: Server | None = None
        try:
            if route.tls is not None:
                self._secure(route, route.tls)
        except BaseException:
            self.close()
            raise
        self._server = Server(BACKEND, route.hostname, route.port)
        connection_opened(self._server)

    def exchange(self, request: bytes, deadline: float) -> Answer:
        """Send a request and return its answer. Raise `WireError`."""
        self._deadline = deadline
        self.is_reusable = False
        try:
            self._send(request)
            response = HTTPResponse(cast(socket.socket, self), method="POST")
            response.begin()
            if (response.length or 0) > _ANSWER_BYTES:
                raise GarbledAnswerError
            body = response.read()
        except TimeoutError:
            raise NoAnswerError from None
        except (OSError, HTTPException):
            raise ConnectionLostError from None
        if response.status == _PROXY_REFUSES:
            raise ProxyRefusedError(f"the proxy answers with status {response.status}")
        self.is_reusable = not response.will_close
        self._used = time.monotonic()
        return Answer(response.status, cast(Mapping[str, str], response.headers), body)

    def is_alive(self) -> bool:
        """Tell whether the server keeps the connection, as far as it has said; it says nothing else unasked."""
        if time.monotonic() - self._used > _IDLE_SECONDS:
            return False
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the connection, which is also done when it is dropped."""
        self._finalizer()
        server, self._server = self._server, None
        if server is not None:
            connection_closed(server)

    def _hold(self, link: socket.socket) -> socket.socket:
        # Not by `__del__`: the socket, collected together with this, would complain first that it was left open.
        self._finalizer = finalize(self, link.close)
        return link

    def makefile(self, _: str) -> io.BufferedReader:
        """Return a stream of what comes: all that the reader of an answer asks of a socket."""
        return io.BufferedReader(_Incoming(self))

    def receive(self, buffer: memoryview) -> int:
        """Read into a buffer within what is left of the time."""
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(_left(self._deadline))
            rest = rest[self._socket.send(rest) :]

    def _secure(self, route: Route, tls: ssl.SSLContext) -> None:
        """Speak TLS from now on, with the server itself. Raise `WireError`."""
        if route.proxy is not None:
            self._open_tunnel(route, route.proxy)
        try:
            self._socket.settimeout(_left(self._deadline))
            link = tls.wrap_socket(self._socket, server_hostname=route.hostname, do_handshake_on_connect=False)
            self._finalizer.detach()
            self._socket = self._hold(link)
            link.do_handshake()
        except TimeoutError:
            raise ConnectTimeoutError from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise NotConnectedError from None
        except (ssl.SSLError, ValueError):
            raise TlsError from None
        except OSError:
            raise NotConnectedError from None

    def _open_tunnel(self, route: Route, proxy: Proxy) -> None:
        host = f"[{route.hostname}]" if ":" in route.hostname else route.hostname
        place = f"{host}:{route.port}"
        credentials = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        try:
            self._send(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{credentials}\r\n".encode("latin-1"))
            response = HTTPResponse(cast(socket.socket, self), method="CONNECT")
            response.begin()
            response.close()
        except TimeoutError:
            raise ConnectTimeoutError from None
        except (OSError, HTTPException):
            raise ProxyError("the proxy hung up") from None
        if response.status != 200:
            failure = ProxyError if response.status >= 500 else ProxyRefusedError
            raise failure(f"the proxy opens no tunnel: it answers with status {response.status}")


class _Incoming(io.RawIOBase):
    """What comes over a connection, for one answer."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._connection.receive(buffer)


def _left(deadline: float) -> float:
    """Return the seconds until a deadline. Raise `TimeoutError`."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connect(route: Route, deadline: float) -> socket.socket:
    """Return a socket that is connected to the server or its proxy. Raise `WireError`."""
    hostname, port = (route.hostname, route.port) if route.proxy is None else route.proxy[:2]
    failure: WireError = NotConnectedError()
    try:
        places = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
        for tried, (family, kind, protocol, _, address) in enumerate(places):
            link = socket.socket(family, kind, protocol)
            try:
                # An address that is silent leaves time for the others.
                link.settimeout(_left(deadline) / (len(places) - tried))
                link.connect(address)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(route.keepalive))
                return link
            except TimeoutError:
                failure = ConnectTimeoutError()
                link.close()
            except ConnectionRefusedError:
                failure = RefusedError()
                link.close()
            except OSError:
                link.close()
            except BaseException:
                link.close()
                raise
    except (socket.gaierror, UnicodeError):
        failure = NameNotFoundError()
    except OSError:
        pass
    if route.proxy is not None:
        failure = ProxyError("the proxy cannot be reached")
    raise failure


_all: WeakSet[Connections] = WeakSet()
# Reentrant, since a signal handler may ask for `stats()` anywhere.
_lock = threading.RLock()


def _known() -> list[Connections]:
    with _lock:
        return list(_all)


def open_connections() -> tuple[int, int, int, int]:
    """Return the sum of `Connections.counts` in this process."""
    counts = [connections.counts() for connections in _known()]
    size, idle, waiting, most = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0, 0)
    return size, idle, waiting, most


def _after_fork() -> None:
    # Another thread of the parent may have held it.
    global _lock
    _lock = threading.RLock()
    for connections in _known():
        connections.forget()


os.register_at_fork(after_in_child=_after_fork)
