"""The scheduler: one task at a time, the same history for the same seed, kills that leave no transaction."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from actingweb.db.postgresql.direct import connect
from actingweb.db.settings import Settings
from testbed.servers import PostgresTables
from tests.live.histories.scheduler import Scheduler
from tests.live.histories.sessions import Control, ScheduledTarget

_READ = "SELECT value::int FROM properties WHERE id = 'a' AND name = 'counter'"
_WRITE = "UPDATE properties SET value = %s WHERE id = 'a' AND name = 'counter'"


@pytest.fixture
def control(postgres_tables: PostgresTables) -> Iterator[Control]:
    """Return a connection beside the tasks, to a schema with a counter of 0."""
    settings = Settings.from_environment(postgres_tables.environment).postgresql
    with connect(settings) as connection:
        connection.execute(f'SET search_path TO "{settings.schema}"'.encode())
        connection.execute("INSERT INTO actors (id, creator, passphrase) VALUES ('a', '', '')")
        connection.execute("INSERT INTO properties (id, name, value) VALUES ('a', 'counter', '0')")
        yield Control(connection)
    postgres_tables.wipe()


class Counting:
    """Tasks that each add one to a counter several times, reading it first."""

    def __init__(self, tables: PostgresTables, control: Control, seed: int, lock: str) -> None:
        self.scheduler = Scheduler(Random(seed), control.is_blocked)
        settings = Settings.from_environment(tables.environment).postgresql
        self.target = ScheduledTarget(settings, scheduler=self.scheduler, control=control)
        self._control = control
        self._lock = lock
        self.acknowledged = 0
        control.connection.execute(_WRITE, ["0"])

    @property
    def counter(self) -> int:
        """The counter as it is stored."""
        row = self._control.connection.execute(_READ).fetchone()
        assert row is not None
        return int(row[0])

    def add(self) -> None:
        """Add one, three times."""
        connection = self.target.connect()
        connection.execute(f'SET search_path TO "{self.target.schema}"'.encode())
        for _ in range(3):
            with connection.transaction():
                row = connection.execute(f"{_READ} {self._lock}".encode()).fetchone()
                assert row is not None
                connection.execute(_WRITE, [str(row[0] + 1)])
            self.acknowledged += 1

    def run(self, kills: int = 0) -> None:
        """Run three tasks to their ends, and kill some."""
        tasks = [self.scheduler.start(f"task{n}", self.add) for n in range(3)]
        while not self.scheduler.is_over:
            task = self.scheduler.any_step()
            if kills and task in self.scheduler.ready and self.scheduler.random.random() < 0.1:
                kills -= 1
                self.scheduler.kill(task)
                self.target.close(task.name)
        assert all(task.ended for task in tasks)
        self.target.close_all()


def test_the_same_seed_gives_the_same_history(postgres_tables: PostgresTables, control: Control) -> None:
    found = []
    for seed in (1, 1, 2):
        counting = Counting(postgres_tables, control, seed, "FOR UPDATE")
        counting.run()
        found.append((counting.scheduler.predictable, counting.counter))
    assert found[0] == found[1] != found[2]
    assert len(found[0][0]) > 5


def test_interleavings_are_found_that_lose_updates(postgres_tables: PostgresTables, control: Control) -> None:
    found = set()
    for seed in range(5):
        counting = Counting(postgres_tables, control, seed, "")
        counting.run()
        found.add(counting.counter)
    assert min(found) < 9


def test_a_task_that_waits_for_a_lock_passes_the_baton_on(postgres_tables: PostgresTables, control: Control) -> None:
    for seed in range(5):
        counting = Counting(postgres_tables, control, seed, "FOR UPDATE")
        counting.run()
        assert counting.counter == 9


def test_a_killed_task_leaves_whole_transactions(postgres_tables: PostgresTables, control: Control) -> None:
    missed = 0
    for seed in range(10):
        counting = Counting(postgres_tables, control, seed, "FOR UPDATE")
        counting.run(kills=2)
        # Who is killed behind its commit cannot acknowledge it.
        assert 0 <= counting.counter - counting.acknowledged <= 2
        missed += 9 - counting.counter
    assert missed


def test_what_a_task_raises_is_raised(control: Control) -> None:
    scheduler = Scheduler(Random(0), control.is_blocked)

    def fail() -> None:
        raise ValueError("on purpose")

    scheduler.start("task", fail)
    with pytest.raises(ValueError, match="on purpose"):
        scheduler.any_step()
