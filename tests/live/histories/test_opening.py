"""A table that appears while others are scanned: no order of the steps of both ends in a deadlock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from actingweb.migration.live.prepare import Preparation, prepare
from actingweb.migration.live.scanner import Scanner
from actingweb.migration.live.tables import SourceTables, open_table
from actingweb.migration.mapping import ACTORS, CLAIMS_V2, PROPERTIES
from tests.live.histories.environment import Environment
from tests.live.histories.forward import PREFIX, ForwardHistory
from tests.live.histories.scheduler import Task


class Appearing(ForwardHistory):
    """The table of the properties appears after the migration was prepared; claims are scanned again for it."""

    def set_up(self) -> None:
        self.source.tables, self.source.absent = [ACTORS, PROPERTIES, CLAIMS_V2], [PROPERTIES]
        self.source.create()
        options = Preparation(PREFIX, None, None, [], segments=1, enable_streams=True, by="test")
        prepare(self.state, self.environment.requests, options, lambda _: None, self.environment.sleep)
        self.source.create_table(PROPERTIES)

    def open(self) -> None:
        """Open the table as `prepare` does."""
        connection = self.target.connect()
        tables = SourceTables(self.environment.requests, PREFIX)
        table = tables.find(PROPERTIES)
        assert table is not None
        open_table(self.state, connection, tables, table, 1)

    def scan(self) -> None:
        """Scan all tables as `sync` does."""
        scanner = Scanner(self.state, self.environment.requests, self.target.connect, "test")
        while scanner.step():
            pass

    def advance(self, task: Task) -> None:
        """Let a task go on until it ends or waits for a lock."""
        while task.arrived.is_set() and not task.ended:
            self.scheduler.step(task)


@pytest.mark.parametrize("names", [("open", "scan"), ("scan", "open")])
def test_no_order_is_a_deadlock(found: Environment, names: tuple[str, str]) -> None:
    for steps in count():
        history = Appearing(found, 0)
        with history.begun():
            functions: list[Callable[[], None]] = [getattr(history, name) for name in names]
            first, second = map(history.scheduler.start, names, functions)
            for _ in range(steps):
                history.scheduler.step(first)
                if first.ended:
                    return
            while not history.scheduler.is_over:
                history.advance(second)
                history.advance(first)
