"""Threads that make the calls of coroutines, so that no call blocks an event loop.

A thread makes one call at a time. There are at most as many as a backend can use at once, and none before the first
call. No event loop is kept, so one loop can follow another, and several can run in several threads.
"""

import asyncio
import atexit
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from actingweb.db.exceptions import DbTimeoutError
from actingweb.db.settings import Settings, get_settings

__all__ = ["Followers", "Job", "Workers", "workers_of"]

T = TypeVar("T")

_NAME = "actingweb-aio"
_CONNECTIONS = 50
"""How many requests the client of DynamoDB sends at once; backends of other packages get as many threads."""
_BUSY = "no thread became free in time: try again later, make fewer calls at once, or raise PG_POOL_MAX_SIZE"
_EXIT_SECONDS = 10.0


class Job:
    """A call that a coroutine awaits.

    Its `repr` does not show the call, because arguments can be secret.

    Attributes:
        future: gets the outcome, unless nobody waits for it any more; None if nobody ever does.
        followers: the jobs that the same thread makes next; None if any thread may make the next job.
    """

    __slots__ = ("_call", "_context", "_error", "_result", "followers", "future")

    def __init__(
        self,
        call: Callable[[], Any],
        context: Context,
        future: "asyncio.Future[Any] | None",
        followers: "Followers | None" = None,
    ) -> None:
        self._call: Callable[[], Any] | None = call
        self._context = context
        self._error: BaseException | None = None
        self._result: Any = None
        self.future = future
        self.followers = followers

    def make(self) -> None:
        """Make the call in the current thread."""
        call, self._call = self._call, None
        try:
            self._result = None if call is None else self._context.run(call)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            self._error = error
        # The error's traceback refers to this frame.
        del call

    def withdraw(self) -> None:
        """Do not make the call, unless a thread has begun it."""
        self._call = None

    def deliver(self) -> None:
        """Give the outcome to the coroutine, if one waits."""
        if self.future is not None:
            loop = self.future.get_loop()
            try:
                loop.call_soon_threadsafe(self._settle)
            except RuntimeError:
                if not loop.is_closed():
                    raise

    def _settle(self) -> None:
        """Settle the future, in the thread of its loop."""
        future, error = self.future, self._error
        if future is not None and not future.done():
            if error is None:
                future.set_result(self._result)
            elif isinstance(error, StopIteration):
                # No coroutine can raise it.
                future.set_exception(RuntimeError("the call raised StopIteration"))
            else:
                future.set_exception(error)
        # The error's traceback refers to this object.
        self.future = self._error = self._result = error = None


Followers = SimpleQueue[Job | None]
"""Jobs that the thread of an earlier job makes next, one after the other, until None comes."""


class Workers:
    """At most `size` threads. A call that none takes within `seconds` raises `DbTimeoutError`. Thread-safe."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size = size
        self._seconds = seconds
        self._lock = threading.Lock()
        # The thread that was used last is used next, so that its caches are warm.
        self._idle: list[Followers] = []
        self._waiting: OrderedDict[Job, None] = OrderedDict()
        # Those whose threads wait for the next call of a transaction.
        self._paused: set[Followers] = set()
        self._count = 0
        self._is_closed = False

    async def run(self, call: Callable[[], T], context: Context | None = None, followers: Followers | None = None) -> T:
        """Make a call in a thread and return its result, or raise what it raises.

        If the coroutine is cancelled, a call that no thread has taken is not made. Otherwise the thread ends the call,
        and nobody gets the outcome.

        Args:
            call: what is called.
            context: the context of the call; by default a copy of the current one.
            followers: jobs that the same thread makes next.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = Job(call, copy_context() if context is None else context, future, followers)
        del call
        timer = None if self._hand_over(job) else loop.call_later(self._seconds, self._expire, job)
        try:
            return await future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            # What it raises refers to this frame.
            del job, future

    def close(self) -> None:
        """End the threads, each after the calls that it makes or that wait."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for inbox in idle:
            inbox.put(None)

    @property
    def busy(self) -> int:
        """How many threads make a call."""
        return self._count - len(self._idle) - len(self._paused)

    def _hand_over(self, job: Job) -> bool:
        """Give a job to a thread; return False if it has to wait for one."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
            if inbox is None and self._count == self._size:
                self._waiting[job] = None
                return False
            self._count += inbox is None
        if inbox is None:
            inbox = SimpleQueue()
            self._start(inbox)
        inbox.put(job)
        return True

    def _start(self, inbox: Followers) -> None:
        try:
            threading.Thread(target=self._work, args=(inbox,), name=_NAME, daemon=True).start()
        except BaseException:
            with self._lock:
                self._count -= 1
            raise

    def _work(self, inbox: Followers) -> None:
        """Make jobs until None comes."""
        for job in iter(inbox.get, None):
            following: Job | None = job
            del job
            while following is not None:
                following = self._make(following, inbox)

    def _make(self, job: Job, inbox: Followers) -> Job | None:
        """Make a job and those that follow it; return what `_next` returns."""
        job.make()
        if job.followers is None:
            # The thread is free before the coroutine goes on, so that its next call finds it.
            following = self._next(inbox)
            job.deliver()
            return following
        job.deliver()
        while (follower := self._follower(job.followers)) is not None:
            follower.make()
            follower.deliver()
        return self._next(inbox)

    def _follower(self, followers: Followers) -> Job | None:
        """Wait for the next call of a transaction; return None at its end."""
        self._paused.add(followers)
        try:
            return followers.get()
        finally:
            self._paused.discard(followers)

    def _next(self, inbox: Followers) -> Job | None:
        """Return the job that has waited longest; without one, wait for the next in `inbox`, and return None."""
        with self._lock:
            if self._waiting:
                return self._waiting.popitem(last=False)[0]
            if not self._is_closed:
                self._idle.append(inbox)
                return None
            self._count -= 1
        inbox.put(None)
        return None

    def _withdraw(self, job: Job) -> bool:
        """Let a job wait no longer; return False if a thread has taken it."""
        with self._lock:
            return self._waiting.pop(job, job) is None

    def _expire(self, job: Job) -> None:
        if self._withdraw(job) and job.future is not None and not job.future.done():
            job.future.set_exception(DbTimeoutError("connect", reason=_BUSY))


_workers: dict[str, tuple[Settings, Workers]] = {}
_lock = threading.Lock()


def workers_of(database: str) -> Workers:
    """Return the threads of a backend. Raise `ConfigurationError` for a bad setting."""
    settings = get_settings()
    known = _workers.get(database)
    if known is not None and known[0] is settings:
        return known[1]
    with _lock:
        known = _workers.get(database)
        if known is None or known[0] is not settings:
            if known is not None:
                known[1].close()
            known = _workers[database] = settings, _new_workers(database, settings)
    return known[1]


def _new_workers(database: str, settings: Settings) -> Workers:
    if database == "postgresql":
        return Workers(settings.postgresql.pool_max_size, settings.postgresql.pool_timeout)
    return Workers(_CONNECTIONS, settings.aws_db_timeout)


def _after_fork() -> None:
    """Forget the threads in a child process, which has none of them."""
    global _lock
    _lock = threading.Lock()
    _workers.clear()


def _finish() -> None:
    """Let the calls that nobody awaits any more end before the process does."""
    deadline = time.monotonic() + _EXIT_SECONDS
    while any(workers.busy for _, workers in _workers.values()) and time.monotonic() < deadline:
        time.sleep(0.01)


atexit.register(_finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
