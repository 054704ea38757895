"""PostgreSQL: what each operation takes with a thousand actors, and with as many as a large application has."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from functools import cache
from typing import Any, NamedTuple

import psycopg

from actingweb.embedded.postgres import names_postgres
from benchmarks.baseline import Worker, worker
from benchmarks.bulk import measure_bulk
from benchmarks.floor import PostgresFloor
from benchmarks.interleave import Times, interleave
from benchmarks.machine import huge_pages, memory_mib, note, share_processor
from benchmarks.population import ROWS_PER_ACTOR, populate, warm
from benchmarks.results import Section, figure
from benchmarks.servers import CALLS, NETWORK_SECONDS, PostgresServer, network, postgres_server, use
from testbed.operations.calls import Actor, Call, filled, load_classes
from testbed.operations.timed import ACTORS, GROWTH, Operation, drawn
from testbed.recorder import Statement, recorded_trips
from testbed.servers import PostgresTarget

__all__ = ["SMALLEST", "measure"]

SMALLEST = 1000
_RATIO = 1.3
# Of the memory, so that a million actors of 24 GiB are in it: what is measured is the way to a row, not that to a page.
_BUFFERS = 0.45
_OURS, _FLOOR = "operations.timed:GROWTH", "benchmarks.growth:FLOOR"
_OF_FLOOR = (
    *("actor get", "actor get by creator", "actor modify", "property get", "property set", "attribute get"),
    "diff get oldest",
)
_ANYBODY = Actor("{id}", "{address}")
_ANSWER_NONE = frozenset({"reverse look-up, miss", "property batch delete of 10"})


class GrowthError(RuntimeError):
    """An operation did not do what it is measured for."""


class _Floor(NamedTuple):
    """What an operation sends, on one held connection: what the server's growth alone costs. Runs in a worker."""

    name: str
    operation: Operation

    def calls(self, db: Any, count: int) -> list[Call]:
        """Return so many calls, each on another actor, recorded on one whose name stands for that of any other."""
        actor = db.DbActor()
        actor.create(actor_id=_ANYBODY.id, creator=_ANYBODY.address, passphrase="a passphrase")
        self.operation.make(db, _ANYBODY)
        call = self.operation.call(db, _ANYBODY)
        with recorded_trips() as taken:
            call()
            ((recorded,),) = taken()
        actor.delete()
        statements = [Statement(recorded.sql, filled(recorded.values, one)) for one in drawn(count)]
        return _floor().calls([[[statement]] for statement in statements])


@cache
def _floor() -> PostgresFloor:
    schema = os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"]
    return PostgresFloor(PostgresTarget(os.environ).connect(schema))


FLOOR = tuple(_Floor(one.name, one) for one in GROWTH if one.name in _OF_FLOOR)


