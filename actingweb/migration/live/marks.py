"""Marks: which rows of PostgreSQL were changed and have to be made equal in DynamoDB.

Each change appends its own mark, and an applier deletes exactly the marks that it has picked: one that is added while
it works stays. Two appliers never work on one key at a time, as the one that works holds the key's advisory lock.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import NamedTuple

from psycopg import sql

from actingweb.migration.live.keys import RowKey, arrays
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["Mark", "append", "delete", "lock_keys", "marked", "pick", "postpone"]

_PICK = """
SELECT id, table_name, hash, range FROM {state}.marks WHERE due_at <= clock_timestamp() ORDER BY id LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""
_LOCK = "SELECT number FROM unnest(%(numbers)s::bigint[]) AS number WHERE pg_try_advisory_xact_lock(number)"
_KEYS = sql.SQL("SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[])")
_APPEND = "INSERT INTO {state}.marks (table_name, hash, range) {keys}"
# A reason is only set by who holds the lock of the key, so those that are seen are older than what was read.
# `changes` has the reason why they are recorded.
_DELETE = """
WITH deleted AS (
    DELETE FROM {state}.marks
    WHERE id = ANY(%(ids)s) OR (reason IS NOT NULL AND id <> ALL(%(kept)s) AND (table_name, hash, range) IN ({keys}))
    RETURNING table_name, hash, range, accepted
), recorded AS (
    INSERT INTO {state}.changed (table_name, hash, range)
    SELECT DISTINCT table_name, hash, range FROM deleted WHERE EXISTS (SELECT FROM {state}.comparison)
)
SELECT table_name, hash, range, accepted FROM deleted
"""
# It doubles with each attempt, as the mark is twice as old then.
_POSTPONE = """
UPDATE {state}.marks AS mark
SET reason = postponed.reason, accepted = mark.accepted OR postponed.accepted, due_at = clock_timestamp()
    + least(greatest(clock_timestamp() - mark.marked_at, interval '1 second'), interval '10 minutes')
FROM unnest(%(ids)s::bigint[], %(reasons)s::text[], %(accepted)s::boolean[]) AS postponed (id, reason, accepted)
WHERE mark.id = postponed.id
"""
_MARKED = "SELECT DISTINCT table_name, hash, range FROM {state}.marks WHERE (table_name, hash, range) IN ({keys})"


class Mark(NamedTuple):
    """One change of a row."""

    number: int
    key: RowKey


def pick(state: State, connection: Connection, limit: int) -> list[Mark]:
    """Pick the oldest marks that are due and that no other transaction has picked. Raise `psycopg.Error`."""
    rows = connection.execute(state.sql(_PICK), {"limit": limit})
    return [Mark(number, RowKey.of_stored(*key)) for number, *key in rows]


def lock_keys(state: State, connection: Connection, keys: Iterable[RowKey]) -> set[RowKey]:
    """Lock the keys that nobody else has locked, until the transaction ends, and return them. Raise `psycopg.Error`."""
    numbers = {_number(state, key): key for key in keys}
    return {numbers[number] for (number,) in connection.execute(_LOCK, {"numbers": sorted(numbers)})}


def append(state: State, connection: Connection, keys: Iterable[RowKey]) -> None:
    """Mark rows that nobody has changed. Raise `psycopg.Error`."""
    connection.execute(state.sql(_APPEND, keys=_KEYS), arrays(keys))


def delete(state: State, connection: Connection, picked: Sequence[Mark]) -> None:
    """Delete picked marks, and those of earlier rejects of the same keys, which are locked. Raise `psycopg.Error`."""
    _delete(state, connection, picked, [])


def postpone(state: State, connection: Connection, picked: Sequence[tuple[Mark, str | None]]) -> None:
    """Let picked marks be tried again after a pause that grows; a reject has the reason. Raise `psycopg.Error`.

    Of a reject only the newest mark stays. It is accepted by name if an earlier one was.
    """
    rejects = sorted(mark for mark, reason in picked if reason is not None)
    newest = list({mark.key: mark for mark in rejects}.values())
    accepted = _delete(state, connection, [mark for mark in rejects if mark not in newest], newest)
    ids, reasons = [mark.number for mark, _ in picked], [reason for _, reason in picked]
    if ids:
        values = {"ids": ids, "reasons": reasons, "accepted": [mark.key in accepted for mark, _ in picked]}
        connection.execute(state.sql(_POSTPONE), values)


def _delete(state: State, connection: Connection, picked: Sequence[Mark], kept: Sequence[Mark]) -> set[RowKey]:
    """Delete picked marks, and those of rejects of the same keys but those to be kept; return the accepted keys."""
    if not picked and not kept:
        return set()
    numbers = {"ids": [mark.number for mark in picked], "kept": [mark.number for mark in kept]}
    keys = arrays({mark.key for mark in (*picked, *kept)})
    rows = connection.execute(state.sql(_DELETE, keys=_KEYS), numbers | keys).fetchall()
    return {RowKey.of_stored(*key) for *key, accepted in rows if accepted}


def marked(state: State, connection: Connection, keys: Iterable[RowKey]) -> set[RowKey]:
    """Return those of the keys that have a mark. Raise `psycopg.Error`."""
    rows = connection.execute(state.sql(_MARKED, keys=_KEYS), arrays(keys))
    return {RowKey.of_stored(*row) for row in rows}


def _number(state: State, key: RowKey) -> int:
    """Return the number of a key's advisory lock."""
    text = "\n".join((state.name, *key.stored))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
