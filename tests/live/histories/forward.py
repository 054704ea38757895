"""Histories from DynamoDB to PostgreSQL: the application writes to DynamoDB, two processes of workers follow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from psycopg import sql

from actingweb.db.dynamodb.items import Item
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live.dirty import mark, mark_rows
from actingweb.migration.live.forward import ForwardApplier
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.prepare import Preparation, prepare
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.scanner import Scanner
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, CLAIMS_V2, PROPERTIES, TableMapping
from tests.live.histories.environment import Environment
from tests.live.histories.expected import Content, expected_content
from tests.live.histories.history import DivergedError, History, Step
from tests.live.histories.relational import Relational
from tests.live.histories.rows import ATTRIBUTES, INDEXED, NAMES, SUBSCRIPTIONS, TABLES, VALUES, Rows, definition

__all__ = ["PREFIX", "ForwardHistory", "Source"]

Json = dict[str, Any]

PREFIX = "history"
_DISCOVERIES = 6
"""After how many steps a reader describes the streams."""


class Source:
    """DynamoDB's side: its tables and the writes of the application."""

    def __init__(self, history: History, rows: Rows) -> None:
        self.fake = history.fake
        self.random = history.random
        self.rows = rows
        self.tables = [table for table in TABLES if table is not CLAIMS_V1 or self.random.random() < 0.3]
        # A table that is created later.
        self.absent = [table for table in self.tables if table is not ACTORS and self.random.random() < 0.1]
        self._writes: list[Callable[[], None]] = [
            self._put,
            self._put,
            self._delete,
            self._set_property,
            self._set_property,
            self._delete_property,
            self._delete_actor,
            self._create_later,
        ]

    def create(self, *, filled: bool = True) -> None:
        """Create the tables, some with streams, and with some rows if they are to be `filled`."""
        for mapping in self.tables:
            if mapping not in self.absent:
                self.create_table(mapping)
                for item in self.rows.keys(mapping) if filled else ():
                    if self.random.random() < 0.6:
                        self.send("PutItem", mapping, {"Item": item})

    def write(self) -> None:
        """Make one write."""
        self.random.choice(self._writes)()

    def items(self) -> dict[TableMapping, list[Item]]:
        """Return all items."""
        return {one: list(self.fake.tables[self.name(one)].items.values()) for one in self.tables if self._exists(one)}

    def name(self, mapping: TableMapping) -> str:
        """Return the name of a table."""
        return f"{PREFIX}_{mapping.layout.suffix}"

    def send(self, operation: str, mapping: TableMapping, request: Json) -> Json:
        """Send a request of the application."""
        return self.fake.answer(operation, {"TableName": self.name(mapping), **request})

    def _exists(self, mapping: TableMapping) -> bool:
        return self.name(mapping) in self.fake.tables

    def create_table(self, mapping: TableMapping) -> None:
        """Create a table."""
        request = definition(mapping.layout, self.name(mapping))
        if self.random.random() < 0.5:
            view = self.random.choice(["KEYS_ONLY", "NEW_AND_OLD_IMAGES"])
            request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": view}
        self.fake.answer("CreateTable", request)

    def _create_later(self) -> None:
        if self.absent:
            self.create_table(self.absent.pop())
        self._put()

    def _some_table(self) -> TableMapping:
        return self.random.choice([mapping for mapping in self.tables if self._exists(mapping)])

    def _put(self) -> None:
        mapping = self._some_table()
        self.send("PutItem", mapping, {"Item": self.rows.some(mapping)})

    def _delete(self) -> None:
        mapping = self._some_table()
        self.delete_key(mapping, self.rows.some(mapping))

    def delete_key(self, mapping: TableMapping, item: Item) -> None:
        """Delete the item that has the key of this one."""
        self.send("DeleteItem", mapping, {"Key": {name: item[name] for name in mapping.layout.key_names}})

    def _delete_actor(self) -> None:
        """Delete an actor with all of its rows, or leave them behind; sometimes it comes back at once."""
        actor = self.rows.some_actor()
        if self.random.random() < 0.5:
            for mapping, items in self.items().items():
                for item in items:
                    if actor in (item.get("id", {}).get("S"), item.get("actor_id", {}).get("S")):
                        self.delete_key(mapping, item)
        self.delete_key(ACTORS, {"id": {"S": actor}})
        if self.random.random() < 0.4:
            self.send("PutItem", ACTORS, {"Item": self.rows.actor(actor)})

    def _set_property(self) -> None:
        self._change_any_property(self.random.choice(VALUES))

    def _delete_property(self) -> None:
        self._change_any_property(None)

    def _change_any_property(self, value: str | None) -> None:
        if self._exists(PROPERTIES) and self._exists(CLAIMS_V2):
            self.change_property(self.rows.some_actor(), self.random.choice(NAMES), value)

    def change_property(self, actor: str, name: str, value: str | None) -> None:
        """Set a property, or delete it, as the library does, together with the claims on its values."""
        key = {"id": {"S": actor}, "name": {"S": name}}
        old = self.send("GetItem", PROPERTIES, {"Key": key}).get("Item", {}).get("value", {}).get("S")
        if value is None:
            self.delete_key(PROPERTIES, key)
        else:
            self.send("PutItem", PROPERTIES, {"Item": key | {"value": {"S": value}}})
            if name == INDEXED and self._claimant(name, value) is None:
                self.send("PutItem", CLAIMS_V2, {"Item": self.rows.claim(actor, name, value)})
        if old and old != value and self._claim(name, old).get("actor_id") == {"S": actor}:
            self.delete_key(CLAIMS_V2, self.rows.claim(actor, name, old))

    def _claim(self, name: str, value: str) -> Item:
        """Return the item of the claim on a value, empty if there is none."""
        key = {"lookup_key": {"S": compute_lookup_key(name, value)}}
        claim: Item = self.send("GetItem", CLAIMS_V2, {"Key": key}).get("Item", {})
        return claim

    def _claimant(self, name: str, value: str) -> str | None:
        """Return the actor that has a valid claim on a value."""
        claim = self._claim(name, value)
        if not claim:
            return None
        claimant: str = claim["actor_id"]["S"]
        held = self.send("GetItem", PROPERTIES, {"Key": {"id": {"S": claimant}, "name": {"S": name}}}).get("Item", {})
        return claimant if held.get("value") == {"S": value} else None


