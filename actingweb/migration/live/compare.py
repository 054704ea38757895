"""The comparison of both sides while they are in use.

All rows are compared as an offline validation does. What differs then may only be under way, so each such key is read
again on both sides, until it is equal, is waiting to be applied, or is found to stay different.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg

from actingweb.db.dynamodb.items import Item
from actingweb.migration.jobs import validate as job
from actingweb.migration.live import dirty, marks
from actingweb.migration.live import items as postgresql
from actingweb.migration.live.conflicts import differ, digest
from actingweb.migration.live.dynamodb import Requests, read_items
from actingweb.migration.live.keys import BY_NAME, RowKey, is_marker
from actingweb.migration.live.lookup_repair import LookUpRepair, NewNameError
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side, read_ownership
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V2, LOOK_UPS, MAPPINGS
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["LiveComparison", "LiveResult"]

_KEYS_AT_ONCE = 100
_POLL_SECONDS = 0.5

_NOW = "SELECT clock_timestamp()"
_TABLES = "SELECT name, dynamodb_table FROM {state}.tables WHERE present"
# The moment up to which all shards of a table were read, as far as empty batches tell.
_READ_UP_TO = """
SELECT table_name, min(coalesce(caught_up_at, to_timestamp(0))) FROM {state}.shards WHERE NOT finished GROUP BY 1
"""
_WAITING = """
SELECT table_name, hash, range, coalesce(reason, ''), accepted FROM {state}.{marks}
WHERE (table_name, hash, range) IN (
    SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[]))
"""
_STORE = """
UPDATE {state}.tables SET compared_at = %(began)s, compared_differences = %(count)s WHERE name = %(table)s
"""
_CLOSE_GAPS = """
UPDATE {state}.gaps SET closed_at = clock_timestamp()
WHERE closed_at IS NULL AND noticed_at < %(began)s AND table_name = ANY(%(tables)s)
"""
_LOOK_UP = "SELECT actor_id FROM {schema}.property_lookup WHERE lookup_key = %(key)s"


class _Waiting(NamedTuple):
    """A mark of a key: the reason if it is of a reject, which may be accepted."""

    reason: str
    accepted: bool


@dataclass
class LiveResult:
    """What a comparison found.

    Attributes:
        rows: the numbers of rows that were compared, by table: in DynamoDB and in PostgreSQL.
        differences: the keys that stay different, those that were repaired among them.
        repaired: how many of them were made equal.
        rejected, accepted: how many rows one side cannot hold, and how many of these are accepted by name.
        unsettled: keys that changed all the time that they were looked at.
    """

    rows: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)
    differences: list[RowKey] = field(default_factory=list)
    repaired: int = 0
    rejected: int = 0
    accepted: int = 0
    unsettled: int = 0

    @property
    def left(self) -> int:
        """The number of differences that are left."""
        return len(self.differences) - self.repaired


@dataclass
class LiveComparison:
    """Compares both sides. Raise `SourceError`, `TargetError` and `UsageError`.

    Attributes:
        source_of: returns all items of a table, as the offline validation takes them.
        grace: for how many seconds a key must stay different to count as a difference.
        timeout: for how many seconds keys are looked at again.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    source_of: job.SourceOf
    indexed_properties: tuple[str, ...]
    on_rows: job.OnRows = lambda _table, _rows: None
    grace: float = 5.0
    timeout: float = 300.0

    def run(self, *, repair: bool = False) -> LiveResult:
        """Compare all rows, and with `repair` mark what differs, so that `sync` makes it equal; wait for that."""
        result = LiveResult()
        with closing(self.connect()) as connection, target_errors():
            ((began,),) = connection.execute(_NOW)
            candidates = self._candidates(result)
            settled = _Settling(self, connection)
            self._settle(settled, candidates)
            result.differences = sorted(settled.different)
            result.rejected, result.accepted = settled.rejected, settled.accepted
            result.unsettled = len(settled.unsettled)
            if repair and result.differences:
                self._mark(connection, result.differences)
                again = _Settling(self, connection)
                self._settle(again, set(result.differences))
                result.repaired = len(result.differences) - len(again.different) - len(again.unsettled)
            self._record(connection, result, began, repaired=repair)
        return result

    def _candidates(self, result: LiveResult) -> set[RowKey]:
        """Return the keys of rows that a comparison of all rows finds different."""
        with TemporaryDirectory() as directory:
            report = Path(directory) / "differences.ndjson"
            options = job.ValidationOptions(report, self.indexed_properties, limit=0)
            found = job.validate(self.state.target, self.source_of, options, self.on_rows)
            result.rows = {name: (table.source, table.target) for name, table in found.tables.items()}
            if not report.exists():
                # There is none without differences.
                return set()
            with report.open(encoding="utf-8") as lines:
                keys = {key for line in lines if (key := _key_of(json.loads(line))) is not None}
        return {key for key in keys if not is_marker(key)}

    def _settle(self, settling: "_Settling", keys: set[RowKey]) -> None:
        deadline = time.monotonic() + self.timeout
        while keys and time.monotonic() < deadline:
            ordered = sorted(keys)
            for start in range(0, len(ordered), _KEYS_AT_ONCE):
                keys -= settling.look_at(ordered[start : start + _KEYS_AT_ONCE])
            if keys:
                time.sleep(_POLL_SECONDS)
        settling.unsettled = keys

    def _mark(self, connection: Connection, keys: Sequence[RowKey]) -> None:
        """Let the appliers make keys equal, each on the side that does not own it."""
        with connection.transaction():
            ownership = read_ownership(self.state, connection)
            sides: dict[Side, list[RowKey]] = {side: [] for side in Side}
            for key in keys:
                sides[_owner(ownership, key)].append(key)
            if sides[Side.POSTGRESQL]:
                marks.append(self.state, connection, sides[Side.POSTGRESQL])
            dirty.mark(self.state, connection, sides[Side.DYNAMODB])

    def _record(self, connection: Connection, result: LiveResult, began: datetime, *, repaired: bool) -> None:
        """Record the result in the state, and close the gaps that it covers."""
        left: dict[str, int] = dict.fromkeys(BY_NAME, 0)
        if result.left:
            for key in result.differences:
                left[key.table] += 1
        with connection.transaction():
            for table, count in left.items():
                connection.execute(self.state.sql(_STORE), {"table": table, "count": count, "began": began})
            closed = [table for table, count in left.items() if repaired or not count]
            connection.execute(self.state.sql(_CLOSE_GAPS), {"began": began, "tables": closed})


