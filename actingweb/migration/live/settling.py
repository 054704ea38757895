"""Looking at differing keys again, while both sides are in use, until it is known what to think of them."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString, NamedTuple

from psycopg import sql

from actingweb.db.dynamodb.items import Item
from actingweb.migration.live import dirty, marks
from actingweb.migration.live import items as postgresql
from actingweb.migration.live.conflicts import differ, digest
from actingweb.migration.live.dynamodb import Requests, read_items
from actingweb.migration.live.items import layout_of
from actingweb.migration.live.keys import RowKey, arrays, by_table
from actingweb.migration.live.lookup_repair import Holder, LookUpRepair
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side, read_ownership
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS, CLAIMS_V2, PROPERTIES
from actingweb.migration.target.connection import Connection, lift_timeouts

__all__ = ["Settling", "Sight"]

_KEYS_AT_ONCE = 100
_POLL_SECONDS = 0.5

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NOW = "SELECT clock_timestamp()"
# The moment up to which all shards of a table were read: an empty batch, or the creation of the last record, tells.
_READ_UP_TO = """
SELECT table_name, min(coalesce(greatest(caught_up_at, oldest_unread_at), to_timestamp(0))) FROM {state}.shards
WHERE NOT finished GROUP BY 1
"""
_WAITING: LiteralString = """
SELECT table_name, hash, range, coalesce(reason, ''), accepted FROM {state}.{marks}
WHERE (table_name, hash, range) IN (
    SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]))
ORDER BY reason NULLS LAST
"""
_STORED = "SELECT lookup_key, actor_id FROM {schema}.property_lookup WHERE lookup_key = ANY(%(keys)s)"


class _Mark(NamedTuple):
    """A mark of a key: the reason if it is of a reject, which may be accepted."""

    reason: str
    accepted: bool


class Sight(NamedTuple):
    """What a look at a key has found.

    Attributes:
        postgresql, dynamodb: digests of what the sides have, or the actors that a look-up finds; None for nothing.
        reverse: whether it is DynamoDB that has to be made equal.
        mark: of the key, if there is one.
        named: whether the row is accepted by a file, and the other side does not have it.
    """

    postgresql: str | None
    dynamodb: str | None
    equal: bool
    reverse: bool = False
    mark: _Mark | None = None
    named: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether it is accepted that the row is not moved."""
        return self.named or (self.mark is not None and self.mark.accepted)

    @property
    def is_reject(self) -> bool:
        """Whether one side cannot hold the row."""
        return self.mark is not None and bool(self.mark.reason)


