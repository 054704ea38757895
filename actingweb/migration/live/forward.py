"""The forward applier, which makes rows of PostgreSQL equal to the items of DynamoDB."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import sql

from actingweb.db.dynamodb.items import Item
from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.documents import document_of
from actingweb.migration.live import items as postgresql
from actingweb.migration.live import marks
from actingweb.migration.live.conflicts import Conflict, differ, record_conflicts, unexpected
from actingweb.migration.live.dirty import BATCH, Rejected, clear, lock_fresh, lock_rejects, mark_rows, postpone, wake
from actingweb.migration.live.dynamodb import Items, read_items
from actingweb.migration.live.keys import BY_NAME, RowKey, row_keys
from actingweb.migration.live.lookup_repair import LookUpRepair, NewNameError
from actingweb.migration.live.ownership import Ownership, Side, read_ownership
from actingweb.migration.live.rejects import accepted
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import ACTORS, CLAIMS, MAPPINGS, PROPERTIES, TableMapping
from actingweb.migration.rows import convert
from actingweb.migration.target.connection import Connection
from actingweb.migration.target.upsert import Upsert, given_keys

__all__ = ["ForwardApplier"]

_TABLES = """
SELECT name, dynamodb_table, scanned AND (
    EXISTS (SELECT FROM {state}.dirty WHERE table_name = name AND reason IS NULL)
    OR EXISTS (SELECT FROM {state}.dirty
               WHERE table_name = name AND reason IS NOT NULL AND due_at <= clock_timestamp()))
