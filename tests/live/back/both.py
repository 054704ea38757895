"""Both sides of a live migration, as tests prepare, change and compare them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from actingweb.db.settings import Settings
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.live.triggers import MARKED
from actingweb.migration.live.way_back import WayBack, prepare_from_postgresql
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import Connection, Target
from tests.support import wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

W = TypeVar("W", bound=Worker)
Items = dict[str, dict[tuple[str, ...], Any]]
"""Items by table and by the texts of their key."""


Disturb = Callable[[str, str, dict[str, Any]], None]
"""Called with "before" or "after", the operation and the request."""


@dataclass(frozen=True)
class Both:
    """Both sides, and the state between them."""

    state: State
    requests: Requests
    prefix: str
    client: DynamoDBClient
    opened: list[Worker] = field(default_factory=list)

    def prepare(self) -> None:
        """Prepare a migration from PostgreSQL, and mark all rows."""
        options = WayBack(self.prefix, None, None, ("email",), True, "test")
        prepare_from_postgresql(self.state, self.requests, options, lambda _: None)

    def applier(self, **changes: Any) -> BackwardApplier:
        """Return a new applier."""
        return self.open(BackwardApplier(self.state, changes.pop("requests", self.requests), self.connect, **changes))

    def open(self, worker: W) -> W:
        """Return a worker, which is closed when the test ends."""
        self.opened.append(worker)
        return worker

    def connect(self) -> Connection:
        """Return a new connection of the tool."""
        return self.state.connect()

    def drain(self, applier: BackwardApplier | None = None) -> None:
        """Apply all marks but those of rejects."""
        worker = applier or self.applier()
        wait_until(lambda: worker.step() == 0 and self.waiting() == 0)

    def hurry(self) -> None:
        """Let all marks be due."""
        self.rows("UPDATE {state}.marks SET due_at = now()")

    def waiting(self) -> int:
        """Return how many marks are neither applied nor rejected."""
        return int(self.value("SELECT count(*) FROM {state}.marks WHERE reason IS NULL"))

    def reasons(self) -> list[tuple[str, str, str, str]]:
        """Return the rejected keys with their reasons."""
        return self.rows(
            "SELECT table_name, hash, range, reason FROM {state}.marks WHERE reason IS NOT NULL ORDER BY id"
        )

    def marks(self) -> list[tuple[str, str, str]]:
        """Return the marked keys."""
        return self.rows("SELECT table_name, hash, range FROM {state}.marks ORDER BY id")

    def take_marks(self) -> list[tuple[str, str, str]]:
        """Return the marked keys, and delete the marks."""
        return self.rows("DELETE FROM {state}.marks RETURNING table_name, hash, range")

    def disturbed(self, disturb: Disturb) -> Disturbed:
        """Return the requests, of which each calls `disturb` before and after it is sent."""
        return Disturbed(self.requests, disturb)

    def through_settings(self) -> BackwardApplier:
        """Return an applier whose PostgreSQL is the one that the settings of the test name."""
        state = State(Target(Settings.from_environment(os.environ).postgresql))
        return self.open(BackwardApplier(state, self.requests, state.connect))

    def value(self, statement: LiteralString) -> Any:
        """Return the one value that a statement selects."""
        ((value,),) = self.rows(statement)
        return value

    def rows(self, statement: LiteralString) -> list[Any]:
        """Return the rows of a statement."""
        with self.connect() as connection:
            done = connection.execute(self.state.sql(statement))
            return done.fetchall() if done.description else []

    def items(self, prefix: str | None = None, tables: Iterable[TableMapping] = MARKED) -> Items:
        """Return all items of the tables with a prefix; JSON text in them is decoded."""
        return {mapping.name: self._items(mapping, prefix or self.prefix) for mapping in tables}

    def _items(self, mapping: TableMapping, prefix: str) -> dict[tuple[str, ...], Any]:
        pages = self.client.get_paginator("scan").paginate(
            TableName=f"{prefix}_{mapping.layout.suffix}", ConsistentRead=True
        )
        found: list[dict[str, Any]] = [item for page in pages for item in page["Items"]]
        for item in found:
            if "data" in item and mapping.name == "attributes":
                item["data"] = json.loads(item["data"]["S"])
        return {tuple(item[name]["S"] for name in mapping.layout.key_names): item for item in found}


@dataclass
class Disturbed:
    """Requests of which some are disturbed: `disturb` is called with each before and after it was sent."""

    requests: Requests
    disturb: Disturb

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.disturb("before", operation, request)
        answer = self.requests.call(operation, request)
        self.disturb("after", operation, request)
        return answer

    def streams_call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.requests.streams_call(operation, request)
