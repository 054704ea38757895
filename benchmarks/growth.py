"""PostgreSQL: what each operation takes with a thousand actors, and with as many as a large application has."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.bulk import measure_bulk
from benchmarks.driver.growth import ACTORS, OPERATIONS
from benchmarks.driver.workload import Operation, load_classes
from benchmarks.figures import figure, ratios
from benchmarks.machine import memory_mib, share_processor
from benchmarks.peer import Worker, worker
from benchmarks.places import PostgresPlaces, postgres_places, use
from benchmarks.population import ROWS_PER_ACTOR, populate
from benchmarks.results import Section
from benchmarks.rounds import Contender, Times, alternate

__all__ = ["SMALLEST", "measure"]

SMALLEST = 1000
_STEP = 10
_RATIO = 1.3
_MODULE = "benchmarks.driver.growth"
_ANSWER_NONE = frozenset({"reverse look-up, miss", "property batch delete of 10"})


class GrowthError(RuntimeError):
    """An operation did not do what it is measured for."""


def measure(actors: int, rounds: int) -> Iterator[Section]:
    """Yield the section on latency with more and more actors, then that on reading and purging very many rows."""
    with postgres_places(_settings()) as places, ExitStack() as stack:
        section = Section("growth", f"PostgreSQL, {SMALLEST:,} to {actors:,} actors")
        section.notes.append(
            f"Each actor has {ROWS_PER_ACTOR - 1} rows, 20 of them properties, which lie together as after a "
            "migration. Each call is on another actor, drawn by chance. Each size has a client process and a schema "
            "of its own, and they take turns."
        )
        environments = {}
        for size in _sizes(actors):
            environments[size] = stack.enter_context(places.schema(f"grown{size}"))
            section.notes.append(_filled(places, environments[size], size))
        _check(environments[SMALLEST])
        _compare(section, places, environments, rounds)
        yield section
        yield measure_bulk(places, environments[actors], actors)


def _settings() -> dict[str, str]:
    """Return what an administrator sets for so many rows."""
    return {
        # As much as PostgreSQL's manual calls useful: what is measured is the way to a row, not that to a page.
        "shared_buffers": f"{memory_mib() * 0.4:.0f}MB",
        "checkpoint_timeout": "1h",
        "max_wal_size": "16GB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
    }


def _sizes(actors: int) -> list[int]:
    sizes = [SMALLEST]
    while sizes[-1] * _STEP < actors:
        sizes.append(sizes[-1] * _STEP)
    return [*sizes, actors]


def _filled(places: PostgresPlaces, environment: dict[str, str], actors: int) -> str:
    """Store actors in a schema and say what it took."""
    began = time.monotonic()
    with places.target.connect(f"{environment['PG_DB_PREFIX']}{environment['PG_DB_SCHEMA']}") as connection:
        populate(connection, actors)
        found = connection.execute(
            "SELECT sum(pg_total_relation_size(oid)) / 2 ^ 20 FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        ).fetchone()
    assert found is not None
    text = f"{actors:,} actors: {actors * ROWS_PER_ACTOR:,} rows in {found[0]:,.0f} MiB"
    print(f"  {text}, stored in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return f"{text}."


def _check(environment: dict[str, str]) -> None:
    """Raise `GrowthError` unless each operation finds, or changes, what it is meant to."""
    use({**environment, ACTORS: str(SMALLEST)})
    classes = load_classes("postgresql", cascades=True)
    for operation in OPERATIONS:
        operation.store(classes, operation.count)
        answers = [call() for call in operation.calls(classes, operation.count)]
        if not all(bool(answer) != (operation.name in _ANSWER_NONE) for answer in answers):
            raise GrowthError(f"{operation.name} answered {answers}")


def _compare(section: Section, places: PostgresPlaces, environments: dict[int, dict[str, str]], rounds: int) -> None:
    with ExitStack() as stack:
        workers = {}
        for size, environment in environments.items():
            settings = {**environment, ACTORS: str(size), "PGAPPNAME": _name(size)}
            process = worker(sys.executable, settings, "postgresql", cascades=True, operations=_MODULE)
            workers[size] = stack.enter_context(process)
        together = [_on_one_processor(places, process, _name(size)) for size, process in workers.items()]
        if all(together):
            section.notes.append("Clients and their sessions of the server share one processor.")
        for operation in OPERATIONS:
            contenders = {str(size): _contender(workers[size], operation) for size in workers}
            _add(section, operation, alternate(contenders, rounds), f"{max(environments):,} / {SMALLEST:,} actors")


def _name(size: int) -> str:
    return f"bench-growth-{size}"


def _on_one_processor(places: PostgresPlaces, process: Worker, name: str) -> bool:
    process.run(OPERATIONS[0].name, 1)  # connects
    with places.target.connect() as connection:
        sessions = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND inet_server_addr() <<= '127.0.0.0/8'",
            [name],
        ).fetchall()
    return bool(sessions) and share_processor(process.pid, *(session for (session,) in sessions))


def _contender(process: Worker, operation: Operation) -> Contender:
    def run() -> tuple[float, float]:
        if not operation.once:
            process.store(operation.name, operation.count)
        return process.run(operation.name, operation.count)

    return run


def _add(section: Section, operation: Operation, times: dict[str, Times], measure: str) -> None:
    smallest, *_, largest = times.values()
    medians = {f"{int(size):,}": round(figure(found.wall).median * 1e6, 1) for size, found in times.items()}
    ratio = ratios(largest.wall, smallest.wall)
    section.table.append({"operation": operation.name, "kind": operation.kind, **medians})
    section.judge(operation.name, measure, ratio, most=_RATIO)
    print(f"  {operation.name:<36} {medians} {ratio.median:.2f}", file=sys.stderr, flush=True)
