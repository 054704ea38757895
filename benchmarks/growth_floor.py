"""Statements on one held psycopg connection, each for another actor out of all: what the server's growth alone costs.

Runs in a worker, like `growth`, whose operations of the same names it is put beside.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.driver.growth import COUNT, Drawn, drawn, nothing
from benchmarks.driver.workload import Call, Operation
from benchmarks.floor_postgresql import Floor
from benchmarks.wire import Statement
from testbed.servers import PostgresTarget

__all__ = ["OPERATIONS"]


@cache
def _floor() -> Floor:
    schema = os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"]
    return Floor(PostgresTarget(os.environ).connect(schema))


def _statement(name: str, kind: str, sql: str, values: Callable[[Drawn], tuple[str, ...]]) -> Operation:
    def calls(_: Any, count: int) -> list[Call]:
        return _floor().calls([[[Statement(sql, values(actor))]] for actor in drawn(count)])

    return Operation(name, kind, COUNT, nothing, calls)


OPERATIONS: tuple[Operation, ...] = (
    _statement("actor get", "read", "SELECT id, creator, passphrase FROM actors WHERE id = $1", lambda a: (a.id,)),
    _statement(
        "actor get by creator",
        "read",
        "SELECT id, creator, passphrase FROM actors WHERE creator = $1",
        lambda a: (f"user{a.number}@example.com",),
    ),
    _statement(
        "actor modify",
        "write",
        "UPDATE actors SET passphrase = $1 WHERE id = $2",
        lambda a: ("another passphrase", a.id),
    ),
    _statement(
        "property get",
        "read",
        "SELECT id, name, value FROM properties WHERE id = $1 AND name = $2",
        lambda a: (a.id, "p-07"),
    ),
    _statement(
        "property set",
        "write",
        "UPDATE properties SET value = $1 WHERE id = $2 AND name = $3",
        lambda a: ("w" * 100, a.id, "p-07"),
    ),
    _statement(
        "attribute get",
        "read",
        "SELECT id, bucket, name, data, timestamp, ttl_timestamp FROM attributes "
        "WHERE id = $1 AND bucket = $2 AND name = $3",
        lambda a: (a.id, "sessions", "n-1"),
    ),
    _statement(
        "diff get oldest",
        "read",
        "SELECT id, subid, seqnr, timestamp, diff FROM subscription_diffs "
        "WHERE id = $1 AND subid = $2 ORDER BY seqnr LIMIT 1",
        lambda a: (a.id, "s-1"),
    ),
)
