"""A relay that makes a server commit each statement of a pipeline by itself, as a distributed server does."""

from __future__ import annotations

import contextlib
import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

from testbed.relay import Relay

_SYNC = b"S\x00\x00\x00\x04"
_ENCRYPTION_REQUESTS = (80877103, 80877104)
# Requests of a log-in that the client answers: a password, and the two steps of SCRAM.
_QUESTIONS = (3, 5, 10, 11)
_ENDED = b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection\x00\x00"


class AutocommitRelay(Relay):
    """Relays connections to one server and adds a Sync after each Execute. COPY is not supported.

    Attributes:
        ends_after_commit: whether a connection is closed with error 57P01 after the answer to a COMMIT.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port, _Connection)
        self.ends_after_commit = False
        self.start()


class _Connection(socketserver.BaseRequestHandler):
    server: AutocommitRelay
    request: socket.socket

    def handle(self) -> None:
        with (
            contextlib.suppress(OSError, EOFError),
            self.server.connected(self.request) as self.upstream,
            self.request.makefile("rb") as self.asked,
            self.upstream.makefile("rb") as self.answered,
        ):
            self._log_in()
            self._serve()

    def _log_in(self) -> None:
        start = _untyped(self.asked)
        while int.from_bytes(start[4:8]) in _ENCRYPTION_REQUESTS:
            self.request.sendall(b"N")
            start = _untyped(self.asked)
        self.upstream.sendall(start)
        kind = b""
        while kind != b"Z":
            kind, message = _typed(self.answered)
            self.request.sendall(message)
            if kind == b"R" and int.from_bytes(message[5:9]) in _QUESTIONS:
                self.upstream.sendall(_typed(self.asked)[1])

    def _serve(self) -> None:
        waiting, failed = b"", False
        while True:
            kind, message = _typed(self.asked)
            if kind == b"X":
                return
            if kind in b"QS":
                self._ask(waiting + message, hidden=b"")
                waiting, failed = b"", False
            elif failed:
                # Skip messages until the client's Sync, as the server itself does.
                continue
            elif kind == b"E":
                failed = self._ask(waiting + message + _SYNC, hidden=b"Z")
                waiting = b""
            else:
                waiting += message

    def _ask(self, messages: bytes, hidden: bytes) -> bool:
        """Send messages and forward the answers, except those of type `hidden`; return whether one was an error."""
        self.upstream.sendall(messages)
        kind, answers, failed, committed = b"", [], False, False
        while kind != b"Z":
            kind, message = _typed(self.answered)
            failed = failed or kind == b"E"
            committed = committed or (kind == b"C" and message[5:] == b"COMMIT\x00")
            if kind != hidden:
                answers.append(message)
        if committed and self.server.ends_after_commit:
            answers.append(b"E" + (len(_ENDED) + 4).to_bytes(4) + _ENDED)
        self.request.sendall(b"".join(answers))
        if committed and self.server.ends_after_commit:
            raise EOFError
        return failed


def _untyped(stream: BufferedReader) -> bytes:
    """Return the next message. Messages before the log-in have no type."""
    size = _exactly(stream, 4)
    return size + _exactly(stream, int.from_bytes(size) - 4)


def _typed(stream: BufferedReader) -> tuple[bytes, bytes]:
    """Return the type of the next message, and the message."""
    head = _exactly(stream, 5)
    return head[:1], head + _exactly(stream, int.from_bytes(head[1:]) - 4)


def _exactly(stream: BufferedReader, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


@contextmanager
def autocommit_relay(host: str, port: int) -> Iterator[AutocommitRelay]:
    """Yield a relay to the server at `host` and `port`."""
    relay = AutocommitRelay(host, port)
    try:
        yield relay
    finally:
        relay.stop()
