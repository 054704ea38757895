"""Histories of both directions at once: each actor is written on the side that owns it, and owners change."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, LiteralString

import psycopg

from actingweb.db.dynamodb.items import Item
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side, boundary_of, murmur2, read_ownership
from actingweb.migration.live.share import Moved, Share
from actingweb.migration.live.state import SYNCING, StateError
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.way_back import open_way_back
from actingweb.migration.mapping import ACTORS, CLAIMS_V2, PROPERTIES, TableMapping
from tests.live.histories.backward import MOVED
from tests.live.histories.environment import Environment
from tests.live.histories.expected import Row, row_of
from tests.live.histories.forward import PREFIX, ForwardHistory, Source
from tests.live.histories.history import DivergedError, Step
from tests.live.histories.relational import Relational
from tests.live.histories.rows import ATTRIBUTES, INDEXED, SUBSCRIPTIONS, VALUES, Rows

__all__ = ["BothHistory"]

_SHARES = (0, 10, 50, 100)
_SYSTEM = "_system"
_LONGEST_STORM, _LONGEST_LIFE = 4_000, 9_000


def _actor_below(percent: int, above: int) -> str:
    """Return an id that PostgreSQL owns from a share of `percent` on, and not yet at `above`."""
    low, high = boundary_of(Decimal(above)), boundary_of(Decimal(percent))
    return next(name for n in range(10_000) if low <= murmur2((name := f"a{n}").encode()) < high)


ACTOR_IDS = [_actor_below(10, 0), _actor_below(50, 10), _actor_below(100, 50)]


def _look_up(row: Row) -> str | None:
    """Return the look-up key of the row of a property, None for another row."""
    return compute_lookup_key(row[1], row[2]) if row[1:2] == (INDEXED,) else None


class BothHistory(ForwardHistory):
    """A history of both directions.

    Attributes:
        last: what was written last with each key, which both sides must have in the end.
        ownership: as the load balancer knows it; the requests of moving actors are held back.
    """

    gaps_happen = 0.0

    def __init__(self, environment: Environment, seed: int) -> None:
        super().__init__(environment, seed)
        self.source = Source(self, Rows(self.random, ACTOR_IDS, storable=True))
        self.source.absent = []
        self.relational = Relational(environment.state.target)
        self.last: dict[RowKey, Row] = {}
        self.ownership = Ownership(0, None, Side.DYNAMODB)
        self.moves = self.random.randint(1, 2)
        self.writes = self.random.randint(4, 12)
        self.target_share: Decimal | None = None
        self.is_open = False
        # Writes of somebody who ignores the load balancer.
        self.strays = self.random.choice([0, 0, 1, 2])
        self.strayed: set[RowKey] = set()

    def set_up(self) -> None:
        self.source.tables = list(MOVED)
        self.source.create(filled=False)
        for _ in range(12):
            self._write_row()

    def live(self) -> None:
        """Go on writing until all moves are made, and a little longer."""
        while (self.moves or self.target_share is not None) and len(self.scheduler.trace) < _LONGEST_LIFE:
            if not self.whims.calm and len(self.scheduler.trace) > _LONGEST_STORM:
                self.whims.calm = True
                self.weather.clear_up()
            # So seldom that the workers, which need many steps for a change, come to the end of what is written.
            if self.random.random() < 0.01:
                self.writes = max(self.writes, 2)
            self.act()
        self.writes = self.random.randint(8, 20)
        super().live()

    def prepare(self) -> None:
        super().prepare()
        for process in ("one", "two"):
            self.employ(process, "way back", self._back)
        self.employ("one", "operator", self._operator)

    def _back(self, _: str) -> Step:
        batch = self.random.randint(1, 5)
        return BackwardApplier(self.state, self.environment.requests, self.target.connect, batch, at_once=1).step

    # Moving owners.

    def _operator(self, _: str) -> Step:
        return lambda: self._open() if not self.is_open else self._move()

    def _open(self) -> bool:
        """Open the way back when all tables are scanned."""
        connection = self.target.connect()
        ((left,),) = connection.execute(self.state.sql("SELECT count(*) FROM {state}.tables WHERE NOT scanned"))
        if not left:
            self.state.set_phase(connection, SYNCING, "history")
            self.open_way_back(connection)
            self.is_open = True
        connection.close()
        return not left

    def open_way_back(self, connection: Any) -> None:
        """Install the triggers."""
        tables = SourceTables(self.environment.requests, PREFIX)
        open_way_back(self.state, connection, tables, True, lambda _: None)

    def _move(self) -> bool:
        """Move the boundary, or go on with a move that was interrupted."""
        if self.target_share is None:
            if not self.moves:
                return False
            self.moves -= 1
            self._write_late()
            self.target_share = Decimal(
                self.random.choice(
                    [share for share in _SHARES if boundary_of(Decimal(share)) != self.ownership.boundary]
                )
            )
            boundary = boundary_of(self.target_share)
            self.ownership = Ownership(self.ownership.boundary, boundary, self.ownership.system_owner)
        share = Share(self.state, self.environment.requests, self.target.connect)
        try:
            share.begin(self.target_share)
            share.fence()
            while not isinstance(share.step(), Moved):
                self.scheduler.switch(rest=5)
        except StateError as error:
            # Tables that the way back has created are scanned first.
            if "is not finished" in str(error):
                return False
            if "already" not in str(error):
                raise
        finally:
            share.close()
        self.moved(read_ownership(self.environment.state, self.environment.control.connection))
        return True

    def _write_late(self) -> None:
        """Write right before the actors are held back, when some shards are behind the others."""
        if self.whims.calm:
            return
        for stream in [table.stream for table in self.fake.tables.values() if table.stream is not None]:
            if len(stream.open_shards) == 1:
                stream.split(stream.open_shards[0], 2, self.random.choice([0, 0, 4]))
            if self.random.random() < 0.7:
                self.weather.delay(stream)
        for _ in range(self.random.randint(0, 8)):
            self._write_row()

    def moved(self, ownership: Ownership) -> None:
        """Let the load balancer know who owns what."""
        self.ownership, self.target_share = ownership, None

    # The application.

    def write(self) -> None:
        if self.strays and self.is_open and self.random.random() < 0.1:
            self.strays -= 1
            self._stray()
        else:
            # What installs triggers locks whole tables.
            with suppress(psycopg.errors.LockNotAvailable):
                self._write_row()

    def _write_row(self) -> None:
        actor = self.source.rows.some_actor()
        if self.random.random() < 0.1:
            actor = _SYSTEM
        if not self.ownership.is_moving(actor):
            mapping = ATTRIBUTES if actor == _SYSTEM else self.random.choice(MOVED[:-1])
            self._write_of(actor, mapping)

    def _write_of(self, actor: str, mapping: TableMapping) -> None:
        item = self._item(actor, mapping)
        key = RowKey.of_item(mapping, item)
        exists = RowKey(ACTORS.name, actor) in self.last
        delete = self.random.random() < 0.3
        if (mapping in (PROPERTIES, SUBSCRIPTIONS) and not exists) or (delete and key not in self.last):
            mapping, item, delete = ACTORS, self.source.rows.actor(actor), False
            if actor == _SYSTEM:
                return
        row = row_of(mapping, item)
        assert row is not None
        if mapping is ACTORS and delete:
            self._delete_actor(actor)
        elif self._store(self.ownership.owner(actor), mapping, item, row, delete=delete):
            self._remember(RowKey.of_item(mapping, item), None if delete else row)

    def _item(self, actor: str, mapping: TableMapping) -> Item:
        rows = self.source.rows
        if mapping is PROPERTIES:
            return rows.property(actor, INDEXED, self.random.choice(VALUES))
        return rows.some(mapping) | {"id": {"S": actor}}

    def _remember(self, key: RowKey, row: Row | None) -> None:
        self.last.pop(key, None)
        if row is not None:
            self.last[key] = row

    def _delete_actor(self, actor: str) -> None:
        """Delete an actor after all of its rows."""
        side = self.ownership.owner(actor)
        keys = sorted((key for key in self.last if key.hash == actor), key=lambda key: key.table == ACTORS.name)
        for key in keys:
            item, row = self._stored_item(key), self.last[key]
            if not self._store(side, key.mapping, item, row, delete=True):
                return
            self._remember(key, None)

    def _stored_item(self, key: RowKey) -> Item:
        return key.item_key | {"value": {"S": str(self.last[key][-1])}}

    def _store(self, side: Side, mapping: TableMapping, item: Item, row: Row, *, delete: bool) -> bool:
        """Write on one side, and tell whether that was done. Raise `DivergedError` if that side had something old."""
        key = RowKey.of_item(mapping, item)
        store = partial(self._store_green if side is Side.POSTGRESQL else self._store_blue, mapping, item, row)
        before = self._read(side, key)
        if before != self.last.get(key):
            raise DivergedError(f"{side} answers with {before} for {key}, not with {self.last.get(key)}")
        return store(delete)

    def _read(self, side: Side, key: RowKey) -> Row | None:
        if side is Side.DYNAMODB:
            item = self.source.send("GetItem", key.mapping, {"Key": key.item_key}).get("Item")
            return None if item is None else row_of(key.mapping, item)
        rows = self.relational.rows(self.environment.control.connection, key.mapping)
        return next((row for row in rows if RowKey.of_row(key.mapping, row) == key), None)

    def _store_blue(self, mapping: TableMapping, item: Item, row: Row, delete: bool) -> bool:
        """Write to DynamoDB as the library does."""
        if mapping is PROPERTIES:
            self.source.change_property(row[0], row[1], None if delete else row[2])
        elif delete:
            self.source.delete_key(mapping, item)
        else:
            self.source.send("PutItem", mapping, {"Item": item})
        return True

    def _store_green(self, mapping: TableMapping, item: Item, row: Row, delete: bool) -> bool:
        """Write to PostgreSQL as the library does; it is not done if a task has locked one of the rows."""
        connection = self.environment.control.connection
        try:
            with connection.transaction():
                old = self.relational.value(connection, row[0], row[1]) if mapping is PROPERTIES else None
                if delete:
                    self.relational.delete(connection, mapping, row)
                else:
                    self.relational.put(connection, mapping, row)
                if old and (delete or old != row[2]):
                    self.relational.release(connection, row[0], row[1], old)
                if mapping is PROPERTIES and not delete:
                    self.relational.claim(connection, *row)
        except psycopg.errors.LockNotAvailable:
            return False
        return True

    def _stray(self) -> None:
        """Write an attribute on the side that does not own its actor."""
        actor = self.source.rows.some_actor()
        item = self._item(actor, ATTRIBUTES)
        row = row_of(ATTRIBUTES, item)
        assert row is not None
        if not self.ownership.is_moving(actor):
            other = self.ownership.owner(actor).other
            store = self._store_green if other is Side.POSTGRESQL else self._store_blue
            if store(ATTRIBUTES, item, row, False):
                self.strayed.add(RowKey.of_item(ATTRIBUTES, item))

    def _give_up(self) -> None:
        """Let an actor of PostgreSQL give up a value that another one has too, and that nobody claims then."""
        rows = self.relational.rows(self.environment.control.connection, CLAIMS_V2)
        claimants = {(row[2], row[0]) for row in rows if self._is_green(row[2])}
        held = [key for key, row in sorted(self.last.items()) if (key.hash, _look_up(row)) in claimants]
        others = [key.hash for key in sorted(self.last) if key.table == ACTORS.name]
        others = [other for other in others if held and other != held[0].hash and not self.ownership.is_moving(other)]
        if not others:
            return
        key, other = held[0], self.random.choice(others)
        with suppress(psycopg.errors.LockNotAvailable):
            self._put_property(other, self.last[key][2])
            self._until_arrived(RowKey(PROPERTIES.name, other, INDEXED))
            if self._is_green(key.hash) and self._store(
                Side.POSTGRESQL, PROPERTIES, self._stored_item(key), self.last[key], delete=True
            ):
                self._remember(key, None)

    def _until_arrived(self, key: RowKey) -> None:
        """Let the others go on until both sides have what was written last, or for a while."""
        waiting: LiteralString = (
            "SELECT FROM {state}.dirty WHERE hash = %(id)s UNION ALL SELECT FROM {state}.marks WHERE hash = %(id)s"
        )
        for _ in range(40):
            for _ in range(50):
                self.scheduler.any_step()
            has_it = all(self._read(side, key) == self.last.get(key) for side in Side)
            if has_it and not self.rows(waiting, {"id": key.hash}):
                return

    def _put_property(self, actor: str, value: str) -> None:
        item = self.source.rows.property(actor, INDEXED, value)
        row = row_of(PROPERTIES, item)
        assert row is not None
        if self._store(self.ownership.owner(actor), PROPERTIES, item, row, delete=False):
            self._remember(RowKey.of_item(PROPERTIES, item), row)

    def _is_green(self, actor: str) -> bool:
        return self.ownership.owner(actor) is Side.POSTGRESQL and not self.ownership.is_moving(actor)

    # The end.

    def check(self) -> None:
        self._check_all()
        # By now the actors have moved, and nobody else changes what is given up.
        self._give_up()
        self.settle()
        self._check_all()

    def _check_all(self) -> None:
        for mapping in MOVED[:-1]:
            wanted = {row for key, row in self.last.items() if key.table == mapping.name}
            stored = self.source.items()[mapping]
            self._require(mapping, Side.DYNAMODB, wanted, {row_of(mapping, item) for item in stored})
            rows = self.relational.rows(self.environment.control.connection, mapping)
            self._require(mapping, Side.POSTGRESQL, wanted, rows)
        self._check_claims()
        self._check_marks()

    def _require(self, mapping: TableMapping, side: Side, wanted: set[Row], found: Any) -> None:
        if wanted != found:
            raise DivergedError(f"{mapping.name} in {side}: missing {wanted - found}, wrong {found - wanted}")

    def _check_claims(self) -> None:
        """PostgreSQL gives the same answer to a look-up as DynamoDB, and names a holder if DynamoDB has no answer.

        Once it owns all actors, nobody has to be found who did not claim the value.
        """
        holders = {(row[1], row[2], row[0]) for key, row in self.last.items() if key.table == PROPERTIES.name}
        blue = {item["lookup_key"]["S"]: item["actor_id"]["S"] for item in self.source.items()[CLAIMS_V2]}
        green = {row[0]: row[2] for row in self.relational.rows(self.environment.control.connection, CLAIMS_V2)}
        for value in VALUES:
            key = compute_lookup_key(INDEXED, value)
            answers = [claims.get(key) for claims in (blue, green)]
            valid = [claimant if (INDEXED, value, claimant) in holders else None for claimant in answers]
            if valid[1] != valid[0] is not None or (valid[1] is None is not answers[1]):
                raise DivergedError(f"look-up of {value}: DynamoDB says {answers[0]}, PostgreSQL says {answers[1]}")
            held = any(holder[:2] == (INDEXED, value) for holder in holders)
            if held and valid[1] is None and self.ownership.boundary < EVERYTHING:
                raise DivergedError(f"look-up of {value}: PostgreSQL finds nobody")

    def _check_marks(self) -> None:
        for table in ("dirty", "marks"):
            left = self.rows("SELECT table_name, hash, range, reason FROM {state}." + table)
            if left:
                raise DivergedError(f"left in {table}: {left}")
        found = self.rows(
            "SELECT table_name, hash, range FROM {state}.conflicts WHERE table_name <> 'property_lookup_v2'"
        )
        conflicts = {RowKey.of_stored(*row) for row in found}
        if not conflicts <= self.strayed:
            raise DivergedError(f"conflicts that nobody made: {conflicts - self.strayed}")
