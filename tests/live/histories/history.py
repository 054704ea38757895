"""A history: workers of the engine, a workload and events, interleaved by a seed until both sides have to be equal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, LiteralString

from psycopg.errors import LockNotAvailable, UndefinedTable

from actingweb.migration.errors import SourceError, TargetError
from actingweb.migration.live.state import State
from tests.live.histories.environment import Environment
from tests.live.histories.fake.service import FakeDynamoDB
from tests.live.histories.fake.streams import Shard, Stream
from tests.live.histories.nature import SeededWhims, Weather
from tests.live.histories.scheduler import Scheduler, Task
from tests.live.histories.sessions import ScheduledTarget

__all__ = ["DivergedError", "History", "Step"]

Step = Callable[[], object]
"""One bounded unit of work; it returns how much it did."""

_MOST_STEPS = 20_000
_SURVIVOR = "one"
_REST = 6
_OF_THE_ENGINE = ("reader", "scanner", "applier", "way back")
_PICTURE: tuple[LiteralString, ...] = (
    "SELECT table_name, hash, range, reason FROM {state}.dirty ORDER BY table_name, hash, range",
    "SELECT stream_arn, shard_id, position, finished FROM {state}.shards ORDER BY stream_arn, shard_id",
    "SELECT name, stream_arn, present, scanned FROM {state}.tables ORDER BY name",
    "SELECT table_name, segment, checkpoint, done FROM {state}.segments ORDER BY table_name, segment",
    "SELECT id, table_name, hash, range, reason FROM {state}.marks ORDER BY id",
    "SELECT id, closed_at FROM {state}.gaps ORDER BY id",
)
# Leases and pauses, so that the time that a history takes has no effect on it.
_AGE: LiteralString = (
    "WITH leases AS (UPDATE {state}.leases SET expires_at = expires_at - interval '1 hour' WHERE ctid IN"
    " (SELECT ctid FROM {state}.leases FOR UPDATE SKIP LOCKED)),"
    " dirty AS (UPDATE {state}.dirty SET due_at = due_at - interval '1 hour' WHERE ctid IN"
    " (SELECT ctid FROM {state}.dirty FOR UPDATE SKIP LOCKED))"
    " UPDATE {state}.marks SET due_at = due_at - interval '1 hour' WHERE ctid IN"
    " (SELECT ctid FROM {state}.marks FOR UPDATE SKIP LOCKED)"
)


class DivergedError(Exception):
    """The two sides are not equal at the end, or there is no end."""


@dataclass
class _Worker:
    """A worker that is started again when it is killed.

    Attributes:
        make: returns its step, for the name of the process that runs it.
        rest: how often it must have nothing to do until it counts as idle.
        lost: whether the server has ended its session, and it has not made a step since.
    """

    process: str
    name: str
    number: int
    make: Callable[[str], Step]
    task: Task | None = None
    started: int = 0
    rest: int = 0
    lost: bool = False


class History(ABC):
    """A history of one seed.

    Attributes:
        kills: how many more workers are killed.
        writes: how many more writes the application makes.
        events: how many more events there are.
    """

    gaps_happen = 0.3

    def __init__(self, environment: Environment, seed: int) -> None:
        self.random = Random(seed)
        self.environment = environment
        self.whims = SeededWhims(self.random)
        self.fake = FakeDynamoDB(self.whims)
        self.scheduler = Scheduler(self.random, environment.control.is_blocked)
        self.target = ScheduledTarget(environment.settings, scheduler=self.scheduler, control=environment.control)
        self.state = State(self.target)
        self.kills = self.random.randint(0, 12)
        self.writes = self.random.randint(4, 20)
        self.events = self.random.randint(0, 8)
        self.weather = Weather(self.random, self.fake, self, self.random.random() < self.gaps_happen)
        self.problems: list[str] = []
        self._workers: list[_Worker] = []

    def run(self) -> None:
        """Run it. Raise `DivergedError` if it does not end as it has to."""
        with self.begun():
            self.whims.calm = False
            self.prepare()
            self.live()
            self.settle()
            self.check()

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Set it up on empty servers; end all of its tasks behind the block."""
        self.environment.reset(self.fake, self.scheduler)
        try:
            self.whims.calm = True
            self.set_up()
            yield
        finally:
            self.scheduler.kill_all()
            self.target.close_all()

    @abstractmethod
    def set_up(self) -> None:
        """Create tables and rows."""

    @abstractmethod
    def prepare(self) -> None:
        """Prepare the migration, and start its workers."""

    @abstractmethod
    def write(self) -> None:
        """Make one write of the application."""

    @abstractmethod
    def check(self) -> None:
        """Raise `DivergedError` unless the two sides are equal."""

    def live(self) -> None:
        """Let workers, the application and nature go on by chance until nothing more is written."""
        while self.writes or self.events:
            self.act()
        for _ in range(self.random.randint(0, 60)):
            self.scheduler.any_step()

    def act(self) -> None:
        """Do one thing."""
        chance = self.random.random()
        if chance < 0.08 and self.writes:
            self.writes -= 1
            self.write()
        elif 0.08 <= chance < 0.1 and self.events:
            self.events -= 1
            self.strike()
        elif 0.1 <= chance < 0.105 and self.kills:
            self.kill_one()
        elif 0.105 <= chance < 0.12:
            # The leases of those that were killed end before others have nothing to do for long.
            self.age()
        else:
            task = self.scheduler.any_step()
            # What a transaction leaves to a later one is lost here.
            if task.committed and self.kills and self.random.random() < 0.1:
                self.kill_one(task)
            elif task.answered and self.random.random() < 0.3:
                # It stands still while the others do a lot.
                task.rest = self.random.randint(5, 40)

    def strike(self) -> None:
        """Let something happen that no request causes."""
        chance = self.random.random()
        if chance < 0.3:
            self.age()
        elif chance < 0.5:
            self.lose_session()
        else:
            self.weather.strike()

    def settle(self) -> None:
        """On the best of days, go on until no worker has anything to do."""
        self.whims.calm = True
        self.weather.clear_up()
        # The other process is gone for good.
        for worker in [worker for worker in self._workers if worker.process != _SURVIVOR]:
            self._workers.remove(worker)
            self._kill(worker)
        seen: Any = None
        while seen != (seen := self.picture()):
            self.age()
            for worker in self._workers:
                worker.rest = self.patience(worker.name)
            while busy := [worker for worker in self._workers if worker.rest > 0]:
                self._step_of(busy)
                if len(self.scheduler.trace) > _MOST_STEPS:
                    raise DivergedError("it does not end")

    def _step_of(self, workers: list[_Worker]) -> None:
        """Let one of these workers go on, or any, as they may wait for others."""
        tasks = [worker.task for worker in workers if worker.task is not None and worker.task.arrived.is_set()]
        if tasks and self.random.random() < 0.7:
            self.scheduler.step(self.random.choice(tasks))
        else:
            self.scheduler.any_step()

    @abstractmethod
    def patience(self, worker: str) -> int:
        """Return how often a worker must have nothing to do until there is nothing for it to do."""

    def picture(self) -> list[Any]:
        """Return all of the state that changes as long as something is done."""
        return [self.rows(statement) for statement in _PICTURE]

    def age(self) -> None:
        """Let leases expire and pauses end, except of rows that are locked."""
        # What creates the state locks whole tables.
        with suppress(LockNotAvailable, UndefinedTable):
            self.environment.control.connection.execute(self.state.sql(_AGE))

    # Workers.

    def employ(self, process: str, name: str, make: Callable[[str], Step]) -> None:
        """Start a worker of a process, which is started again when it is killed."""
        worker = _Worker(process, name, len(self._workers), make)
        self._workers.append(worker)
        self._start(worker)

    def run_to_end(self, name: str, function: Callable[[], object]) -> None:
        """Run a function beside all else, again if it is killed or fails, until it returns."""
        while True:
            done: list[bool] = []
            name_of_try = f"{name}.{len(self.scheduler.trace)}"
            task = self.scheduler.start(name_of_try, partial(self._once, function, done))
            while not task.ended:
                self.act_beside(task)
            self.target.close(task.name)
            if done:
                return

    def act_beside(self, task: Task) -> None:
        """Do one thing beside a task that runs to its end, or kill it."""
        if self.random.random() < 0.2:
            self.act()
        elif self.kills and task.arrived.is_set() and self.random.random() < 0.01:
            self.kills -= 1
            self.scheduler.kill(task)
        else:
            self.scheduler.any_step()

    def _once(self, function: Callable[[], object], done: list[bool]) -> None:
        try:
            function()
        except (SourceError, TargetError) as error:
            self.problems.append(str(error))
            return
        done.append(True)

    def kill_one(self, task: Task | None = None) -> None:
        """Kill a worker between two of its steps, that of the task if given, and start it again as another process."""
        ready = self._ready_workers()
        # Most that are killed are in the middle of something.
        at_work = [worker for worker in ready if worker.task is not None and not worker.task.rest]
        wanted = [worker for worker in ready if worker.task is task] if task else at_work or ready
        if wanted:
            self.kills -= 1
            worker = self.random.choice(wanted)
            self._kill(worker)
            self._start(worker)

    def _ready_workers(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.task is not None and worker.task.arrived.is_set()]

    def lose_session(self) -> None:
        """Let the server end the session of a worker, which sends requests to DynamoDB until it notices."""
        ready = [one for one in self._ready_workers() if one.name in _OF_THE_ENGINE and not one.lost]
        # What it has read is old when it writes, as it stands still.
        worker = self.random.choice([one for one in ready if one.task and one.task.answered] or ready or [None])
        if worker is not None and worker.task is not None:
            worker.lost = self.target.end_sessions(worker.task.name)
            worker.task.rest = self.random.randint(20, 100)

    def _kill(self, worker: _Worker) -> None:
        assert worker.task is not None
        # What it knows of its lost session is lost with it; a comparison would find that.
        while worker.lost or not worker.task.arrived.is_set():
            self.scheduler.any_step()
        self.scheduler.kill(worker.task)
        self.target.close(worker.task.name)

    def _start(self, worker: _Worker) -> None:
        worker.started += 1
        name = f"{worker.process} {worker.name} {worker.number}.{worker.started}"
        worker.task = self.scheduler.start(name, lambda: self._loop(worker, name))

    def _loop(self, worker: _Worker, name: str) -> None:
        step = worker.make(name)
        while True:
            try:
                done = step()
                worker.lost = False
            except (SourceError, TargetError) as error:
                self.problems.append(str(error))
                done = True
            worker.rest -= not done
            self.scheduler.switch(0 if done else _REST)

    # What the engine has stored.

    def rows(self, statement: LiteralString, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query; {state} and {schema} are filled in."""
        return self.environment.control.connection.execute(self.state.sql(statement), values).fetchall()

    def position(self, shard: Shard) -> int | None:
        """Return the last sequence number of a shard whose key is marked, None if it is not known or read yet."""
        found = self._shard(shard)
        return None if found is None or found[0] is None else int(found[0])

    def is_finished(self, shard: Shard) -> bool:
        """Tell whether a shard was read to its end."""
        found = self._shard(shard)
        return found is not None and bool(found[1])

    def knows(self, stream: Stream) -> bool:
        """Tell whether a stream is the one that is followed for its table."""
        return bool(self._known("SELECT FROM {state}.tables WHERE stream_arn = %(id)s", stream.arn))

    def _shard(self, shard: Shard) -> tuple[Any, ...] | None:
        found = self._known("SELECT position, finished FROM {state}.shards WHERE shard_id = %(id)s", shard.id)
        return next(iter(found), None)

    def _known(self, statement: LiteralString, id_: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none if there is no state yet."""
        try:
            return self.rows(statement, {"id": id_})
        except UndefinedTable:
            return []