FROM {state}.tables WHERE present OR scanned ORDER BY name <> %(actors)s, name
"""
_KNOWN_ACTORS = "SELECT id FROM {schema}.actors WHERE id = ANY(%(ids)s)"
_LOCK_ACTORS = "SELECT id FROM {schema}.actors WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE"
_DELETE_ACTORS = "DELETE FROM {schema}.actors WHERE id = ANY(%(ids)s)"
_OF_ACTORS: LiteralString = "stored.id = ANY({})"
_VALUES: LiteralString = (
    "SELECT name, value FROM {schema}.properties WHERE (id, name) IN (SELECT * FROM {given}) AND name = ANY(%(names)s)"
)
_VALUES_OF_ACTORS = "SELECT name, value FROM {schema}.properties WHERE id = ANY(%(ids)s) AND name = ANY(%(names)s)"
_COUNT = "UPDATE {state}.tables SET applied = applied + %(count)s WHERE name = %(table)s"

_OWNERLESS = frozenset({"actors", "attributes"})
"""Tables whose rows need not belong to an actor."""

_UNKNOWN_ACTOR = "unknown actor"
_REJECTS_EVERY = 4
_BYTES = 4 * 1024 * 1024
"""About how much of items one step reads, so that the largest items do not take all the memory."""


@dataclass
class ForwardApplier(Worker):
    """Applies dirty keys. Any number of appliers may run, in any number of processes.

    Attributes:
        connect: opens a connection; one is kept, and replaced after an error.
        batch: how many keys one step takes at most.
    """

    batch: int = BATCH
    _limit: int = field(default=BATCH, init=False)
    _steps: int = field(default=0, init=False)
    _behind: dict[str, RowKey | None] = field(default_factory=dict, init=False, repr=False)
    _last: str = field(default="", init=False)

    def step(self) -> int:
        """Apply some keys of one table that are due; return how many were taken, rejects among them.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        with self.connected() as connection:
            tables = connection.execute(self.state.sql(_TABLES), {"actors": ACTORS.name}).fetchall()
            names = {name: table for name, table, _ in tables if table is not None}
            chosen = self._choose([name for name, _, due in tables if due])
            if chosen is None:
                return 0
            self._steps += 1
            exclusive = chosen == ACTORS.name
            try:
                return self.repeated(lambda: self._apply(connection, BY_NAME[chosen], names, exclusive))
            except NewNameError:
                return self.repeated(lambda: self._apply(connection, BY_NAME[chosen], names, exclusive=True))

    def _choose(self, due: list[str]) -> str | None:
        """Return the next of the tables that have something to do, the actors first."""
        if not due or due[0] == ACTORS.name != self._last:
            self._last = due[0] if due else ""
        else:
            self._last = next((name for name in due if name > self._last and name != ACTORS.name), due[-1])
        return self._last or None

    def _apply(self, connection: Connection, mapping: TableMapping, tables: Mapping[str, str], exclusive: bool) -> int:
        with self.transaction(connection):
            # A deletion of actors deletes rows and look-ups that other appliers may be about to write.
            self.state.lock_appliers(connection, exclusive=exclusive)
            ownership = read_ownership(self.state, connection)
            keys = self._lock(connection, mapping.name)
            if not keys:
                return 0
            batch = _Batch(self, connection, mapping, tables, ownership, exclusive)
            taken = batch.apply(keys)
            self._adapt(batch.bytes, taken)
            return taken

    def _lock(self, connection: Connection, table: str) -> list[RowKey]:
        """Lock the next keys of a table: those behind the last ones, or now and then rejects that are due."""
        limit = min(self._limit, self.batch)
        if self._steps % _REJECTS_EVERY == 0 and (keys := lock_rejects(self.state, connection, [table], limit)):
            return keys
        keys = lock_fresh(self.state, connection, table, self._behind.get(table), limit)
        if not keys and self._behind.get(table) is not None:
            keys = lock_fresh(self.state, connection, table, None, limit)
        self._behind[table] = keys[-1] if keys else None
        return keys or lock_rejects(self.state, connection, [table], limit)

    def _adapt(self, size: int, count: int) -> None:
        """Choose how many keys to take next, by how large the items were."""
        if size > _BYTES:
            self._limit = max(1, count * _BYTES // size)
        else:
            self._limit = min(BATCH, self._limit * 2)


@dataclass
class _Batch:
    """The work of one transaction, on keys of one table that it has locked."""

    applier: ForwardApplier
    connection: Connection
    mapping: TableMapping
    tables: Mapping[str, str]
    ownership: Ownership
    exclusive: bool
    bytes: int = 0
    rejects: list[Rejected] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not a `cached_property`: on Python 3.11, all instances wait for the one that computes it.
        state, requests = self.applier.state, self.applier.requests
        indexed = state.read(self.connection).indexed_properties
        common = state, self.connection, requests, self.tables, self.ownership
        self._look_ups = LookUpRepair(*common, indexed, self.exclusive)

    def apply(self, keys: Sequence[RowKey]) -> int:
        """Apply keys; return how many were taken."""
        # Locked before the items are read: what the backward applier writes meanwhile would look like a conflict.
        foreign = self._lock_foreign(keys)
        items = self._read(keys)
        done = [key for key in keys if key not in items.left]
        dropped = self._drop(foreign.intersection(done), items.found)
        own = [key for key in done if not self._is_foreign(key)]
        self._make_equal(own, items.found)
        self._finish([*own, *dropped])
        return len(done)

    def _make_equal(self, keys: Sequence[RowKey], found: Mapping[RowKey, Item]) -> None:
        rows = self._converted(keys, found)
        if self.mapping in CLAIMS:
            self._look_ups.touch_claims(keys)
        else:
            self._apply_rows(keys, found, rows)

    def _finish(self, keys: Sequence[RowKey]) -> None:
        """Clear the marks of keys but for rejects, then repair look-up rows, which depend on what is still dirty."""
        rejected = {key for key, _ in self.rejects}
        applied = [key for key in keys if key not in rejected]
        clear(self.applier.state, self.connection, applied)
        postpone(self.applier.state, self.connection, self.rejects)
        self._look_ups.repair()
        self._execute(_COUNT, {"table": self.mapping.name, "count": len(applied)})

    def _read(self, keys: Sequence[RowKey]) -> Items:
        table = self.tables.get(self.mapping.name)
        return read_items(self.applier.requests, table, keys, whole=False) if table else Items({}, set(), set())

    def _is_foreign(self, key: RowKey) -> bool:
        return self.mapping not in CLAIMS and self.ownership.owner(key.hash) is Side.POSTGRESQL

    def _lock_foreign(self, keys: Sequence[RowKey]) -> set[RowKey]:
        """Lock the keys of rows that PostgreSQL owns, but for those that the backward applier works on."""
        foreign = [key for key in keys if self._is_foreign(key)]
        return marks.lock_keys(self.applier.state, self.connection, foreign) if foreign else set()

    def _drop(self, locked: set[RowKey], found: Mapping[RowKey, Item]) -> set[RowKey]:
        """Drop locked keys of rows that PostgreSQL owns but for accepted rejects; report writes that should not be."""
        if not locked:
            return set()
        state = self.applier.state
        rows = postgresql.read_items(state, self.connection, locked)
        conflicts = [
            Conflict(key, Side.POSTGRESQL, {Side.POSTGRESQL: rows[key], Side.DYNAMODB: found.get(key)})
            for key in sorted(locked)
            if differ(self.mapping.layout, rows[key], found.get(key))
        ]
        conflicts = unexpected(state, self.connection, conflicts)
        different = [conflict.key for conflict in conflicts]
        kept = accepted(state, self.connection, Side.POSTGRESQL, different) if different else {}
        self.rejects += [Rejected(key, reason) for key, reason in kept.items()]
        record_conflicts(state, self.connection, [conflict for conflict in conflicts if conflict.key not in kept])
        return locked

    def _apply_rows(self, keys: Sequence[RowKey], found: Mapping[RowKey, Item], rows: RowPairs) -> None:
        if self.mapping.name not in _OWNERLESS:
            rows = self._with_actors(rows)
        if self.mapping is PROPERTIES:
            self._touch(keys, rows)
        if self.mapping is ACTORS:
            self._apply_actors(keys, found, rows)
            return
        self._delete(keys, rows)
        refused = self._upsert(self.mapping).upsert(rows)
        self._reject(refused)
        self._delete([self._documents[reject.document] for reject in refused], [])

    def _apply_actors(self, keys: Sequence[RowKey], found: Mapping[RowKey, Item], rows: RowPairs) -> None:
        self._delete_actors([key.hash for key in keys if key not in found and row_keys(key)])
        new = self._unknown_actors(rows)
        self._reject(self._upsert(ACTORS).upsert(rows))
        wake(self.applier.state, self.connection, sorted(new))

    def _converted(self, keys: Collection[RowKey], found: Mapping[RowKey, Item]) -> RowPairs:
        """Return the rows of the keys whose items exist and can be converted."""
        self._documents = {_document(found[key]): key for key in keys if key in found}
        self.bytes += sum(map(len, self._documents))
        conversion = convert(self.mapping, list(self._documents))
        self._reject(conversion.rejects)
        return conversion.rows

    def _reject(self, rejects: Iterable[Reject]) -> None:
        self.rejects += [Rejected(self._documents[reject.document], reject.reason) for reject in rejects]

    def _with_actors(self, rows: RowPairs) -> RowPairs:
        """Return the rows whose actor exists, on the other side if it must be; reject the others."""
        missing = self._unknown_actors(rows)
        if missing:
            missing -= self._load_actors(missing)
            self._reject(Reject(document, _UNKNOWN_ACTOR) for row, document in rows if row[0] in missing)
        return [pair for pair in rows if pair[0][0] not in missing]

    def _unknown_actors(self, rows: RowPairs) -> set[str]:
        ids = {row[0] for row, _ in rows}
        return ids - {id_ for (id_,) in self._execute(_KNOWN_ACTORS, {"ids": sorted(ids)})}

    def _load_actors(self, ids: Collection[str]) -> set[str]:
        """Insert actors that exist in DynamoDB; return their ids."""
        keys = [RowKey(ACTORS.name, id_) for id_ in sorted(ids)]
        found = read_items(self.applier.requests, self.tables[ACTORS.name], keys, whole=True).found
        rows = convert(ACTORS, [_document(item) for item in found.values()]).rows
        rejected = {reject.document for reject in self._upsert(ACTORS).insert_new(rows)}
        loaded = {row[0] for row, document in rows if document not in rejected}
        wake(self.applier.state, self.connection, sorted(loaded))
        return loaded

    def _touch(self, keys: Sequence[RowKey], rows: RowPairs) -> None:
        """Register the values that properties have now and get."""
        names = self._look_ups.names()
        given, arrays = given_keys(PROPERTIES, [row for key in keys for row in row_keys(key) if row[1] in names])
        statement = self.applier.state.sql(_VALUES, given=given)
        self._look_ups.touch(self.connection.execute(statement, {**arrays, "names": sorted(names)}))
        self._look_ups.touch((row[1], row[2]) for row, _ in rows if row[1] in names)

    def _delete(self, keys: Sequence[RowKey], rows: RowPairs) -> None:
        """Delete all rows that have one of the keys but are not among `rows`: also what a reject was before."""
        kept = {row[: len(self.mapping.record.key)] for row, _ in rows}
        gone = [row for key in keys for row in row_keys(key)]
        self._upsert(self.mapping).delete([row for row in gone if row not in kept])

    def _delete_actors(self, ids: Sequence[str]) -> None:
        """Delete actors, and let the rows that PostgreSQL deletes with them be looked at again.

        DynamoDB may still have such a row: it is a reject until its actor is there again.
        """
        ids = [id_ for (id_,) in self._execute(_LOCK_ACTORS, {"ids": ids})]
        if not ids:
            return
        state, condition = self.applier.state, sql.SQL(_OF_ACTORS).format(ids)
        for mapping in sorted(MAPPINGS, key=lambda mapping: mapping.name):
            if mapping.name not in _OWNERLESS:
                mark_rows(state, self.connection, mapping, condition)
        names = sorted(self._look_ups.names())
        self._look_ups.touch(self._execute(_VALUES_OF_ACTORS, {"ids": ids, "names": names}))
        self._execute(_DELETE_ACTORS, {"ids": ids})

    def _upsert(self, mapping: TableMapping) -> Upsert:
        return Upsert(self.applier.state.target, self.connection, mapping)

    def _execute(self, statement: LiteralString, values: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
        return self.connection.execute(self.applier.state.sql(statement), values)


def _document(item: Item) -> bytes:
    return json.dumps(document_of(item)).encode()
