"""PostgreSQL, one thread: the floor, this library and the peer, on loopback and over a network of 1 ms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.driver.workload import OPERATIONS, Classes, Operation, load_classes
from benchmarks.floor_postgresql import Floor
from benchmarks.machine import own_processors, share_processor
from benchmarks.peer import PeerError, Worker, upgrade_peer, worker
from benchmarks.places import PostgresPlaces, use
from benchmarks.relay import NETWORK_CALLS, NETWORK_SECONDS, Relay, network
from benchmarks.results import Row, Section, row_of
from benchmarks.rounds import Contender, alternate, timed
from benchmarks.wire import Recorder, Trip

__all__ = ["Recording", "chosen", "connected", "measure", "record"]

_READ_OVER, _WRITE_OVER, _CPU_RATIO = 12, 15, 1.4
_PEER_READS, _PEER_NETWORK_READS, _PEER_NETWORK_INDEXED = 2.5, 3.5, 6.0
_NETWORK_RATIO = 1.10
_INDEXED = "indexed property set"


class RecordingError(RuntimeError):
    """An operation did not do what it is measured for."""


@dataclass(frozen=True)
class Recording:
    """What an operation sends: to store what it needs, and in each of its calls."""

    store: list[Trip]
    calls: list[list[Trip]]


@dataclass
class _Peer:
    """The peer's processes, and what it could not do."""

    near: Worker
    far: Worker
    missing: dict[str, str] = field(default_factory=dict)

    def contender(self, operation: Operation, count: int, process: Worker) -> Contender | None:
        """Return what runs a round, or None if the peer cannot run the operation."""

        def run() -> tuple[float, float]:
            if not operation.once:
                self.near.store(operation.name, count)
            return process.run(operation.name, count)

        if operation.name in self.missing:
            return None
        try:
            self.near.store(operation.name, count)
            run()
        except PeerError as error:
            self.missing[operation.name] = str(error)
            return None
        return run


