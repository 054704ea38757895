"""Conflicts: rows that were written on the side that does not own their actor.

Such a write left a mark that its applier drops, as the row counts that the owner has. If the rows differ, the other
one is kept in the record, and the owner's is restored.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from psycopg.types.json import Jsonb

from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.stored_types import value_of
from actingweb.db.faults import Fault
from actingweb.migration.live import dirty, marks
from actingweb.migration.live.items import Unstorable, Wanted, answers_alike
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.ownership import Side
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["Conflict", "differ", "digest", "record_conflicts", "unexpected"]

_RECORD = """
INSERT INTO {state}.conflicts (table_name, hash, range, owner, owner_digest, other_digest, other_row, settled_at)
SELECT %(table)s, %(hash)s, %(range)s, %(owner)s, %(owner_digest)s, %(other_digest)s, %(other_row)s,
       CASE WHEN options->>'on_conflict' = 'stop' THEN NULL ELSE clock_timestamp() END
FROM {state}.migration RETURNING settled_at IS NOT NULL
"""


@dataclass(frozen=True)
class Conflict:
    """A row that differs, though only its owner may write it. Rows are items on both sides.

    Attributes:
        owner: whose row counts.
        rows: what each side has; None for no row.
    """

    key: RowKey
    owner: Side
    rows: Mapping[Side, Wanted]


def differ(layout: Layout, one: Wanted, other: Wanted) -> bool:
    """Tell whether the library reads something else of two rows. An expired row is as good as none."""
    if isinstance(one, Unstorable) or isinstance(other, Unstorable):
        return True
    return not answers_alike(layout, _live(layout, one), _live(layout, other))


def _live(layout: Layout, item: Item | None) -> Item | None:
    """Return an item unless DynamoDB may delete it at any moment, since it has expired."""
    if item is None or layout.ttl is None or layout.ttl not in item:
        return item
    try:
        expires = value_of(layout.record, layout.ttl, item[layout.ttl])
    except Fault:
        return item
    return None if expires is not None and expires <= time.time() else item


def unexpected(state: State, connection: Connection, found: Sequence[Conflict]) -> list[Conflict]:
    """Return the differences that no pending change of the owner, which is PostgreSQL, explains.

    The keys are locked by `marks.lock_keys` since before the rows were read. Raise `psycopg.Error`.
    """
    pending = marks.marked(state, connection, [conflict.key for conflict in found]) if found else set()
    return [conflict for conflict in found if conflict.key not in pending]


def record_conflicts(
    state: State, connection: Connection, found: Sequence[Conflict], repaired: Collection[RowKey] = ()
) -> None:
    """Record conflicts, and mark their rows so that the owner's are restored, unless the option is to stop.

    `repaired` has other keys that become dirty. The transaction may wait for little afterwards, see `dirty.mark`. Raise
    `psycopg.Error`.
    """
    settled = [conflict for conflict in found if _record(state, connection, conflict)]
    of_postgresql = [conflict.key for conflict in settled if conflict.owner is Side.POSTGRESQL]
    if of_postgresql:
        marks.append(state, connection, of_postgresql)
    of_dynamodb = {conflict.key for conflict in settled if conflict.owner is Side.DYNAMODB}
    dirty.mark(state, connection, of_dynamodb.union(repaired))


def _record(state: State, connection: Connection, conflict: Conflict) -> bool:
    """Record a conflict; tell whether the owner's row settles it."""
    table, hash_, range_ = conflict.key.stored
    other = conflict.rows[conflict.owner.other]
    values = {
        "table": table,
        "hash": hash_,
        "range": range_,
        "owner": conflict.owner,
        "owner_digest": digest(conflict.rows[conflict.owner]),
        "other_digest": digest(other),
        "other_row": None if other is None else Jsonb(_storable(other)),
    }
    return connection.execute(state.sql(_RECORD), values).fetchone() == (True,)


def _text(row: Item | Unstorable) -> str:
    return row.reason if isinstance(row, Unstorable) else json.dumps(row, sort_keys=True)


def digest(row: Wanted) -> str | None:
    """Return a digest of a row, None for no row."""
    return None if row is None else sha256(_text(row).encode()).hexdigest()


def _storable(row: Item | Unstorable) -> Any:
    """Return the row as jsonb can hold it: as text if it has characters that jsonb cannot."""
    text = _text(row)
    return text if isinstance(row, Unstorable) or "\\u0000" in text else row
