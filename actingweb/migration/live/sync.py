"""The process that keeps both sides equal: threads that each repeat the step of one worker.

Any number of processes may run. All they know is in the state schema, so each can end at any moment and another one
goes on with its work.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from os import getpid
from threading import Event, Thread
from typing import Protocol
from uuid import uuid4

from psycopg.types.json import Jsonb

from actingweb.migration.errors import MigrationError, SourceError, TargetError
from actingweb.migration.live import changes
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.forward import ForwardApplier
from actingweb.migration.live.leases import SECONDS, release_lease, take_lease
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.scanner import Scanner
from actingweb.migration.live.state import PREPARED, SYNCING, State
from actingweb.migration.live.status import Status, read_status, work_done
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["Sync", "Workers"]

_LOG = logging.getLogger(__name__)

_IDLE_SECONDS = 0.2
_LONGEST_PAUSE = 10.0
_DISCOVER_SECONDS = 10.0
_STATUS_SECONDS = 1.0
_SAMPLE_SECONDS = 15
_SAMPLES = "samples"
_SAMPLE = """
INSERT INTO {state}.samples ("values") SELECT %(values)s WHERE NOT EXISTS (
    SELECT FROM {state}.samples WHERE at > clock_timestamp() - make_interval(secs => %(pause)s))
"""
_FORGET = "DELETE FROM {state}.samples WHERE at < clock_timestamp() - interval '24 hours'"


class _Stepper(Protocol):
    has_more: bool

    def step(self) -> int:
        """Do one bounded piece of work; return 0 if there is none."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Workers:
    """How many threads do what."""

    scanners: int = 2
    readers: int = 2
    forward: int = 2
    backward: int = 2


@dataclass
class Sync:
    """One process of a live migration.

    Attributes:
        on_status: called about every second, in a thread, with the status.
        stop: set to end the process; what each worker has begun is finished or rolled back.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    workers: Workers = field(default_factory=Workers)
    on_status: Callable[[Status], None] = lambda _: None
    stop: Event = field(default_factory=Event)
    holder: str = field(default_factory=lambda: f"{socket.gethostname()} {getpid()} {uuid4().hex[:8]}")

    def run(self, until: Callable[[Status], bool] = lambda _: False) -> None:
        """Work until `stop` is set or `until(status)` is true.

        Servers that cannot be reached are tried again, however long it takes. Raise `UsageError` if the migration has
        ended, or cannot go on for a reason that will not pass.
        """
        failures: list[Exception] = []
        threads = [Thread(target=self._repeat, args=(worker, failures)) for worker in self._crew()]
        threads.append(Thread(target=self._discover, args=(failures,)))
        self._begin()
        for thread in threads:
            thread.start()
        try:
            self._watch(until)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
            self._release()
        if failures:
            raise failures[0]

    def _crew(self) -> Iterator[_Stepper]:
        common = self.state, self.requests, self.connect
        for number in range(self.workers.scanners):
            yield Scanner(*common, f"{self.holder} scanner {number}")
        for number in range(self.workers.readers):
            yield ShardReader(*common, f"{self.holder} reader {number}")
        for _ in range(self.workers.forward):
            yield ForwardApplier(*common)
        for _ in range(self.workers.backward):
            yield BackwardApplier(*common)

    def _repeat(self, worker: _Stepper, failures: list[Exception]) -> None:
        def work() -> bool:
            return worker.step() > 0 or worker.has_more

        pause = 0.0
        try:
            while not self.stop.wait(pause):
                pause = self._attempted(work, pause, failures)
        finally:
            worker.close()

    def _discover(self, failures: list[Exception]) -> None:
        reader = ShardReader(self.state, self.requests, self.connect, f"{self.holder} discovery")
        pause = 0.0
        try:
            while not self.stop.wait(pause):
                pause = max(self._attempted(reader.discover, 0.0, failures), _DISCOVER_SECONDS)
        finally:
            reader.close()

    def _attempted(self, work: Callable[[], int], last: float, failures: list[Exception]) -> float:
        """Do a piece of work; return after how many seconds to do the next."""
        try:
            return 0.0 if work() else _IDLE_SECONDS
        except (SourceError, TargetError) as error:
            if not self.stop.is_set():
                _LOG.warning("%s; it is tried again", error)
            return min(max(2 * last, 0.5), _LONGEST_PAUSE)
        except Exception as error:  # noqa: BLE001 - raised by `run`
            # Another process may go on; this one must not look alive without one of its threads.
            failures.append(error)
            self.stop.set()
            return 0.0

    def _begin(self) -> None:
        with closing(self.connect()) as connection, target_errors(), connection.transaction():
            if self.state.read(connection, "FOR UPDATE").phase == PREPARED:
                self.state.set_phase(connection, SYNCING, self.holder)
            self.state.audit(connection, self.holder, "sync begins", {})

    def _watch(self, until: Callable[[Status], bool]) -> None:
        """Renew the lease of the process, and report the status, until the work ends."""
        connection: Connection | None = None
        pause = 0.0
        try:
            while not self.stop.wait(pause):
                began = time.monotonic()
                try:
                    with target_errors():
                        connection = connection or self.connect()
                        # It has to be the first that notices the end of the migration, which no repetition undoes.
                        self.state.read(connection)
                        take_lease(self.state, connection, self._lease, self.holder)
                        status = read_status(self.state, connection)
                        self._sample(connection, status)
                except TargetError as error:
                    _LOG.warning("%s; it is tried again", error)
                    _close(connection)
                    connection, pause = None, _STATUS_SECONDS
                    continue
                self.on_status(status)
                if until(status):
                    return
                # Counting millions of changes takes the server a while.
                pause = min(max(_STATUS_SECONDS, 10 * (time.monotonic() - began)), SECONDS / 3)
        finally:
            _close(connection)

    def _release(self) -> None:
        """Give the lease of the process back; without the server it ends by itself."""
        with suppress(MigrationError), closing(self.connect()) as connection, target_errors():
            release_lease(self.state, connection, self._lease, self.holder)

    @property
    def _lease(self) -> str:
        return f"process {self.holder}"

    def _sample(self, connection: Connection, status: Status) -> None:
        """Store what a plot of the last hours shows, once for all processes."""
        tables = status.tables
        values = {
            "done": work_done(tables),
            "dirty": sum(table.dirty for table in tables),
            "marks": sum(table.marks for table in tables),
            "rejects": sum(table.rejects + table.rejects_back for table in tables),
            "lag": max((table.lag for table in tables), default=0.0),
            "retention": status.retention_used,
        }
        stored = connection.execute(self.state.sql(_SAMPLE), {"values": Jsonb(values), "pause": _SAMPLE_SECONDS})
        if stored.rowcount:
            connection.execute(self.state.sql(_FORGET))
            changes.trim(self.state, connection)


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
