"""Dirty keys: the rows of PostgreSQL that have to be made equal to the items of DynamoDB.

A key is fresh, or it has the reason why its row was rejected. A reject stays dirty and is tried again after a pause
that grows; when its row changes it is fresh again, and tried at once. Nothing waits for a reject that is accepted by
name, unless it is fresh.
"""

from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple

from psycopg import sql

from actingweb.migration.live.keys import RowKey, arrays, hash_expression, range_expression
from actingweb.migration.live.state import State
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import Connection

__all__ = ["BATCH", "Rejected", "clear", "lock_fresh", "lock_rejects", "mark", "mark_rows", "postpone", "wake"]

BATCH = 100
"""How many keys an applier takes at most: as many as one request reads."""

# Waits for an applier that has locked the key, and marks it anew after that commit. DO NOTHING would not wait.
_ON_CONFLICT: LiteralString = (
    "ON CONFLICT (table_name, hash, range) DO UPDATE SET due_at = now(), attempts = 0, reason = NULL, "
    "marked_at = CASE WHEN dirty.reason IS NULL THEN dirty.marked_at ELSE now() END"
)
_MARK: LiteralString = (
    "INSERT INTO {state}.dirty (table_name, hash, range) "
    "SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]) "
)
_MARK_ROWS: LiteralString = (
    "INSERT INTO {state}.dirty (table_name, hash, range) "
    "SELECT {name}, {hash}, {range} FROM {schema}.{table} AS stored WHERE {condition} "
    'ORDER BY {hash} COLLATE "C", {range} COLLATE "C" '
)
_LOCK_FRESH = """
SELECT table_name, hash, range FROM {state}.dirty
WHERE table_name = %(table)s AND reason IS NULL AND (hash, range) > (%(hash)s, %(range)s)
ORDER BY hash, range LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
_LOCK_REJECTS = """
SELECT table_name, hash, range FROM {state}.dirty
WHERE reason IS NOT NULL AND due_at <= clock_timestamp() AND table_name = ANY(%(tables)s)
ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
# `changes` has the reason.
_CLEAR = """
WITH cleared AS (
    DELETE FROM {state}.dirty
    WHERE (table_name, hash, range) IN (
        SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]))
    RETURNING table_name, hash, range)
INSERT INTO {state}.changed (table_name, hash, range)
SELECT * FROM cleared WHERE EXISTS (SELECT FROM {state}.comparison)
"""
_POSTPONE = """
UPDATE {state}.dirty AS marked
SET reason = rejected.reason, attempts = attempts + 1,
    due_at = clock_timestamp() + least(interval '1 second' * power(2, least(attempts, 10)), interval '10 minutes')
FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[], %(reasons)s::text[])
    AS rejected (table_name, hash, range, reason)
WHERE (marked.table_name, marked.hash, marked.range) = (rejected.table_name, rejected.hash, rejected.range)
"""
_WAKE = """
UPDATE {state}.dirty SET marked_at = now(), due_at = now(), attempts = 0, reason = NULL
WHERE (table_name, hash, range) IN (
    SELECT table_name, hash, range FROM {state}.dirty
    WHERE hash = ANY(%(hashes)s) AND reason IS NOT NULL FOR UPDATE SKIP LOCKED)
"""


class Rejected(NamedTuple):
    """A key whose row PostgreSQL cannot hold, or not yet."""

    key: RowKey
    reason: str


def mark(state: State, connection: Connection, keys: Iterable[RowKey]) -> int:
    """Mark keys in the transaction of the caller; return how many there are. Raise `psycopg.Error`.

    It waits for appliers that have locked one of them. A transaction that marks may wait for nothing else afterwards
    than marks of keys that sort behind these, or two of them can wait for each other.
    """
    # Sorted as the database sorts them, so that two that mark cannot wait for each other.
    marked = sorted(set(keys), key=lambda key: key.stored)
    if marked:
        connection.execute(state.sql(_MARK + _ON_CONFLICT), arrays(marked))
    return len(marked)


def mark_rows(state: State, connection: Connection, mapping: TableMapping, condition: sql.Composable) -> int:
    """Mark the keys of the rows of a PostgreSQL table, named `stored`, that satisfy a condition; return how many."""
    statement = state.sql(
        _MARK_ROWS + _ON_CONFLICT,
        name=sql.Literal(mapping.name),
        table=sql.Identifier(mapping.table),
        hash=hash_expression(mapping, "stored"),
        range=range_expression(mapping, "stored"),
        condition=condition,
    )
    return connection.execute(statement).rowcount


def lock_fresh(state: State, connection: Connection, table: str, after: RowKey | None, limit: int) -> list[RowKey]:
    """Lock the next fresh keys of a table behind `after`, in order, until the transaction ends. Wait for nobody.

    Raise `psycopg.Error`.
    """
    _, hash_, range_ = after.stored if after else ("", "", "")
    values = {"table": table, "hash": hash_, "range": range_, "limit": limit}
    return _keys(connection, state.sql(_LOCK_FRESH), values)


def lock_rejects(state: State, connection: Connection, tables: Sequence[str], limit: int) -> list[RowKey]:
    """Lock keys of rejects that are due, until the transaction ends. Wait for nobody. Raise `psycopg.Error`."""
    return _keys(connection, state.sql(_LOCK_REJECTS), {"tables": list(tables), "limit": limit})


def clear(state: State, connection: Connection, keys: Iterable[RowKey]) -> None:
    """Take the marks of locked keys away. Raise `psycopg.Error`."""
    connection.execute(state.sql(_CLEAR), arrays(keys))


def postpone(state: State, connection: Connection, rejects: Sequence[Rejected]) -> None:
    """Leave locked keys dirty, with the reason, and let them be tried again after a pause. Raise `psycopg.Error`."""
    if rejects:
        values = arrays(key for key, _ in rejects) | {"reasons": [reason for _, reason in rejects]}
        connection.execute(state.sql(_POSTPONE), values)


def wake(state: State, connection: Connection, hashes: Sequence[str]) -> None:
    """Let the rejects with these hash keys be tried again at once. Raise `psycopg.Error`.

    Those that an applier has locked are left to it.
    """
    connection.execute(state.sql(_WAKE), {"hashes": [RowKey("", hash_).stored[1] for hash_ in hashes]})


def _keys(connection: Connection, statement: sql.Composed, values: dict[str, object]) -> list[RowKey]:
    return [RowKey.of_stored(*row) for row in connection.execute(statement, values)]
