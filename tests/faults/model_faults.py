"""Faults that befall one call of the model test, injected by a proxy in front of either database."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from actingweb.db.postgresql.connection import get_pool
from testbed.dynamodb_proxy import Answer, Send, SpoilingProxy, late
from testbed.tcp_proxy import Forward, TcpProxy
from tests.support import PATIENCE, wait_until

from .dynamodb_faults import KINDS, leaving

__all__ = ["APPLICATION", "DynamoDBFaults", "Fault", "Faults", "PostgresFaults"]

APPLICATION = "model under faults"
"""The application name of the sessions that faults of PostgreSQL are about."""

_SESSIONS: LiteralString = "FROM pg_stat_activity WHERE application_name = %s"


@dataclass(frozen=True)
class Fault:
    """What goes wrong during one call.

    Attributes:
        kind: a name that the database's faults know.
        after: how many of the call's requests go well before.
        times: how many of its requests it befalls.
    """

    kind: str
    after: int
    times: int


class Faults(ABC):
    """The faults of one database.

    Attributes:
        happened: how often each kind befell a request.
    """

    def __init__(self) -> None:
        self.happened: Counter[str] = Counter()
        self._fault: Fault | None = None
        self._seen = 0
        self._busy = 0
        self._changed = threading.Condition()

    @property
    @abstractmethod
    def kinds(self) -> list[str]:
        """The names of the kinds."""

    @contextmanager
    def befalling(self, fault: Fault) -> Iterator[None]:
        """Let the fault befall the requests of the block, which is one call."""
        self._seen, self._fault = 0, fault
        try:
            yield
        finally:
            self._fault = None
            self._relieve()

    def settle(self) -> None:
        """Wait until nothing that was sent before can take effect any more."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._busy == 0, PATIENCE), "a request does not end"

    @abstractmethod
    def _relieve(self) -> None:
        """Take care that the next call meets no fault."""

    @contextmanager
    def _request(self) -> Iterator[str | None]:
        """Yield what befalls a request, during which the block lasts."""
        with self._changed:
            self._busy += 1
            kind = self._kind_of_next()
        try:
            yield kind
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _kind_of_next(self) -> str | None:
        fault = self._fault
        if fault is None:
            return None
        self._seen += 1
        if not 0 < self._seen - fault.after <= fault.times:
            return None
        self.happened[fault.kind] += 1
        return fault.kind


class PostgresFaults(Faults):
    """Faults of a PostgreSQL, whose sessions have the name of `APPLICATION`."""

    def __init__(self, proxy: TcpProxy, connection: psycopg.Connection[Any]) -> None:
        super().__init__()
        self._proxy = proxy
        self._connection = connection
        self._ended: list[int] = []
        self._ways: Mapping[str, Callable[[Forward], bool]] = {
            "connection cut before the request": lambda _: False,
            "connection cut after the request": self._cut_late,
            "answer lost": self._lose_answer,
            "session ended before the request": self._end_session,
            "session ended after the request": self._end_session_late,
            "statement cancelled": self._cancel,
        }
        proxy.spoiler = self._spoil

    @property
    def kinds(self) -> list[str]:
        return list(self._ways)

    def settle(self) -> None:
        super().settle()
        # A session that lost its client ends when it has done what it was asked for.
        wait_until(lambda: self._sessions() <= get_pool().get_stats()["pool_size"])

    def _sessions(self) -> int:
        row = self._connection.execute(f"SELECT count(*) {_SESSIONS}", [APPLICATION]).fetchone()
        assert row is not None
        return int(row[0])

    def _relieve(self) -> None:
        super().settle()
        self._proxy.losses = 0
        if self._ended:
            # A call that meets a session while it ends cannot know what came of what it sends.
            wait_until(lambda: self._all_gone() and self._sessions() == self._proxy.connections)
            self._ended.clear()

    def _spoil(self, forward: Forward) -> bool:
        with self._request() as kind:
            if kind is not None:
                return self._ways[kind](forward)
        forward()
        return True

    def _cut_late(self, forward: Forward) -> bool:
        forward()
        return False

    def _lose_answer(self, forward: Forward) -> bool:
        self._proxy.losses += 1
        forward()
        return True

    def _end_session(self, forward: Forward) -> bool:
        self._end_sessions()
        forward()
        return True

    def _end_session_late(self, forward: Forward) -> bool:
        forward()
        self._end_sessions()
        return True

    def _end_sessions(self) -> None:
        ended = self._connection.execute(f"SELECT pid, pg_terminate_backend(pid) {_SESSIONS}", [APPLICATION])
        self._ended.extend(pid for pid, _ in ended)

    def _all_gone(self) -> bool:
        left = self._connection.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", [self._ended])
        return left.rowcount == 0

    def _cancel(self, forward: Forward) -> bool:
        forward()
        self._connection.execute(f"SELECT pg_cancel_backend(pid) {_SESSIONS}", [APPLICATION])
        return True


class DynamoDBFaults(Faults):
    """Faults of a DynamoDB."""

    def __init__(self, proxy: SpoilingProxy) -> None:
        super().__init__()
        self._ways = {
            **{name: kind.spoiler for name, kind in KINDS.items()},
            "late answer": self._withhold,
            "slow answer": late(0.05),
            "half of a batch left over": leaving(0.5),
            "a batch left over": leaving(1.0),
        }
        self._relieved = threading.Event()
        proxy.always = self._spoil

    @property
    def kinds(self) -> list[str]:
        return list(self._ways)

    def _relieve(self) -> None:
        self._relieved.set()

    def _spoil(self, send: Send) -> Answer | None:
        with self._request() as kind:
            return send() if kind is None else self._ways[kind](send)

    def _withhold(self, send: Send) -> Answer | None:
        """Let the server execute the request, and answer nothing for as long as the call takes."""
        self._relieved.clear()
        send()
        self._relieved.wait(PATIENCE)
        return None
