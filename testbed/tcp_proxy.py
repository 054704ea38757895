"""A proxy in front of a database server, to count what is sent and to inject faults."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from testbed.threads import HelperServer

_CHUNK = 65536

Forward = Callable[[], None]
Spoiler = Callable[[Forward], bool]
"""Is called with what forwards a message of a client; hangs up on client and server if it returns False."""


class TcpProxy(HelperServer, socketserver.TCPServer):
    """Forwards the connections to one server.

    Attributes:
        silent: whether what clients send is kept instead.
        mute: whether what the server answers is kept instead.
        spoiler: what to do with each message of a client; None forwards it.
        losses: how many of the server's next answers are dropped, each with its connection.
        accepted: how many connections of clients came about.
        flights: how often the server answered what a client had sent since the answer before.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.target = (host, port)
        self.silent = False
        self.mute = False
        self.spoiler: Spoiler | None = None
        self.losses = 0
        self.accepted = 0
        self.flights = 0
        self._open: set[socket.socket] = set()
        self.start()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1 that clients connect to."""
        port: int = self.server_address[1]
        return port

    @property
    def connections(self) -> int:
        """How many clients are connected to the server."""
        return len(self._open) // 2

    def hang_up(self) -> None:
        """Close the connections that are open."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def opened(self, *connections: socket.socket) -> None:
        """Take note of connections that are open."""
        self.accepted += 1
        self._open.update(connections)

    def closed(self, *connections: socket.socket) -> None:
        """Take note that connections are closed."""
        self._open.difference_update(connections)


class _Relay(socketserver.BaseRequestHandler):
    server: TcpProxy
    request: socket.socket

    def handle(self) -> None:
        self.asked = False
        try:
            self.upstream = socket.create_connection(self.server.target)
        except OSError:
            return
        for end in (self.request, self.upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.opened(self.request, self.upstream)
        answers = self.server.threads.start(self._relay_answers)
        self._relay_requests()
        answers.join()
        self.server.closed(self.request, self.upstream)
        self.upstream.close()

    def _relay_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(_CHUNK):
                self.asked = True
                if not self._goes_on(partial(self.upstream.sendall, data)):
                    break
        self._close()

    def _goes_on(self, forward: Forward) -> bool:
        """Forward a message, as far as that is wanted; tell whether the connection stays open."""
        if self.server.spoiler is not None:
            return self.server.spoiler(forward)
        if not self.server.silent:
            forward()
        return True

    def _relay_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.upstream.recv(_CHUNK):
                # Not when it is asked: psycopg ends a pipeline with a message that has no answer.
                # And not when an answer overtakes what the client has already sent on: then it did not wait.
                if self.asked and not select.select([self.request], [], [], 0)[0]:
                    self.server.flights += 1
                    self.asked = False
                if self.server.losses > 0:
                    self.server.losses -= 1
                    break
                if not self.server.mute:
                    self.request.sendall(data)
        self._close()

    def _close(self) -> None:
        for end in (self.request, self.upstream):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """Yield a proxy for the server at `host` and `port`."""
    proxy = TcpProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.stop()
