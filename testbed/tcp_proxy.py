"""A proxy in front of a database server that counts round trips and injects faults."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from testbed.relay import Relay, close_sockets

_CHUNK = 65536

Forward = Callable[[], None]
Spoiler = Callable[[Forward], bool]
"""Called with a function that forwards a client's message; returns False to close both connections."""


class TcpProxy(Relay):
    """Forwards the connections to one server.

    Attributes:
        silent: whether messages of clients are discarded.
        mute: whether answers of the server are discarded.
        spoiler: called for each message of a client; None forwards every message.
        delay: seconds by which each direction is delayed, as by a network.
        losses: how many of the server's next answers are lost, each with its connection.
        flights: the number of round trips: how often the server answered after a client had sent something.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port, _Connection)
        self.silent = False
        self.mute = False
        self.spoiler: Spoiler | None = None
        self.delay = 0.0
        self.losses = 0
        self.flights = 0
        self.start()


class _Connection(socketserver.BaseRequestHandler):
    server: TcpProxy
    request: socket.socket

    def handle(self) -> None:
        self.asked = False
        with self.server.connected(self.request) as self.upstream:
            answers = self.server.threads.start(self._relay_answers)
            self._relay_requests()
            answers.join()

    def _relay_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._received(self.request):
                self.asked = True
                if not self._pass_on(partial(self.upstream.sendall, data)):
                    break
        close_sockets(self.request, self.upstream)

    def _received(self, source: socket.socket) -> bytes:
        """Return the received bytes after the delay, with those that arrived during it."""
        data = source.recv(_CHUNK)
        if self.server.delay and data:
            time.sleep(self.server.delay)
            while select.select([source], [], [], 0)[0] and (more := source.recv(_CHUNK)):
                data += more
        return data

    def _pass_on(self, forward: Forward) -> bool:
        """Forward a message unless a fault prevents it; return whether the connection stays open."""
        if self.server.spoiler is not None:
            return self.server.spoiler(forward)
        if not self.server.silent:
            forward()
        return True

    def _relay_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._received(self.upstream):
                # Count answers, not requests: psycopg ends a pipeline with a message that has no answer.
                # Do not count an answer if the client has already sent more: it did not wait for the answer.
                if self.asked and not select.select([self.request], [], [], 0)[0]:
                    self.server.flights += 1
                    self.asked = False
                if self.server.losses > 0:
                    self.server.losses -= 1
                    break
                if not self.server.mute:
                    self.request.sendall(data)
        close_sockets(self.request, self.upstream)


@contextmanager
def tcp_proxy(host: str, port: int) -> Iterator[TcpProxy]:
    """Yield a proxy for the server at `host` and `port`."""
    proxy = TcpProxy(host, port)
    try:
        yield proxy
    finally:
        proxy.stop()
