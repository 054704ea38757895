"""PostgreSQL: what each operation takes with a thousand actors, and with as many as a large application has."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from statistics import median
from typing import Any

import psycopg

from actingweb.embedded.postgres import names_postgres
from benchmarks.contenders import FLOOR_OF_GROWTH, GROWTH, Times, Worker, compare
from benchmarks.floor import GROWTH as FLOORS
from benchmarks.machine import huge_pages, memory_mib, note
from benchmarks.population import ROWS_PER_ACTOR, populate, warm
from benchmarks.results import Section, Sizes
from benchmarks.servers import share_processor
from testbed.operations.operation import ACTORS, Operation
from testbed.operations.timed import GROWTH as OPERATIONS
from testbed.provisioning import new_schema, postgres_server
from testbed.servers import PostgresTables

_STEPS = (1_000, 10_000, 100_000)
"""The numbers of actors that are compared, as far as they are smaller than the last one."""
_RATIO = 1.3
# Of the memory, so that a million actors of 24 GiB are in it: what is measured is the way to a row, not that to a page.
_BUFFERS = 0.45
# What an administrator sets for so many rows, besides `shared_buffers`.
_SETTINGS = {"checkpoint_timeout": "1h", "max_wal_size": "16GB", "wal_level": "minimal", "max_wal_senders": "0"}
_MEBIBYTES = """
SELECT sum(pg_total_relation_size(oid)) / 2 ^ 20 FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"""
_WITH_FLOOR = {one.name for one in FLOORS}


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure with more and more actors, beside the floor."""
    buffers = memory_mib() * _BUFFERS
    with (
        nullcontext(False) if names_postgres(os.environ) else huge_pages(buffers) as huge,
        postgres_server({"shared_buffers": f"{buffers:.0f}MB", **_SETTINGS}) as server,
        ExitStack() as stack,
    ):
        section = Section("growth", f"PostgreSQL, {_STEPS[0]:,} to {sizes.actors:,} actors")
        section.notes += [
            f"Each actor has {ROWS_PER_ACTOR - 1} rows, 20 of them properties, together as after a migration.",
            "Each call is on another actor, drawn at random.",
            "Each size has a client process and a schema of its own, and they take turns.",
            "Clients and their sessions of the server share one processor, where the system allows it.",
            "Floor: bare SQL on one held psycopg connection; its growth is PostgreSQL's own.",
            *(["The server's memory is in huge pages."] if huge else []),
        ]
        steps = [*(actors for actors in _STEPS if actors < sizes.actors), sizes.actors]
        grown = {actors: stack.enter_context(new_schema(server)) for actors in steps}
        section.notes += [_fill(tables, actors) for actors, tables in grown.items()]
        # What is stored is not to be on its way to the disk while calls are measured.
        with server.connect() as connection, suppress(psycopg.Error):
            connection.execute("CHECKPOINT")
        os.sync()

        def start(prefix: str, table: str) -> dict[str, Worker]:
            settings = {actors: {**tables.environment, ACTORS: str(actors)} for actors, tables in grown.items()}
            workers = {f"{prefix}{actors:,}": Worker("postgresql", one, table) for actors, one in settings.items()}
            return {name: stack.enter_context(one) for name, one in workers.items()}

        ours, floors = start("", GROWTH), start("floor ", FLOOR_OF_GROWTH)
        share = partial(share_processor, server, [*ours.values(), *floors.values()])
        for one in OPERATIONS:
            workers = {**ours, **floors} if one.name in _WITH_FLOOR else ours
            for operation, times in compare(section, [one], workers, sizes.rounds, ready=share):
                _report(section, operation, times)
        yield section


def _fill(tables: PostgresTables, actors: int) -> str:
    """Store actors and say what it took."""
    began = time.monotonic()
    with tables.connect() as connection:
        populate(connection, actors)
        warm(connection)
        ((mebibytes,),) = connection.execute(_MEBIBYTES)
    text = f"{actors:,} actors: {actors * ROWS_PER_ACTOR:,} rows in {mebibytes:,.0f} MiB"
    note(f"{text}, stored in {time.monotonic() - began:.0f} s")
    return f"{text}."


def _report(section: Section, operation: Operation, times: Times) -> None:
    """Add a row with the medians, and judge the growth."""
    medians = {name: median(each) * 1e6 for name, each in times.wall.items() if not name.startswith("floor")}
    fewest, *_, most = medians
    row: dict[str, Any] = {"operation": operation.name, "kind": operation.kind, **medians}
    if (growth := times.compared(f"floor {most} / floor {fewest}")) is not None:
        row["floor, most / fewest"] = growth.median
    section.add(row)
    section.judge(operation.name, f"{most} / {fewest} actors", times.compared(f"{most} / {fewest}"), most=_RATIO)
