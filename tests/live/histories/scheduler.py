"""A seeded scheduler: threads of which only one runs at a time, and any can be killed between two of its steps.

A task passes the baton at each switch point: after each request to DynamoDB and each statement of PostgreSQL. A task
that waits for a lock in PostgreSQL, as the server says, passes it too. So the same seed gives the same history, until
two tasks wait at once: PostgreSQL lets either be the first to lock a row that was changed meanwhile.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from testbed.threads import PATIENCE

__all__ = ["Killed", "Scheduler", "Task"]

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.05
_PATIENCE = 30.0


class Killed(BaseException):
    """Raised in a task that is killed, from its switch point on."""


class _Signal:
    """A flag for which one thread waits at a time; an event of `threading` costs several times as much."""

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return not self._unset.locked()

    def set(self) -> None:
        """Set it."""
        if self._unset.locked():
            self._unset.release()

    def clear(self) -> None:
        """Take it back."""
        self._unset.acquire(blocking=False)

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most; tell whether it is."""
        if self._unset.acquire(timeout=timeout):
            self._unset.release()
            return True
        return False


_thread = threading.local()
"""Has the `task` of a thread."""


class Task:
    """A function in a thread of its own.

    Attributes:
        arrived: set while the task waits at a switch point, or has ended.
        statement: the server process that executes a statement of the task now.
        committed: whether its last step was the end of a transaction.
        answered: whether its last step was to read items, which grow old from then on.
        rest: how often the task is passed over when it is chosen by chance, as it has little to do.
        failure: what it raised.
    """

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        self.name = name
        self.killed = False
        self.ended = False
        self.failure: BaseException | None = None
        self.arrived = _Signal()
        self.statement: int | None = None
        self.committed = False
        self.answered = False
        self.rest = 0
        self._function = function
        self._baton = threading.Lock()
        self._baton.acquire()
        # A daemon, so that a task that hangs fails its test and no more.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def go(self) -> None:
        """Give the task the baton."""
        self.arrived.clear()
        self._baton.release()

    def pause(self) -> None:
        """Wait for the baton. Raise `Killed` if the task was killed meanwhile."""
        self.arrived.set()
        self._baton.acquire()
        self.check()

    def check(self) -> None:
        """Raise `Killed` if the task was killed."""
        if self.killed:
            raise Killed

    def place(self) -> str:
        """Return where the task is."""
        return "".join(traceback.format_stack(sys._current_frames()[self._thread.ident or 0]))

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        _thread.task = self
        with suppress(Killed):
            try:
                self.pause()
                self._function()
            except Killed:
                raise
            except BaseException as failure:  # noqa: BLE001 - `Scheduler.step` raises it
                self.failure = failure
        self.ended = True
        self.arrived.set()


class Scheduler:
    """Runs tasks, one at a time.

    Attributes:
        random: decides which task is next.
        trace: the names of the tasks that were given the baton, in order.
        commits: how many transactions were committed.
        released: set when a transaction ends, or a part of it, which may have kept others waiting.
    """

    def __init__(self, random: Random, is_blocked: Callable[[int], bool]) -> None:
        """`is_blocked` tells whether a server process of PostgreSQL waits for a lock of another."""
        self.random = random
        self.trace: list[str] = []
        self.commits = 0
        self.released = False
        self._contended: int | None = None
        self._is_blocked = is_blocked
        self._tasks: list[Task] = []

    def start(self, name: str, function: Callable[[], object]) -> Task:
        """Start a task, which runs when it is chosen."""
        task = Task(name, function)
        task.arrived.wait(PATIENCE)
        self._tasks.append(task)
        return task

    @property
    def predictable(self) -> list[str]:
        """The part of the trace that the seed alone decides: up to the first step after which two tasks waited."""
        return self.trace[: self._contended]

    @property
    def ready(self) -> list[Task]:
        """The tasks that can be given the baton."""
        return [task for task in self._tasks if task.arrived.is_set()]

    @property
    def is_over(self) -> bool:
        """Tell whether all tasks have ended."""
        return not self._tasks

    def step(self, task: Task) -> None:
        """Let a ready task run to its next switch point, or until it waits for a lock. Raise what it raises."""
        self.trace.append(task.name)
        task.committed = task.answered = False
        task.go()
        self._settle(task)
        self.settle_waiting()
        if self._contended is None and len(self._tasks) - len(self.ready) > 1:
            self._contended = len(self.trace)
        for ended in [other for other in self._tasks if other.ended]:
            self._tasks.remove(ended)
            ended.join()
            if ended.failure is not None:
                raise ended.failure

    def settle_waiting(self) -> None:
        """Let those go on that waited for a lock which was released."""
        while self.released:
            self.released = False
            for other in [other for other in self._tasks if not other.arrived.is_set()]:
                self.released |= self._settle(other, look=0)

    def any_step(self) -> Task:
        """Let any of the ready tasks run to its next switch point."""
        while not self.ready:
            # All wait for each other, until the server sees it.
            time.sleep(_FIRST_LOOK)
        while (task := self.random.choice(self.ready)).rest > 0:
            task.rest -= 1
        self.step(task)
        return task

    def kill(self, task: Task) -> None:
        """Kill a ready task: it executes no further statement and sends no further request."""
        task.killed = True
        self.step(task)

    def kill_all(self) -> None:
        """Kill all tasks, at the end of a history."""
        for task in self._tasks:
            task.killed = True
            task.go()
        for task in self._tasks:
            task.join()
        self._tasks.clear()

    def switch(self, rest: int = 0) -> None:
        """Pass the baton on, if a task calls it, which is then passed over `rest` times."""
        task = self.current
        if task is not None:
            task.rest = rest
        with self.request():
            pass

    @contextmanager
    def request(self) -> Iterator[None]:
        """Mark the block as a step of the task that calls it; pass the baton on behind it."""
        task = self.current
        if task is None:
            yield
            return
        task.check()
        try:
            yield
        finally:
            task.pause()

    @property
    def current(self) -> Task | None:
        """The task whose thread calls this, None if it is no task's."""
        return getattr(_thread, "task", None)

    @contextmanager
    def statement(self, process: int) -> Iterator[None]:
        """Mark the block as a statement that a server process executes; pass the baton on behind it."""
        task = self.current
        with self.request():
            if task is not None:
                task.statement = process
            try:
                yield
            finally:
                if task is not None:
                    task.statement = None

    def _settle(self, task: Task, look: float = _FIRST_LOOK) -> bool:
        """Wait until a task is at a switch point, or waits for a lock; tell whether it is at one.

        `look` is for how long it is waited before the server is asked for the first time.
        """
        deadline = time.monotonic() + _PATIENCE
        while not task.arrived.wait(look):
            process = task.statement
            if process is not None and self._is_blocked(process):
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"task {task.name} does not come to a switch point:\n{task.place()}")
            look = min(2 * look or _FIRST_LOOK, _LONGEST_LOOK)
        return True