@dataclass
class _Settling:
    """Looks at keys again until it is known what to think of them."""

    comparison: LiveComparison
    connection: Connection
    different: set[RowKey] = field(default_factory=set)
    unsettled: set[RowKey] = field(default_factory=set)
    rejected: int = 0
    accepted: int = 0
    _since: dict[RowKey, tuple[str | None, datetime]] = field(default_factory=dict)

    def look_at(self, keys: Sequence[RowKey]) -> set[RowKey]:
        """Read keys on both sides; return those that are settled."""
        ownership = read_ownership(self.comparison.state, self.connection)
        waiting = self._waiting(keys)
        ((now,),) = self.connection.execute(_NOW)
        read_up_to = dict(self.connection.execute(self._sql(_READ_UP_TO)).fetchall())
        settled = set()
        for key, (stored, equal) in self._compared(keys, ownership).items():
            mark = waiting.get(key)
            if equal:
                settled.add(key)
            elif mark is not None and mark.reason:
                self.accepted, self.rejected = self.accepted + mark.accepted, self.rejected + (not mark.accepted)
                settled.add(key)
            elif mark is not None or self._since.get(key, (None, now))[0] != stored:
                self._since[key] = stored, now
            elif self._stays(key, stored, now, read_up_to.get(key.table, now)):
                self.different.add(key)
                settled.add(key)
        return settled

    def _stays(self, key: RowKey, stored: str | None, now: datetime, read_up_to: datetime) -> bool:
        """Tell whether PostgreSQL's row has not changed for long enough, and no unread record can explain that."""
        _, since = self._since.setdefault(key, (stored, now))
        return (now - since).total_seconds() > self.comparison.grace and read_up_to > since

    def _compared(self, keys: Sequence[RowKey], ownership: Ownership) -> dict[RowKey, tuple[str | None, bool]]:
        """Return the digest of PostgreSQL's row for each key, and whether DynamoDB's item is equal."""
        look_ups = [key for key in keys if key.mapping is CLAIMS_V2]
        rows = [key for key in keys if key.mapping is not CLAIMS_V2]
        if ownership.boundary == EVERYTHING:
            rows, look_ups = list(keys), []
        found = {key: self._look_up(key, ownership) for key in look_ups}
        state, tables = self.comparison.state, self._tables()
        with self.connection.transaction():
            wanted = postgresql.read_items(state, self.connection, rows)
        stored = self._items(rows, tables)
        for key in rows:
            row, item = wanted[key], stored.get(key)
            found[key] = digest(row), not differ(key.mapping.layout, row, item)
        return found

    def _items(self, keys: Sequence[RowKey], tables: Mapping[str, str]) -> dict[RowKey, Item]:
        found: dict[RowKey, Item] = {}
        for table in {key.table for key in keys}:
            if table in tables:
                of_table = [key for key in keys if key.table == table]
                found |= read_items(self.comparison.requests, tables[table], of_table, whole=True).found
        return found

    def _look_up(self, key: RowKey, ownership: Ownership) -> tuple[str | None, bool]:
        """Return the actor of a look-up row, and whether a repair would leave it as it is."""
        for exclusive in (False, True):
            try:
                return self._repaired(key, ownership, exclusive=exclusive)
            except NewNameError:
                continue
        raise AssertionError(key.table)

    def _repaired(self, key: RowKey, ownership: Ownership, *, exclusive: bool) -> tuple[str | None, bool]:
        comparison, connection = self.comparison, self.connection
        with connection.transaction(force_rollback=True):
            comparison.state.lock_appliers(connection, exclusive=exclusive)
            names = comparison.indexed_properties
            repair = LookUpRepair(
                comparison.state, connection, comparison.requests, self._tables(), ownership, names, exclusive
            )
            before = self._actor(key)
            repair.touch_claims([key])
            repair.repair()
            return before, self._actor(key) == before

    def _actor(self, key: RowKey) -> str | None:
        row = self.connection.execute(self._sql(_LOOK_UP), {"key": key.hash}).fetchone()
        return None if row is None else str(row[0])

    def _tables(self) -> dict[str, str]:
        return dict(self.connection.execute(self._sql(_TABLES)).fetchall())

    def _waiting(self, keys: Iterable[RowKey]) -> dict[RowKey, _Waiting]:
        stored = [key.stored for key in keys]
        given = {name: [key[index] for key in stored] for index, name in enumerate(("tables", "hashes", "ranges"))}
        return dict(_marks(self.connection.execute(self._sql(_WAITING, "dirty"), given))) | dict(
            _marks(self.connection.execute(self._sql(_WAITING, "marks"), given))
        )

    def _sql(self, statement: Any, table: str = "dirty") -> psycopg.sql.Composed:
        return self.comparison.state.sql(statement, marks=psycopg.sql.Identifier(table))


def _marks(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[RowKey, _Waiting]]:
    for table, hash_, range_, reason, accepted in rows:
        yield RowKey.of_stored(table, hash_, range_), _Waiting(reason, accepted)


def _owner(ownership: Ownership, key: RowKey) -> Side:
    if key.mapping is CLAIMS_V2:
        return Side.POSTGRESQL if ownership.boundary == EVERYTHING else Side.DYNAMODB
    return ownership.owner(key.hash)


def _key_of(line: Mapping[str, Any]) -> RowKey | None:
    """Return the key that a line of the report is about; None if the line does not have it all."""
    key = line["key"]
    if line["table"] == LOOK_UPS:
        return RowKey(CLAIMS_V2.name, key["lookup_key"])
    mapping = BY_NAME[line["table"]]
    if mapping not in MAPPINGS or any(name not in key for name in mapping.record.key):
        return None
    return RowKey.of_row(mapping, tuple(key[name] for name in mapping.record.key))
