"""PostgreSQL and DynamoDB as the tasks of a scheduler use them: each statement and request is a switch point."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from threading import Event
from typing import Any, TypeVar

from psycopg import sql
from psycopg.pq import TransactionStatus

from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.db.postgresql.direct import DirectConnection
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Target
from tests.live.histories.scheduler import Scheduler
from tests.support import wait_until

__all__ = ["Control", "NoPause", "ScheduledClient", "ScheduledTarget"]

T = TypeVar("T")
_READS = ("BatchGetItem", "Scan")
IDLE, INTRANS = TransactionStatus.IDLE, TransactionStatus.INTRANS


class NoPause(Event):
    """A signal to stop that is never given; who waits for it waits no time."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once."""
        return self.is_set()


class Control:
    """A connection beside the tasks, which inspects and changes what it likes."""

    def __init__(self, connection: DirectConnection) -> None:
        self.connection = connection
        # A task that waits for the baton keeps its locks.
        connection.execute("SET lock_timeout = '20ms'")

    def is_blocked(self, process: int) -> bool:
        """Tell whether a server process waits for a lock of another."""
        row = self.connection.execute("SELECT pg_blocking_pids(%s) <> '{}'", [process]).fetchone()
        return row == (True,)

    def terminate(self, process: int) -> None:
        """Ask the server to end one of its processes."""
        self.connection.execute("SELECT pg_terminate_backend(%s)", [process])

    def wait_for_end(self, process: int) -> None:
        """Wait until a server process has ended, and its transaction with it."""
        wait_until(lambda: self._ended(process))

    def empty(self, schema: str) -> None:
        """Remove all rows of the tables of a schema, if there is one."""
        found = self.connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        names = [sql.Identifier(schema, name) for (name,) in found]
        if names:
            deletes = (sql.SQL("DELETE FROM {}").format(name) for name in names)
            self.connection.execute(sql.SQL("; ").join(deletes))

    def _ended(self, process: int) -> bool:
        row = self.connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [process]).fetchone()
        return row == (0,)


class ScheduledConnection(DirectConnection):
    """A connection whose round trips are switch points of a scheduler."""

    scheduler: Scheduler
    process: int

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Do the same as psycopg's method, as a step of the task that calls it."""
        with self.scheduler.statement(self.process):
            before = self.pgconn.transaction_status
            try:
                return super().wait(gen, *args, **kwargs)
            finally:
                self._note(before, self.pgconn.transaction_status)

    def _note(self, before: int, after: int) -> None:
        task = self.scheduler.current
        if task is not None:
            task.committed = before == INTRANS and after == IDLE
        self.scheduler.commits += before == INTRANS and after == IDLE
        self.scheduler.released |= before == INTRANS != after

    def _exec_command(self, command: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        """Do the same as psycopg's method, which also ends a part of a transaction."""
        result = yield from super()._exec_command(command, *args, **kwargs)
        self.scheduler.released |= isinstance(command, bytes) and command.startswith(b"ROLLBACK TO")
        return result


@dataclass(frozen=True, kw_only=True)
class ScheduledTarget(Target):
    """A schema whose connections belong to the tasks of a scheduler.

    Attributes:
        opened: the connections of each task, by the task's name.
    """

    scheduler: Scheduler
    control: Control
    opened: dict[str, list[ScheduledConnection]] = field(default_factory=dict)

    def connect(self) -> DirectConnection:
        """Return a new connection of the current task."""
        connection = super().connect()
        connection.__class__ = ScheduledConnection
        assert isinstance(connection, ScheduledConnection)
        connection.scheduler = self.scheduler
        connection.process = connection.info.backend_pid
        task = self.scheduler.current
        self.opened.setdefault("" if task is None else task.name, []).append(connection)
        return connection

    def close(self, task: str) -> None:
        """Close the connections of a task, and wait until their transactions are gone."""
        self._end(task, lambda connection: connection.pgconn.finish())

    def end_sessions(self, task: str) -> bool:
        """Let the server end the sessions of a task, which does not notice yet; tell whether there was one."""
        return self._end(task, lambda connection: self.control.terminate(connection.process))

    def _end(self, task: str, end: Callable[[ScheduledConnection], object]) -> bool:
        ended = self.opened.pop(task, [])
        for connection in ended:
            end(connection)
            self.control.wait_for_end(connection.process)
            self.scheduler.released = True
        self.scheduler.settle_waiting()
        return bool(ended)

    def close_all(self) -> None:
        """Close the connections of all tasks."""
        for task in list(self.opened):
            self.close(task)


@dataclass
class ScheduledClient:
    """A wire client whose requests are switch points of a scheduler, if there is one."""

    client: Client
    scheduler: Scheduler | None = None

    @classmethod
    def of(cls, endpoint: Endpoint) -> ScheduledClient:
        """Return one that takes the place of the client of an endpoint."""
        client = cls(endpoint._client)
        endpoint.__dict__["_client"] = client
        return client

    def fetch(self, operation: str, request: Mapping[str, Any], limits: Limits) -> bytes:
        """Do the same as the client's method, as a step of the task that calls it."""
        if self.scheduler is None:
            return self.client.fetch(operation, request, limits)
        with self.scheduler.request():
            answer = self.client.fetch(operation, request, limits)
            task = self.scheduler.current
            if task is not None:
                task.answered = operation in _READS
            return answer