def measure(actors: int, rounds: int) -> Iterator[Section]:
    """Yield the sections on latency with more and more actors, then that on reading and purging very many rows."""
    buffers = memory_mib() * _BUFFERS
    with (
        nullcontext(False) if names_postgres(os.environ) else huge_pages(buffers) as huge,
        postgres_server(_settings(buffers)) as server,
        ExitStack() as stack,
    ):
        near = Section("growth", f"PostgreSQL, {SMALLEST:,} to {actors:,} actors")
        near.notes += [
            f"Each actor has {ROWS_PER_ACTOR - 1} rows, 20 of them properties, together as after a migration.",
            "Each call is on another actor, drawn at random.",
            "Each size has a client process and a schema of its own, and they take turns.",
            *(["The server's memory is in huge pages."] if huge else []),
        ]
        environments = {}
        for size in _sizes(actors):
            environments[size] = stack.enter_context(server.schema(f"grown{size}"))
            near.notes.append(_filled(server, environments[size], size))
        # What is stored is not to be on its way to the disk while calls are measured.
        with server.target.connect() as connection, suppress(psycopg.Error):
            connection.execute("CHECKPOINT")
        os.sync()
        _check(environments[SMALLEST])
        _compare(near, server, environments, rounds)
        yield near
        ends = {size: environments[size] for size in (SMALLEST, actors)}
        yield _network(server, ends, max(3, rounds // 2))
        yield measure_bulk(server, environments[actors], actors)


def _settings(buffers: float) -> dict[str, str]:
    """Return what an administrator sets for so many rows, with so many MiB for pages."""
    return {
        "shared_buffers": f"{buffers:.0f}MB",
        "checkpoint_timeout": "1h",
        "max_wal_size": "16GB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    }


def _sizes(actors: int) -> list[int]:
    sizes = [SMALLEST]
    while sizes[-1] * 10 < actors:
        sizes.append(sizes[-1] * 10)
    return [*sizes, actors]


def _filled(server: PostgresServer, environment: dict[str, str], actors: int) -> str:
    """Store actors in a schema and say what it took."""
    began = time.monotonic()
    with server.target.connect(f"{environment['PG_DB_PREFIX']}{environment['PG_DB_SCHEMA']}") as connection:
        populate(connection, actors)
        warm(connection)
        found = connection.execute(
            "SELECT sum(pg_total_relation_size(oid)) / 2 ^ 20 FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        ).fetchone()
    assert found is not None
    text = f"{actors:,} actors: {actors * ROWS_PER_ACTOR:,} rows in {found[0]:,.0f} MiB"
    note(f"{text}, stored in {time.monotonic() - began:.0f} s")
    return f"{text}."


def _check(environment: dict[str, str]) -> None:
    """Raise `GrowthError` unless each operation finds, or changes, what it is meant to."""
    use({**environment, ACTORS: str(SMALLEST)})
    classes = load_classes("postgresql")
    for operation in GROWTH:
        operation.store(classes, operation.count)
        answers = [call() for call in operation.calls(classes, operation.count)]
        if not all(bool(answer) != (operation.name in _ANSWER_NONE) for answer in answers):
            raise GrowthError(f"{operation.name} answered {answers}")


def _compare(section: Section, server: PostgresServer, environments: dict[int, dict[str, str]], rounds: int) -> None:
    """Measure on loopback; beside it the floor."""
    with ExitStack() as stack:
        ours = {size: _worker(stack, environments[size], size, _OURS) for size in environments}
        floor = {size: _worker(stack, environments[size], size, _FLOOR) for size in environments}
        together = [_on_one_processor(server, one, size) for size, one in [*ours.items(), *floor.items()]]
        if all(together):
            section.notes.append("Clients and their sessions of the server share one processor.")
        for operation in GROWTH:
            contenders = {f"{size:,}": ours[size].contender(operation, operation.count) for size in ours}
            if operation.name in _OF_FLOOR:
                contenders |= {f"floor {size:,}": floor[size].contender(operation, 100) for size in floor}
            _add(section, operation, interleave(contenders, rounds))
    section.notes.append("Floor: the same statement on one held psycopg connection; its growth is PostgreSQL's own.")


def _network(server: PostgresServer, environments: dict[int, dict[str, str]], rounds: int) -> Section:
    """Measure the fewest and the most actors through a relay that adds the time of a network."""
    title = "PostgreSQL over a network of {:g} ms, {:,} to {:,} actors".format(NETWORK_SECONDS * 1000, *environments)
    section = Section("growth network", title)
    with ExitStack() as stack:
        far = {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(stack.enter_context(network(*server.address)))}
        workers = {size: _worker(stack, {**one, **far}, size, _OURS) for size, one in environments.items()}
        for operation in GROWTH:
            count = min(CALLS, operation.count)
            contenders = {f"{size:,}": workers[size].contender(operation, count) for size in workers}
            _add(section, operation, interleave(contenders, rounds))
    return section


def _worker(stack: ExitStack, environment: dict[str, str], size: int, operations: str) -> Worker:
    settings = {**environment, ACTORS: str(size), "PGAPPNAME": _name(size)}
    return stack.enter_context(worker(sys.executable, settings, "postgresql", cascades=True, operations=operations))


def _name(size: int) -> str:
    return f"bench-growth-{size}"


def _on_one_processor(server: PostgresServer, process: Worker, size: int) -> bool:
    process.run(GROWTH[0].name, 1)  # connects
    sessions = server.sessions(_name(size))
    return bool(sessions) and share_processor(process.pid, *sessions)


def _add(section: Section, operation: Operation, times: Times) -> None:
    ours = [name for name in times.wall if not name.startswith("floor")]
    smallest, largest = ours[0], ours[-1]
    row: dict[str, Any] = {"operation": operation.name, "kind": operation.kind}
    row |= {name: figure(times.wall[name]).median * 1e6 for name in ours}
    if f"floor {largest}" in times.wall:
        row["floor, most / fewest"] = times.ratio(f"floor {largest}", f"floor {smallest}").median
    section.table.append(row)
    ratio = times.ratio(largest, smallest)
    section.judge(operation.name, f"{largest} / {smallest} actors", ratio, most=_RATIO)
    note(f"{operation.name:<36} {[*row.values()][2:]} {ratio.median:.2f}")
