"""The base of relays in front of a database server: the port, the address of the server, and the open sockets."""

from __future__ import annotations

import contextlib
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.threads import HelperServer


class Relay(HelperServer, socketserver.TCPServer):
    """Accepts connections on a free port of 127.0.0.1 and hands each of them to `handler`.

    Attributes:
        target: host and port of the server behind the relay.
        accepted: how many client connections were relayed to the server.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.target = (host, port)
        self.accepted = 0
        self._open: set[socket.socket] = set()

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
        close_sockets(*self._open)

    @contextmanager
    def connected(self, client: socket.socket) -> Iterator[socket.socket]:
        """Yield a connection to the server for this client. Raise `OSError` if there is none."""
        with socket.create_connection(self.target) as upstream:
            for end in (client, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            self._open.update((client, upstream))
            try:
                yield upstream
            finally:
                self._open.difference_update((client, upstream))


def close_sockets(*ends: socket.socket) -> None:
    """Shut down these sockets, which wakes threads that wait for them."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
