"""psycopg_pool with connections opened by the caller that needs one. No other module uses psycopg_pool's internals.

psycopg_pool opens connections in background threads, which it starts with the pool: while they retry, a caller waits
until its timeout and never gets the connect error. No public hook changes that.
tests/postgresql/test_pool_internals.py checks that the installed release of psycopg_pool has all the names.
"""

from time import monotonic
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg_pool import ConnectionPool
from psycopg_pool.pool import AddConnection, MaintenanceTask, ReturnConnection, ShrinkPool

__all__ = ["PRIVATE_NAMES", "UNDOCUMENTED_NAMES", "CallerOpenedPool"]

# Taking a connection out of psycopg_pool takes a few microseconds.
_WAITED_SECONDS = 0.001

C = TypeVar("C", bound=psycopg.Connection[Any])

PRIVATE_NAMES: Final = (
    # Opens a connection in the calling thread, with the public hooks.
    "_connect",
    # Guards the next two.
    "_lock",
    # The number of connections, including those being opened. It falls when opening fails or a connection is lost.
    "_nconns",
    # The waiting callers. Each is woken with permission to open a connection, or with the error of the last attempt.
    "_waiting",
    # Called under the lock when a caller starts to wait. In psycopg_pool it lets a thread open a connection.
    "_maybe_grow_pool",
    # Starts the threads. Here they are started only when there are idle connections to close.
    "_start_workers",
)
"""The private names of psycopg_pool's `ConnectionPool` that this module uses, each with the reason."""

UNDOCUMENTED_NAMES: Final = (
    "ConnectionPool.run_task",
    "ConnectionPool.schedule_task",
    "AddConnection",
    "ReturnConnection",
    "ShrinkPool",
    "WaitingClient.fail",
)
"""The public but undocumented names of `psycopg_pool.pool` that this module uses."""


class _Vacancy(BaseException):
    """Wakes a waiting caller, which then opens a connection. The pool counts that connection already.

    Not an `Exception`: psycopg_pool would count it as a failed request.
    """


class CallerOpenedPool(ConnectionPool[C]):
    """A pool whose connections are opened by the caller that needs one, so it gets the connect error at once.

    If the pool then has no other connection, all waiting callers get that error. No connection is opened before it is
    needed. Threads only close idle connections, and start when there are more than `min_size`.
    """

    def __init__(self, conninfo: str, *, min_size: int, **options: Any) -> None:
        super().__init__(conninfo, min_size=min_size, num_workers=1, open=False, **options)
        self._nconns = 0
        self._has_threads = False
        self.open()

    def getconn(self, timeout: float | None = None) -> C:
        """Return a connection. Raise `psycopg.Error` if none can be opened, `PoolTimeout` if none is free in time."""
        began = monotonic()
        try:
            connection = super().getconn(timeout)
        except _Vacancy:
            connection = None
        if (seconds := monotonic() - began) > _WAITED_SECONDS:
            self.waited(seconds)
        return connection or self._open_connection()

    def waited(self, seconds: float) -> None:
        """Take note that a caller waited for a connection."""

    def discard(self, connection: C) -> None:
        """Close a connection instead of returning it with `putconn`. The next caller that needs one opens another."""
        connection.close()
        self._vacate(None)

    def run_task(self, task: MaintenanceTask) -> None:
        """Run a task in the thread of the caller that caused it; only the threads close idle connections."""
        if isinstance(task, AddConnection):
            # psycopg_pool has closed a connection, and this task would open another.
            self._vacate(None)
        elif isinstance(task, ReturnConnection):
            task.run()
        elif self._has_threads:
            super().run_task(task)

    def _open_connection(self) -> C:
        """Return a new connection, which the pool counts already."""
        try:
            connection = self._connect()
        except BaseException as error:
            self._vacate(error if isinstance(error, Exception) else None)
            raise
        if self._nconns > self.min_size:
            self._start_threads()
        return connection

    def _vacate(self, failure: Exception | None) -> None:
        """Count one connection less. If it was the last and failed to open, raise `failure` in all waiting callers."""
        with self._lock:
            self._nconns -= 1
            if failure is None:
                self._maybe_grow_pool()
            elif self._nconns == 0:
                while self._waiting:
                    self._waiting.popleft().fail(failure)

    def _maybe_grow_pool(self) -> None:
        while self._waiting and self._nconns < self.max_size:
            # False if that caller has timed out.
            if self._waiting.popleft().fail(cast(Exception, _Vacancy())):
                self._nconns += 1

    def _start_workers(self) -> None:
        """Do not start the threads yet."""

    def _start_threads(self) -> None:
        with self._lock:
            if not self._has_threads and not self.closed:
                self._has_threads = True
                super()._start_workers()
                self.schedule_task(ShrinkPool(self), self.max_idle)