class ForwardHistory(History):
    """A history from DynamoDB to PostgreSQL."""

    def __init__(self, environment: Environment, seed: int) -> None:
        super().__init__(environment, seed)
        self.source = Source(self, Rows(self.random, ["a", "b", "c"][: self.random.randint(1, 3)]))

    def set_up(self) -> None:
        self.source.create()

    def write(self) -> None:
        self.source.write()

    def live(self) -> None:
        """Write until the scan has ended, and go on when the appliers have begun."""
        later, self.writes = self.writes // 2 + 10, self.writes // 2
        super().live()
        while self.rows("SELECT FROM {state}.tables WHERE present AND NOT scanned"):
            commits = self.scheduler.commits
            while self.scheduler.commits == commits:
                self.writes = max(self.writes, 1)
                self.act()
        self.writes += later
        super().live()

    def prepare(self) -> None:
        options = Preparation(
            prefix=PREFIX,
            region=None,
            endpoint=None,
            indexed_properties=[INDEXED],
            segments=self.random.randint(1, 2),
            enable_streams=True,
            by="history",
        )
        requests, sleep = self.environment.requests, self.environment.sleep
        self.run_to_end("prepare", lambda: prepare(self.state, requests, options, lambda _: None, sleep))
        for process in ("one", "two"):
            self.employ(process, "reader", self._reader)
            self.employ(process, "scanner", self._scanner)
            self.employ(process, "applier", self._applier)

    def patience(self, worker: str) -> int:
        if worker != "reader":
            return 2
        shards = len(self.rows("SELECT FROM {state}.shards WHERE NOT finished")) + 2
        return max(_DISCOVERIES, shards * _DISCOVERIES // (_DISCOVERIES - 1) + 1)

    def _reader(self, holder: str) -> Step:
        reader = ShardReader(self.state, self.environment.requests, self.target.connect, holder, pause=0)
        calls = count(1)
        return lambda: reader.step() if next(calls) % _DISCOVERIES else reader.discover()

    def _scanner(self, holder: str) -> Step:
        return Scanner(self.state, self.environment.requests, self.target.connect, holder).step

    def _applier(self, holder: str) -> Step:
        batch = self.random.randint(1, 4)
        return ForwardApplier(self.state, self.environment.requests, self.target.connect, batch).step

    def check(self) -> None:
        reported = {table for (table,) in self.rows("SELECT DISTINCT table_name FROM {state}.gaps")}
        lost = self.weather.lost()
        unreported = {mapping.name for mapping in TABLES if self.source.name(mapping) in lost} - reported
        if unreported:
            raise DivergedError(f"gaps of {unreported} are not reported")
        if self.rows("SELECT FROM {state}.gaps WHERE closed_at IS NULL"):
            self._compare_all()
            self.settle()
        self._require_equal()

    def _compare_all(self) -> None:
        """Mark all keys of the tables that have a gap, which is more than a comparison does."""
        connection = self.environment.control.connection
        gaps = self.rows("UPDATE {state}.gaps SET closed_at = now() WHERE closed_at IS NULL RETURNING table_name")
        for mapping in [mapping for mapping in TABLES if (mapping.name,) in gaps]:
            mark(
                self.state, connection, [RowKey.of_item(mapping, item) for item in self.source.items().get(mapping, [])]
            )
            if mapping.claims is None:
                mark_rows(self.state, connection, mapping, sql.SQL("true"))

    def _require_equal(self) -> None:
        expected, found = expected_content(self.source.items()), self._found()
        for table, rows in expected.rows.items():
            if rows != found.rows[table]:
                raise DivergedError(f"{table}: missing {rows - found.rows[table]}, wrong {found.rows[table] - rows}")
        if expected.rejects != found.rejects:
            raise DivergedError(f"rejects: {found.rejects}, not {expected.rejects}")

    def _found(self) -> Content:
        content = Content()
        relational, connection = Relational(self.environment.state.target), self.environment.control.connection
        for mapping in (ACTORS, PROPERTIES, ATTRIBUTES, SUBSCRIPTIONS, CLAIMS_V2):
            content.rows[mapping.record.table] = relational.rows(connection, mapping)
        for table, hash_, range_, reason in self.rows("SELECT table_name, hash, range, reason FROM {state}.dirty"):
            key = RowKey.of_stored(table, hash_, range_)
            if reason is None:
                raise DivergedError(f"{key} is still dirty")
            content.rejects.add((table, key.hash, key.range) if len(key.item_key) > 1 else (table, key.hash))
        return content