@dataclass
class Settling:
    """Looks at keys again. Its methods raise `psycopg.Error` and `SourceError`.

    Attributes:
        connection: in autocommit mode.
        grace: for how many seconds both sides must stay as they are, and different, to count as a difference.
        timeout: for how many seconds keys are looked at.
        different: what was seen of the keys that stay different, rejects among them.
        unsettled: the keys of which nothing is known when the time is over.
    """

    state: State
    requests: Requests
    connection: Connection
    indexed_properties: tuple[str, ...]
    grace: float
    timeout: float
    different: dict[RowKey, Sight] = field(default_factory=dict, init=False)
    unsettled: set[RowKey] = field(default_factory=set, init=False)
    _seen: dict[RowKey, tuple[Sight, datetime]] = field(default_factory=dict, init=False)

    def run(self, keys: Mapping[RowKey, Holder | None]) -> None:
        """Look at keys until all are settled, or the time is over. Those of look-ups have a holder of the value."""
        left, deadline = set(keys), time.monotonic() + self.timeout
        while left:
            ordered = sorted(left)
            for start in range(0, len(ordered), _KEYS_AT_ONCE):
                some = ordered[start : start + _KEYS_AT_ONCE]
                left -= self._look({key: keys[key] for key in some})
            if left and time.monotonic() > deadline:
                break
            if left:
                time.sleep(_POLL_SECONDS)
        self.unsettled = left

    def accept(self, keys: AbstractSet[RowKey]) -> None:
        """Register rows that are not to be moved: they may be absent on the side that does not own them."""
        for key in keys & self.different.keys():
            sight = self.different[key]
            is_absent = (sight.dynamodb if sight.reverse else sight.postgresql) is None
            self.different[key] = sight._replace(named=is_absent or key.mapping is CLAIMS_V2)

    def _look(self, keys: Mapping[RowKey, Holder | None]) -> set[RowKey]:
        """Look at keys; return those that are settled."""
        with self._snapshot() as now:
            read_up_to = self._read_up_to(now)
            sights = self._sights(keys)
        settled = set()
        for key, sight in sights.items():
            up_to = now if sight.reverse else min(read_up_to.get(table, now) for table in _told_by(key))
            if not sight.equal and (sight.is_reject or self._stays(key, sight, min(now, up_to))):
                self.different[key] = sight
            if sight.equal or key in self.different:
                settled.add(key)
        return settled

    def _stays(self, key: RowKey, sight: Sight, read_up_to: datetime) -> bool:
        """Tell whether both sides have stayed as they are for long enough, and nothing is under way."""
        ((now,),) = self.connection.execute(_NOW)
        seen, since = self._seen.get(key, (sight, now))
        if sight.mark is not None or seen != sight:
            since = now
        self._seen[key] = sight, since
        return sight.mark is None and (read_up_to - since).total_seconds() > self.grace

    @contextmanager
    def _snapshot(self) -> Iterator[datetime]:
        """Let all statements see marks and rows as they were at one moment, which is yielded."""
        with self.connection.transaction():
            self.connection.execute(_SNAPSHOT)
            lift_timeouts(self.connection)
            ((now,),) = self.connection.execute(_NOW)
            yield now

    def _read_up_to(self, now: datetime) -> dict[str, datetime]:
        return {table: min(moment, now) for table, moment in self.connection.execute(self.state.sql(_READ_UP_TO))}

    def _sights(self, keys: Mapping[RowKey, Holder | None]) -> dict[RowKey, Sight]:
        """Read keys on both sides: PostgreSQL first, so that what is newer in DynamoDB is seen again later."""
        ownership = read_ownership(self.state, self.connection)
        waiting = self._waiting(keys)
        tables = self.state.dynamodb_tables(self.connection)
        rows = postgresql.read_items(self.state, self.connection, [key for key in keys if key.mapping not in CLAIMS])
        items = self._items(rows, tables)
        found = {}
        for key, row in rows.items():
            equal = not differ(layout_of(key.mapping), row, items.get(key))
            reverse = ownership.owner(key.hash) is Side.POSTGRESQL
            found[key] = Sight(digest(row), digest(items.get(key)), equal, reverse, waiting.get(key))
        holders = {key: holder for key, holder in keys.items() if holder is not None}
        for key, sight in self._look_ups(holders, tables, ownership).items():
            found[key] = sight._replace(mark=waiting.get(key))
        return found

    def _items(self, keys: Iterable[RowKey], tables: Mapping[str, str]) -> dict[RowKey, Item]:
        found: dict[RowKey, Item] = {}
        for table, of_table in by_table(keys):
            if table in tables:
                found |= read_items(self.requests, tables[table], of_table, whole=True).found
        return found

    def _look_ups(
        self, holders: Mapping[RowKey, Holder], tables: Mapping[str, str], ownership: Ownership
    ) -> dict[RowKey, Sight]:
        """Return what the look-ups find on both sides."""
        if not holders:
            return {}
        names = self.indexed_properties
        repair = LookUpRepair(self.state, self.connection, self.requests, tables, ownership, names, exclusive=False)
        expected = repair.expected(list(holders.values()))
        keys = {"keys": [key.hash for key in holders]}
        stored = dict(self.connection.execute(self.state.sql(_STORED), keys).fetchall())
        items = self._items(holders, tables)
        found = {}
        for key in holders:
            actor, wanted = stored.get(key.hash), expected[key.hash]
            claimant = items.get(key, {}).get("actor_id", {}).get("S")
            found[key] = _of_look_up(ownership, actor, wanted, claimant)
        return found

    def _waiting(self, keys: Iterable[RowKey]) -> dict[RowKey, _Mark]:
        """Return the marks of keys in both directions; where there are several, one that is no reject."""
        given = arrays(keys)
        found: dict[RowKey, _Mark] = {}
        for table in ("dirty", "marks"):
            statement = self.state.sql(_WAITING, marks=sql.Identifier(table))
            for name, hash_, range_, reason, accepted in self.connection.execute(statement, given):
                mark, key = _Mark(reason, accepted), RowKey.of_stored(name, hash_, range_)
                found[key] = mark if not reason else found.get(key, mark)
        return found

    def mark(self, keys: Mapping[RowKey, Holder | None]) -> None:
        """Let the appliers make keys equal that were found to be different, each on the side that does not own it."""
        forward: set[RowKey] = set()
        reverse: list[RowKey] = []
        with self.connection.transaction():
            ownership = read_ownership(self.state, self.connection)
            for key, holder in keys.items():
                if self.different[key].reverse:
                    reverse.append(key)
                else:
                    forward.add(key)
                    forward.update(_property_of(holder, ownership))
            if reverse:
                marks.append(self.state, self.connection, reverse)
            dirty.mark(self.state, self.connection, forward)


def _of_look_up(ownership: Ownership, actor: str | None, wanted: str | None, claimant: str | None) -> Sight:
    """Return what is to think of a look-up, by the stored row, what it should be, and DynamoDB's claim.

    What PostgreSQL's own actors have must be claimed in DynamoDB, whose own application may have no look-up table.
    """
    if ownership.boundary == EVERYTHING:
        # What PostgreSQL has counts. A claim whose actor does not have the value finds nobody.
        is_stale = actor is None and claimant != wanted
        return Sight(actor, claimant, equal=actor == claimant or is_stale, reverse=True)
    if actor == wanted and actor is not None and ownership.owner(actor) is Side.POSTGRESQL and actor != claimant:
        return Sight(actor, claimant, equal=False, reverse=True)
    return Sight(actor, wanted, equal=actor == wanted)


def _property_of(holder: Holder | None, ownership: Ownership) -> Iterator[RowKey]:
    """Yield the property behind a look-up: where nobody claims the value, its applier makes the row."""
    if holder is None or holder.name is None or holder.actor is None:
        return
    if ownership.owner(holder.actor) is Side.DYNAMODB:
        yield RowKey(PROPERTIES.name, holder.actor, holder.name)


def _told_by(key: RowKey) -> Sequence[str]:
    """Return the tables whose streams tell of changes that matter for a key."""
    if key.mapping is CLAIMS_V2:
        return (PROPERTIES.name, *(mapping.name for mapping in CLAIMS))
    return (key.table,)
