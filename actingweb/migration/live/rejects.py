"""The rejects of a live migration: rows that the other side cannot hold. Those accepted by name are not waited for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.live.keys import BY_NAME, RowKey, arrays
from actingweb.migration.live.ownership import Side
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, LOOK_UPS
from actingweb.migration.target.connection import Connection

__all__ = ["LiveReject", "accept", "accepted", "identities", "read_rejects"]

_READ: LiteralString = """
SELECT table_name, hash, range, reason, bool_and(accepted), min(marked_at) FROM {state}.{marks}
WHERE reason IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_ACCEPT: LiteralString = """
UPDATE {state}.{marks} SET accepted = %(accepted)s
WHERE (table_name, hash, range) = (%(table)s, %(hash)s, %(range)s) AND reason IS NOT NULL
"""
_ACCEPTED: LiteralString = """
SELECT table_name, hash, range, min(reason) FROM {state}.{marks} WHERE (table_name, hash, range) IN (
    SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]))
GROUP BY 1, 2, 3 HAVING bool_and(reason IS NOT NULL AND accepted)
"""
_MARKS = {Side.POSTGRESQL: "dirty", Side.DYNAMODB: "marks"}
_LOOK_UP_KEY = "lookup_key"
_INCOMPLETE = "{}: the key is incomplete; take the row's line from the list of rejects"


@dataclass(frozen=True)
class LiveReject:
    """A row that one side cannot hold, or not yet.

    Attributes:
        side: the one that cannot hold it.
        reason: why, without stored values.
        accepted: whether it is accepted that the row is not moved.
        since: when it was marked.
    """

    side: Side
    key: RowKey
    reason: str
    accepted: bool
    since: datetime

    def fields(self) -> dict[str, Any]:
        """Return the fields of its line: the key as DynamoDB has it, without stored values."""
        names = list(self.key.mapping.layout.key_names)
        if self.key.mapping is CLAIMS_V1:
            names[1] = _LOOK_UP_KEY
        key = dict(zip(names, _identity(self.key)[1:], strict=False))
        since = self.since.isoformat()
        fields = {"table": self.key.table, "key": key, "reason": self.reason, "rejected_by": str(self.side)}
        return fields | {"accepted": self.accepted, "since": since}


def read_rejects(state: State, connection: Connection) -> Iterator[LiveReject]:
    """Yield all rejects, by side, table and key. Raise `psycopg.Error`."""
    for side, table in _MARKS.items():
        rows = connection.execute(state.sql(_READ, marks=sql.Identifier(table))).fetchall()
        for name, hash_, range_, *rest in rows:
            yield LiveReject(side, RowKey.of_stored(name, hash_, range_), *rest)


def accept(state: State, connection: Connection, keys: Iterable[RowKey], accepted: bool) -> set[RowKey]:
    """Accept rejects by their identities, or no longer; return the keys of which there is no reject.

    Once its row changes, an accepted reject is tried again like any other. Raise `psycopg.Error`.
    """
    wanted = set(keys)
    missing = set(wanted)
    for reject in list(read_rejects(state, connection)):
        identity = _identity(reject.key)
        if identity in wanted:
            missing.discard(identity)
            # One by one: nobody waits for a row while others wait for it.
            table, hash_, range_ = reject.key.stored
            values = {"accepted": accepted, "table": table, "hash": hash_, "range": range_}
            connection.execute(state.sql(_ACCEPT, marks=sql.Identifier(_MARKS[reject.side])), values)
    return missing


def accepted(state: State, connection: Connection, side: Side, keys: Iterable[RowKey]) -> dict[RowKey, str]:
    """Return the reasons of those keys that a side rejects, if that is accepted by name and no change is waiting.

    Such a row stays where it is, whoever owns its actor now. Raise `psycopg.Error`.
    """
    rows = connection.execute(state.sql(_ACCEPTED, marks=sql.Identifier(_MARKS[side])), arrays(keys))
    return {RowKey.of_stored(*key): reason for *key, reason in rows}


def identities(rows: AcceptedRows) -> set[RowKey]:
    """Return what identifies rows that files name. Raise `UsageError`."""
    return {_named(place, table, key) for place, table, key in rows.named()}


def _identity(key: RowKey) -> RowKey:
    """Return what identifies a row without stored values: the key, but for claims that have the value in it."""
    return key if key.mapping is not CLAIMS_V1 else key._replace(range=compute_lookup_key(key.hash, key.range))


def _named(place: str, table: str, key: dict[str, Any]) -> RowKey:
    mapping = CLAIMS_V2 if table == LOOK_UPS else BY_NAME[table]
    if mapping is CLAIMS_V1 and _LOOK_UP_KEY in key:
        return RowKey(mapping.name, str(key.get(mapping.layout.hash)), str(key[_LOOK_UP_KEY]))
    texts = [key.get(name) for name in mapping.layout.key_names]
    if all(isinstance(text, str) for text in texts):
        return _identity(RowKey(mapping.name, *map(str, texts)))
    # An empty part of a key may be absent.
    parts = [key.get(name, "" if name == "subtarget" else None) for name in mapping.record.key]
    if None in parts:
        raise UsageError(_INCOMPLETE.format(place))
    return RowKey.of_row(mapping, tuple(parts))
