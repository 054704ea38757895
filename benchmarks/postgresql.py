"""PostgreSQL, one thread: the floor, this library and the baseline, on loopback and over a network of 1 ms."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.baseline import Baseline, BaselineError, baseline, upgrade
from benchmarks.floor import PostgresFloor
from benchmarks.interleave import Contender, floor_and_ours, interleave, row_of
from benchmarks.results import Row, Section
from testbed.machine import note, own_processors, share_processor
from testbed.network import CALLS, SECONDS, network
from testbed.operations.calls import Classes, load_classes
from testbed.operations.timed import Operation
from testbed.own_schemas import PostgresServer, use
from testbed.recorder import Trip, recorded_trips

__all__ = ["Recording", "measure", "record"]

_READ_OVER, _WRITE_OVER, _CPU_RATIO = 12, 15, 1.4
_BASELINE_READS, _BASELINE_NETWORK_READS, _BASELINE_NETWORK_INDEXED = 2.5, 3.5, 6.0
_NETWORK_RATIO = 1.10


class RecordingError(RuntimeError):
    """An operation did not do what it is measured for."""


@dataclass(frozen=True)
class Recording:
    """What an operation sends: to store what it needs, and in each of its calls."""

    store: list[Trip]
    calls: list[list[Trip]]


def record(operations: Iterable[Operation], classes: Classes) -> dict[str, Recording]:
    """Run each operation twice, and return what it sent the second time."""
    return {operation.name: _recording(operation, classes) for operation in operations}


def _recording(operation: Operation, classes: Classes) -> Recording:
    # The first time unrecorded: connections are opened, and then there are rows for `store` to remove.
    operation.store(classes, operation.count)
    for call in operation.calls(classes, operation.count):
        call()
    with recorded_trips() as taken:
        operation.store(classes, operation.count)
        stored, calls = taken(), []
        for call in operation.calls(classes, operation.count):
            taken()
            if call() is False:
                raise RecordingError(f"{operation.name} answered False")
            calls.append(taken())
    return Recording(stored, calls)


def measure(
    server: PostgresServer, python: Path | None, rounds: int, operations: list[Operation], missing: list[str]
) -> Iterator[Section]:
    """Yield the section on loopback, then that over a network."""
    classes = load_classes("postgresql")
    recordings = record(operations, classes)
    near = Section("postgresql", "PostgreSQL on loopback, one thread")
    near.notes.append("Client and server share one processor, where the system has a say in it.")
    far = Section("network", f"PostgreSQL over a network of {SECONDS * 1000:g} ms, one thread")
    far.notes.append("A relay on loopback holds back each direction by half of that.")
    missing = missing.copy()
    with network(*server.address) as port, _baseline(server, python, port, missing) as other:
        bench = _Bench(server, classes, recordings, other)
        bench.loopback(near, operations, rounds)
        bench.network(far, operations, max(3, rounds // 2), port)
        for section in (near, far):
            section.notes += [*missing, *(other.notes() if other else ())]
            yield section


@contextmanager
def _baseline(server: PostgresServer, python: Path | None, port: int, missing: list[str]) -> Iterator[Baseline | None]:
    """Yield the baseline on a database of its own, near and behind a port; or None."""
    with server.database() as environment:
        try:
            if python is not None:
                upgrade(python, environment)
        except BaselineError as error:
            python = None
            missing.append(f"The baseline is left out: {error}")
        with baseline(python, "postgresql", environment, {**environment, "PG_DB_PORT": str(port)}) as other:
            yield other


@dataclass(frozen=True)
class _Bench:
    server: PostgresServer
    classes: Classes
    recordings: Mapping[str, Recording]
    baseline: Baseline | None

    def loopback(self, section: Section, operations: list[Operation], rounds: int) -> None:
        """Measure with nothing between client and server."""
        use(self.server.environment)
        with self.server.connect() as connection, own_processors():
            floor = PostgresFloor(connection)
            for operation in operations:
                contenders = self._contenders(operation, operation.count, floor, floor, far=False)
                self._share_processor()
                _judge_loopback(section, _row(section, operation, contenders, rounds))

    def network(self, section: Section, operations: list[Operation], rounds: int, port: int) -> None:
        """Measure through a relay on this port that adds the time of a network."""
        use({**self.server.environment, "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)})
        with self.server.connect() as near, self.server.connect(port) as far:
            floor, keeper = PostgresFloor(far), PostgresFloor(near)
            for operation in operations:
                contenders = self._contenders(operation, min(CALLS, operation.count), floor, keeper, far=True)
                _judge_network(section, _row(section, operation, contenders, rounds))
        use(self.server.environment)

    def _contenders(
        self, operation: Operation, count: int, floor: PostgresFloor, keeper: PostgresFloor, *, far: bool
    ) -> dict[str, Contender]:
        recording = self.recordings[operation.name]

        def ready() -> None:
            if not operation.repeats:
                keeper.replay(recording.store)

        keeper.replay(recording.store)
        contenders = floor_and_ours(
            floor.calls(recording.calls[:count]), lambda: operation.calls(self.classes, count), ready
        )
        if self.baseline is not None:
            process = self.baseline.far if far else self.baseline.near
            if (run := self.baseline.contender(operation, count, process)) is not None:
                contenders["baseline"] = run
        return contenders

    def _share_processor(self) -> None:
        """Keep all contenders and their sessions on one processor."""
        self.classes.DbActor().get(actor_id="nobody")  # connects
        with self.server.connect() as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND inet_server_addr() <<= '127.0.0.0/8'"
            ).fetchall()
        others = [] if self.baseline is None else [self.baseline.near.pid]
        share_processor(*(session for (session,) in rows), *others, os.getpid())


def _row(section: Section, operation: Operation, contenders: Mapping[str, Contender], rounds: int) -> Row:
    row = row_of(operation, interleave(contenders, rounds))
    section.rows.append(row)
    note(f"{row.operation:<36} {row.floor.median:>9.0f} {row.ours.median:>9.0f} µs")
    return row


def _judge_loopback(section: Section, row: Row) -> None:
    if row.kind == "read":
        section.judge(row.operation, "ours − floor, µs", row.over, most=_READ_OVER)
        section.judge(row.operation, "processor time, ours / floor", row.cpu, most=_CPU_RATIO)
        if row.baseline_ratio is not None:
            section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_READS)
    elif row.kind == "write":
        section.judge(row.operation, "ours − floor, µs", row.over, most=_WRITE_OVER)


def _judge_network(section: Section, row: Row) -> None:
    section.judge(row.operation, "ours / floor", row.ratio, most=_NETWORK_RATIO)
    if row.baseline_ratio is not None:
        if row.kind == "read":
            section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_NETWORK_READS)
        elif row.operation == "indexed property set":
            section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_NETWORK_INDEXED)