def record(places: PostgresPlaces, operations: Iterable[Operation], classes: Classes) -> dict[str, Recording]:
    """Run each operation twice, and return what it sent the second time."""
    recorder = Recorder()
    relay = Relay(*places.address, listener=recorder.listen)
    use({"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(relay.port)})
    try:
        return {operation.name: _recording(operation, classes, recorder) for operation in operations}
    finally:
        use(places.environment)
        relay.stop()


def _recording(operation: Operation, classes: Classes, recorder: Recorder) -> Recording:
    # The first time unmeasured: connections are opened, and there are rows for `store` to remove.
    _run(operation, classes)
    recorder.take()
    operation.store(classes, operation.count)
    stored = recorder.take()
    calls = []
    for call in operation.calls(classes, operation.count):
        recorder.take()
        if call() is False:
            raise RecordingError(f"{operation.name} answered False")
        calls.append(recorder.take())
    return Recording(stored, calls)


def _run(operation: Operation, classes: Classes) -> None:
    operation.store(classes, operation.count)
    for call in operation.calls(classes, operation.count):
        call()


def connected(places: PostgresPlaces, **more: object) -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection as the floor holds one."""
    environment = places.target.environment
    arguments = {
        "host": environment["PG_DB_HOST"],
        "port": environment["PG_DB_PORT"],
        "user": environment["PG_DB_USER"],
        "password": environment["PG_DB_PASSWORD"],
        "dbname": environment["PG_DB_NAME"],
    }
    return psycopg.connect(**{**arguments, **more}, autocommit=True)  # type: ignore[arg-type]


def chosen(only: list[str]) -> list[Operation]:
    """Return the operations that `--only` names, by default all."""
    return [operation for operation in OPERATIONS if not only or operation.name in only]


@contextmanager
def peer_processes(places: PostgresPlaces, python: Path | None, far_port: int) -> Iterator[_Peer | None]:
    """Yield the peer on a database of its own, near and behind the port of a relay; None if there is no peer."""
    with ExitStack() as stack:
        if python is None:
            yield None
            return
        environment = stack.enter_context(places.database())
        upgrade_peer(python, environment)
        near = stack.enter_context(worker(python, environment, "postgresql"))
        far = stack.enter_context(worker(python, {**environment, "PG_DB_PORT": str(far_port)}, "postgresql"))
        yield _Peer(near, far)


def measure(places: PostgresPlaces, python: Path | None, rounds: int, only: list[str]) -> Iterator[Section]:
    """Yield the section on loopback, then that over a network."""
    operations = chosen(only)
    classes = load_classes("postgresql", cascades=True)
    recordings = record(places, operations, classes)
    with ExitStack() as stack:
        port = stack.enter_context(network(*places.address))
        left_out: list[str] = []
        try:
            peer = stack.enter_context(peer_processes(places, python, port))
        except PeerError as error:
            peer, left_out = None, [f"The peer is left out: {error}"]
        bench = _Bench(places, classes, recordings, peer, port, left_out)
        yield bench.loopback(operations, rounds)
        yield bench.network(operations, max(3, rounds // 2))


@dataclass(frozen=True)
class _Bench:
    places: PostgresPlaces
    classes: Classes
    recordings: Mapping[str, Recording]
    peer: _Peer | None
    far_port: int
    notes: list[str]

    def loopback(self, operations: list[Operation], rounds: int) -> Section:
        """Measure with nothing between client and server."""
        section = Section("postgresql", "PostgreSQL on loopback, one thread")
        section.notes.append("Client and server share one processor, where the system has a say in it.")
        use(self.places.environment)
        with connected(self.places) as connection, own_processors():
            floor = Floor(connection)
            for operation in operations:
                row = self._row(operation, operation.count, floor, floor, rounds, far=False)
                section.rows.append(row)
                _judge_loopback(section, row)
        self._note_missing(section)
        return section

    def network(self, operations: list[Operation], rounds: int) -> Section:
        """Measure through a relay that adds the time of a network."""
        section = Section("network", f"PostgreSQL over a network of {NETWORK_SECONDS * 1000:g} ms, one thread")
        section.notes.append("A relay on loopback holds back each direction by half of that.")
        use({**self.places.environment, "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(self.far_port)})
        try:
            with connected(self.places) as near, connected(self.places, port=self.far_port) as far:
                for operation in operations:
                    count = min(NETWORK_CALLS, operation.count)
                    row = self._row(operation, count, Floor(far), Floor(near), rounds, far=True)
                    section.rows.append(row)
                    _judge_network(section, row)
        finally:
            use(self.places.environment)
        self._note_missing(section)
        return section

    def _row(self, operation: Operation, count: int, floor: Floor, keeper: Floor, rounds: int, *, far: bool) -> Row:
        recording = self.recordings[operation.name]
        calls = floor.calls(recording.calls[:count])

        def ready() -> None:
            if not operation.once:
                keeper.replay(recording.store)

        def run_floor() -> tuple[float, float]:
            ready()
            return timed(calls)

        def run_ours() -> tuple[float, float]:
            ready()
            return timed(operation.calls(self.classes, count))

        keeper.replay(recording.store)
        contenders: dict[str, Contender] = {"floor": run_floor, "ours": run_ours}
        if self.peer is not None:
            theirs = self.peer.contender(operation, count, self.peer.far if far else self.peer.near)
            if theirs is not None:
                contenders["peer"] = theirs
        if not far:
            self._share_processor()
        row = row_of(operation, alternate(contenders, rounds))
        print(f"  {row.operation:<36} {row.floor.median:>9.0f} {row.ours.median:>9.0f} µs", file=sys.stderr, flush=True)
        return row

    def _share_processor(self) -> None:
        """Keep all contenders and their sessions on one processor."""
        self.classes.DbActor().get(actor_id="nobody")  # connects
        with connected(self.places) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND inet_server_addr() <<= '127.0.0.0/8'"
            ).fetchall()
        peers = [] if self.peer is None else [self.peer.near.pid]
        sessions = [int(str(pid)) for (pid,) in rows]
        share_processor(*sessions, *peers, os.getpid())

    def _note_missing(self, section: Section) -> None:
        section.notes += self.notes
        if self.peer is not None:
            section.notes += [f"The peer did not do “{name}”: {why}" for name, why in self.peer.missing.items()]


def _judge_loopback(section: Section, row: Row) -> None:
    if row.kind == "read":
        section.judge(row.operation, "ours − floor, µs", row.over, most=_READ_OVER)
        section.judge(row.operation, "processor time, ours / floor", row.cpu, most=_CPU_RATIO)
        if row.peer_ratio is not None:
            section.judge(row.operation, "peer / ours", row.peer_ratio, least=_PEER_READS)
    elif row.kind == "write":
        section.judge(row.operation, "ours − floor, µs", row.over, most=_WRITE_OVER)


def _judge_network(section: Section, row: Row) -> None:
    section.judge(row.operation, "ours / floor", row.ratio, most=_NETWORK_RATIO)
    if row.peer_ratio is not None:
        if row.kind == "read":
            section.judge(row.operation, "peer / ours", row.peer_ratio, least=_PEER_NETWORK_READS)
        elif row.operation == _INDEXED:
            section.judge(row.operation, "peer / ours", row.peer_ratio, least=_PEER_NETWORK_INDEXED)
