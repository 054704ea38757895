"""Histories from PostgreSQL to DynamoDB: tasks of an application write to PostgreSQL, several appliers follow."""

from __future__ import annotations

from contextlib import suppress

from psycopg import errors

from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.way_back import WayBack, prepare_from_postgresql
from actingweb.migration.mapping import ACTORS, CLAIMS_V2, PROPERTIES, TableMapping
from tests.live.histories.environment import Environment
from tests.live.histories.expected import Row, row_of
from tests.live.histories.forward import PREFIX
from tests.live.histories.history import DivergedError, History, Step
from tests.live.histories.relational import AnyConnection, Relational
from tests.live.histories.rows import ATTRIBUTES, INDEXED, SUBSCRIPTIONS, Rows

__all__ = ["MOVED", "BackwardHistory"]

MOVED = (ACTORS, PROPERTIES, ATTRIBUTES, SUBSCRIPTIONS, CLAIMS_V2)
_REFUSED = (errors.ForeignKeyViolation, errors.LockNotAvailable, errors.DeadlockDetected)


class BackwardHistory(History):
    """A history from PostgreSQL to DynamoDB."""

    gaps_happen = 0.0

    def __init__(self, environment: Environment, seed: int) -> None:
        super().__init__(environment, seed)
        self.writes = self.random.randint(4, 10)
        self.data = Rows(self.random, ["a", "b", "c"][: self.random.randint(1, 3)])
        self.relational = Relational(environment.state.target)

    def set_up(self) -> None:
        connection = self.environment.control.connection
        for mapping in MOVED[:-1]:
            for item in self.data.keys(mapping):
                if self.random.random() < 0.6:
                    self._write_one(connection, mapping, row_of(mapping, item), delete=False)

    def prepare(self) -> None:
        options = WayBack(PREFIX, None, None, [INDEXED], use_lookup_table=True, by="history")
        requests, sleep = self.environment.requests, self.environment.sleep
        for process in ("one", "two"):
            self.employ(process, "application", self._application)
        self.run_to_end(
            "prepare", lambda: prepare_from_postgresql(self.state, requests, options, lambda _: None, sleep)
        )
        # Most is written when the appliers have begun.
        self.writes += self.random.randint(10, 30)
        for process in ("one", "one", "two", "two"):
            self.employ(process, "applier", self._applier)

    def patience(self, worker: str) -> int:
        return 2

    def write(self) -> None:
        """Leave it to the tasks."""
        self.scheduler.any_step()
        self.writes += 1

    def _application(self, _: str) -> Step:
        connection = self.target.connect()

        def step() -> bool:
            if not self.writes or self.random.random() < 0.5:
                return False
            self.writes -= 1
            with suppress(*_REFUSED), connection.transaction():
                for _ in range(self.random.randint(1, 3)):
                    mapping = self.random.choice(MOVED[:-1])
                    row = row_of(mapping, self.data.some(mapping))
                    self._write_one(connection, mapping, row, delete=self.random.random() < 0.3)
            return True

        return step

    def _write_one(self, connection: AnyConnection, mapping: TableMapping, row: Row | None, *, delete: bool) -> None:
        if row is None:
            return
        with suppress(errors.ForeignKeyViolation), connection.transaction():
            old = self.relational.value(connection, *row[:2]) if mapping is PROPERTIES else None
            if delete:
                self.relational.delete(connection, mapping, row)
            else:
                self.relational.put(connection, mapping, row)
            if mapping is PROPERTIES and row[1] == INDEXED:
                self._move_claim(connection, row, old, None if delete else row[2])

    def _move_claim(self, connection: AnyConnection, row: Row, old: str | None, new: str | None) -> None:
        if old and old != new:
            self.relational.release(connection, row[0], row[1], old)
        if new:
            self.relational.claim(connection, row[0], row[1], new)

    def _applier(self, _: str) -> Step:
        batch = self.random.randint(1, 5)
        return BackwardApplier(self.state, self.environment.requests, self.target.connect, batch, at_once=1).step

    def check(self) -> None:
        left = self.rows("SELECT table_name, hash, range, reason FROM {state}.marks")
        rejected = {RowKey.of_stored(*key) for *key, reason in left if reason is not None}
        if any(reason is None for *_, reason in left):
            raise DivergedError(f"still marked: {left}")
        twice = set()
        for mapping in MOVED:
            rows = self.relational.rows(self.environment.control.connection, mapping)
            keys = [RowKey.of_row(mapping, row) for row in rows]
            twice |= {key for key in keys if keys.count(key) > 1}
            self._require_equal(mapping, {row for row in rows if RowKey.of_row(mapping, row) not in twice}, twice)
        if rejected != twice:
            raise DivergedError(f"rejects: {rejected}, not {twice}")

    def _require_equal(self, mapping: TableMapping, rows: set[Row], left_out: set[RowKey]) -> None:
        table = self.fake.tables[f"{PREFIX}_{mapping.layout.suffix}"]
        items = [item for item in table.items.values() if RowKey.of_item(mapping, item) not in left_out]
        found = {row_of(mapping, item) for item in items}
        if found != rows or len(found) < len(items):
            raise DivergedError(f"{mapping.name}: missing {rows - found}, wrong {found - rows}")
