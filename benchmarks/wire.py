"""What a client of PostgreSQL sends, read off the wire: the SQL and the parameters of each statement.

So the floor runs what this library runs, however the library makes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from psycopg.adapt import Transformer
from psycopg.pq import Format

__all__ = ["Recorder", "Statement", "Trip"]

_ENCRYPTION_REQUESTS = (80877103, 80877104)
_PARSE, _BIND, _EXECUTE, _SYNC, _QUERY = b"P", b"B", b"E", b"S", b"Q"


@dataclass(frozen=True)
class Statement:
    """One statement: SQL with `$1`, and the values."""

    sql: str
    values: tuple[Any, ...]


Trip = list[Statement]
"""Statements that are sent together, as one transaction."""


@dataclass
class Recorder:
    """Collects the statements of all connections that it listens to."""

    _trips: list[Trip] = field(default_factory=list)

    def take(self) -> list[Trip]:
        """Return what was sent since the last call."""
        taken, self._trips = self._trips, []
        return taken

    def listen(self) -> _Listener:
        """Return what reads one client's bytes."""
        return _Listener(self)

    def add(self, trip: Trip) -> None:
        """Take note of statements sent together."""
        self._trips.append(trip)


class _Listener:
    """Reads the messages of one client."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._buffer = b""
        self._started = False
        self._parsed: dict[bytes, tuple[str, list[int]]] = {}
        self._bound = Statement("", ())
        self._trip: Trip = []

    def __call__(self, data: bytes) -> None:
        """Read more bytes."""
        self._buffer += data
        for kind, body in self._messages():
            self._read(kind, body)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._started else 0
            if len(self._buffer) < head + 4:
                return
            end = head + struct.unpack_from("!I", self._buffer, head)[0]
            if len(self._buffer) < end:
                return
            kind, body = self._buffer[:head], self._buffer[head + 4 : end]
            self._buffer = self._buffer[end:]
            if self._started:
                yield kind, body
            elif struct.unpack_from("!I", body)[0] not in _ENCRYPTION_REQUESTS:
                self._started = True

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == _PARSE:
            self._parse(body)
        elif kind == _BIND:
            self._bind(body)
        elif kind == _EXECUTE:
            self._trip.append(self._bound)
        elif kind == _QUERY:
            self._recorder.add([Statement(body[:-1].decode(), ())])
        elif kind == _SYNC and self._trip:
            self._recorder.add(self._trip)
            self._trip = []

    def _parse(self, body: bytes) -> None:
        name, sql, rest = body.split(b"\0", 2)
        count = struct.unpack_from("!H", rest)[0]
        self._parsed[name] = sql.decode(), list(struct.unpack_from(f"!{count}I", rest, 2))

    def _bind(self, body: bytes) -> None:
        _portal, name, rest = body.split(b"\0", 2)
        sql, types = self._parsed[name]
        formats, at = _shorts(rest, 0)
        count = struct.unpack_from("!H", rest, at)[0]
        at += 2
        values = []
        for number in range(count):
            size = struct.unpack_from("!i", rest, at)[0]
            at += 4
            data = None if size < 0 else rest[at : at + size]
            at += max(0, size)
            binary = bool(formats) and formats[min(number, len(formats) - 1)] == 1
            values.append(_loaded(data, types[number] if number < len(types) else 0, binary))
        self._bound = Statement(sql, tuple(values))


def _shorts(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count = struct.unpack_from("!H", data, at)[0]
    return struct.unpack_from(f"!{count}H", data, at + 2), at + 2 + 2 * count


def _loaded(data: bytes | None, oid: int, binary: bool) -> Any:
    """Return a parameter as a value that psycopg sends alike."""
    if data is None:
        return None
    if binary and oid:
        return Transformer().get_loader(oid, Format.BINARY).load(data)
    return data.decode()
