"""Statements on one held psycopg connection, each for another actor out of all: what the server's growth alone costs.

Runs in a worker, like `growth`, whose operations of the same names it is put beside.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import psycopg

from benchmarks.driver.growth import COUNT, Drawn, drawn
from benchmarks.driver.workload import Call, Operation

__all__ = ["OPERATIONS"]


@cache
def _cursor() -> Any:
    prefix, schema = os.environ["PG_DB_PREFIX"], os.environ["PG_DB_SCHEMA"]
    connection = psycopg.connect(
        host=os.environ["PG_DB_HOST"],
        port=os.environ["PG_DB_PORT"],
        user=os.environ["PG_DB_USER"],
        password=os.environ["PG_DB_PASSWORD"],
        dbname=os.environ["PG_DB_NAME"],
        autocommit=True,
    )
    connection.prepare_threshold = 0
    connection.execute("SELECT set_config('search_path', %s, false)", [f'"{prefix}{schema}"'])
    return psycopg.RawCursor(connection)


def _execute(sql: str, values: tuple[str, ...]) -> object:
    cursor = _cursor().execute(sql, values)
    return cursor.rowcount if cursor.rownumber is None else cursor.fetchall()


def _nothing(db: Any, count: int) -> None:
    pass


def _statement(name: str, kind: str, sql: str, values: Callable[[Drawn], tuple[str, ...]]) -> Operation:
    def calls(_: Any, count: int) -> list[Call]:
        return [partial(_execute, sql, values(actor)) for actor in drawn(count)]

    return Operation(name, kind, COUNT, _nothing, calls)


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
