"""The record of the rows that changed since both sides were compared.

Once everything was compared and equal, only rows that changed since can differ. So a cutover compares everything
while the application writes, and only those rows while it is stopped. Nothing can change without being recorded:

* A change in DynamoDB, also one of the engine's own, is a record of a stream, which marks its key as dirty. The key is
  recorded in the transaction that clears the mark. Until then the mark is there, and a cutover waits for it. So does a
  row that was rejected, unless it is accepted by name.
* A change in PostgreSQL fires a trigger, which marks the row, or records it at once if the engine writes it: also rows
  that depend on others, as look-ups. It also tells the value that a property had: its look-up may have to change.
  Who writes without triggers, or in place of the engine (`actingweb.sync`), is not seen: `begin` takes triggers.
* The comparison counts from before its first read, when no applier is at work. What changes meanwhile is recorded too.
* A recorded row is forgotten when it was equal after it was picked; a later change has a record of its own.
* Records of a stream that are lost are a gap, a table may get another stream, owners may change: then the comparison
  is forgotten in the same transaction. So it is when there are too many changes, or a day has passed. Everything has
  to be compared again then, if need be while writes are stopped.
* A reader whose lease has ended marks the keys that it has read all the same; positions go forward only.

Counting rows would add nothing: DynamoDB counts them every six hours, and exactly only by reading them all.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, cast

from psycopg import sql

from actingweb.migration.live.keys import RowKey, arrays
from actingweb.migration.live.state import State
from actingweb.migration.live.triggers import triggers_installed
from actingweb.migration.target.connection import Connection, lift_timeouts

__all__ = ["MOST", "Compared", "Recorded", "begin", "equal", "forget", "is_recorded", "last", "pick", "record", "trim"]

MOST = 1_000_000
"""How many changes are recorded; reading them all again takes about as long as reading everything."""

_BEGIN = """
INSERT INTO {state}.comparison (began_at) VALUES (clock_timestamp())
ON CONFLICT (one) DO UPDATE SET began_at = excluded.began_at, equal_at = NULL RETURNING began_at
"""
_FORGET_ALL = "DELETE FROM {state}.changed"
_EQUAL = "UPDATE {state}.comparison SET equal_at = clock_timestamp() WHERE began_at = %(began)s"
_IS_RECENT = """
SELECT EXISTS (SELECT FROM {state}.comparison
               WHERE equal_at IS NOT NULL AND began_at > clock_timestamp() - interval '24 hours')
"""
_RECORD = """
INSERT INTO {state}.changed (table_name, hash, range)
SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[])
"""
_LAST = "SELECT coalesce(max(id), 0) FROM {state}.changed"
_PICK = """
SELECT id, table_name, hash, range FROM {state}.changed WHERE id > %(after)s AND id <= %(last)s ORDER BY id LIMIT 10000
"""
_FORGET = "DELETE FROM {state}.changed WHERE id = ANY(%(ids)s)"
_TRIM = """
DELETE FROM {state}.comparison WHERE (SELECT max(id) - min(id) >= {most} FROM {state}.changed)
"""
_FORGET_UNUSED = "DELETE FROM {state}.changed WHERE NOT EXISTS (SELECT FROM {state}.comparison)"


class Compared(NamedTuple):
    """What a comparison found.

    Attributes:
        rows: how many were compared.
        different: how many differ.
        unsettled: how many could not be judged, as they changed all the time or their stream was not read.
    """

    rows: int
    different: int
    unsettled: int


class Recorded(NamedTuple):
    """A change of a row."""

    number: int
    key: RowKey


def begin(state: State, connection: Connection) -> datetime | None:
    """Begin to record changes, before everything is compared. Raise `psycopg.Error`.

    Return what identifies the comparison; None if changes in PostgreSQL cannot be seen.
    """
    with connection.transaction():
        lift_timeouts(connection)
        state.lock_appliers(connection, exclusive=True)
        connection.execute(state.sql(_FORGET_ALL))
        if not triggers_installed(state, connection):
            state.forget_comparison(connection)
            return None
        ((began,),) = connection.execute(state.sql(_BEGIN))
    return cast(datetime, began)


def equal(state: State, connection: Connection, began: datetime) -> None:
    """Let later comparisons be confined to changes since, unless this one is forgotten. Raise `psycopg.Error`."""
    connection.execute(state.sql(_EQUAL), {"began": began})


def is_recorded(state: State, connection: Connection) -> bool:
    """Tell whether all that may differ is recorded, as everything was equal not long ago. Raise `psycopg.Error`."""
    recent = connection.execute(state.sql(_IS_RECENT)).fetchone() == (True,)
    return recent and triggers_installed(state, connection)


def record(state: State, connection: Connection, keys: Iterable[RowKey]) -> None:
    """Record rows as changed. Raise `psycopg.Error`."""
    connection.execute(state.sql(_RECORD), arrays(keys))


def last(state: State, connection: Connection) -> int:
    """Return the number of the last change. Raise `psycopg.Error`."""
    ((number,),) = connection.execute(state.sql(_LAST))
    return int(number)


def pick(state: State, connection: Connection, after: int, up_to: int) -> list[Recorded]:
    """Return the next changes, in order: those behind `after`, but none behind `up_to`. Raise `psycopg.Error`."""
    rows = connection.execute(state.sql(_PICK), {"after": after, "last": up_to})
    return [Recorded(number, RowKey.of_stored(*key)) for number, *key in rows]


def forget(state: State, connection: Connection, changes: Iterable[Recorded]) -> None:
    """Forget changes of rows that are equal. Raise `psycopg.Error`."""
    connection.execute(state.sql(_FORGET), {"ids": [change.number for change in changes]})


def trim(state: State, connection: Connection, most: int = MOST) -> None:
    """Forget all changes, and the comparison before them, if they are too many. Raise `psycopg.Error`."""
    connection.execute(state.sql(_TRIM, most=sql.Literal(most)))
    connection.execute(state.sql(_FORGET_UNUSED))
