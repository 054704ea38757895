"""psycopg_pool with connections opened by the caller that needs one: all that touches psycopg_pool's internals.

psycopg_pool opens connections in threads of its own, which run from the start, and no public hook changes that: a
caller waits until its timeout while the threads meet one error after the other.
tests/postgresql/test_pool_internals.py names what a release of psycopg_pool lacks.
"""

from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg_pool import ConnectionPool
from psycopg_pool.pool import AddConnection, MaintenanceTask, ReturnConnection, ShrinkPool

__all__ = ["PRIVATE_NAMES", "UNDOCUMENTED_NAMES", "CallerOpenedPool"]

C = TypeVar("C", bound=psycopg.Connection[Any])

PRIVATE_NAMES: Final = (
    # Opens a connection in the calling thread, by the public hooks.
    "_connect",
    # Guards the two that follow.
    "_lock",
    # Counts the places that are taken. A place is free again when opening its connection failed, or when that was lost.
    "_nconns",
    # Those who wait, who are told that a place is free, or why the last connection could not be opened.
    "_waiting",
    # Is asked, under the lock, to make room for one who waits. psycopg_pool's own has a thread do it.
    "_maybe_grow_pool",
    # Starts the threads, which are left for later.
    "_start_workers",
)
"""What is private to psycopg_pool's `ConnectionPool`, each with the reason for its use."""

UNDOCUMENTED_NAMES: Final = (
    "ConnectionPool.run_task",
    "ConnectionPool.schedule_task",
    "AddConnection",
    "ReturnConnection",
    "ShrinkPool",
    "WaitingClient.fail",
)
"""What has a public name in `psycopg_pool.pool`, but is not in its documentation."""


class _Vacancy(BaseException):
    """Tells who waits that a place is reserved for a connection it opens.

    No `Exception`, for psycopg_pool counts those as failed requests.
    """


class CallerOpenedPool(ConnectionPool[C]):
    """A pool whose connections are opened by the caller that needs one, so it gets the connect error at once.

    If no other connection is left, all who wait get that error. No connection is opened, and no thread started, before
    it is needed: the threads close idle connections, of which there are none up to `min_size`.
    """

    def __init__(self, conninfo: str, *, min_size: int, **options: Any) -> None:
        super().__init__(conninfo, min_size=min_size, num_workers=1, open=False, **options)
        self._nconns = 0
        self._has_threads = False
        self.open()

    def getconn(self, timeout: float | None = None) -> C:
        """Return a connection. Raise `psycopg.Error` if none can be opened, `PoolTimeout` if none is given back."""
        try:
            return super().getconn(timeout)
        except _Vacancy:
            pass
        return self._open_connection()

    def discard(self, connection: C) -> None:
        """Close a connection that was taken out, in place of `putconn`. The next who needs one opens another."""
        connection.close()
        self._vacate(None)

    def run_task(self, task: MaintenanceTask) -> None:
        """Do in the calling thread what a caller caused; leave the closing of idle connections to the threads."""
        if isinstance(task, AddConnection):
            # The connection that this one would replace is closed.
            self._vacate(None)
        elif isinstance(task, ReturnConnection):
            task.run()
        elif self._has_threads:
            super().run_task(task)

    def _open_connection(self) -> C:
        """Return a new connection for the place that was reserved."""
        try:
            connection = self._connect()
        except BaseException as error:
            self._vacate(error if isinstance(error, Exception) else None)
            raise
        if self._nconns > self.min_size:
            self._start_threads()
        return connection

    def _vacate(self, failure: Exception | None) -> None:
        """Give a place up; if it was the last one, `failure` is the answer to all who wait."""
        with self._lock:
            self._nconns -= 1
            if failure is None:
                self._maybe_grow_pool()
            elif self._nconns == 0:
                while self._waiting:
                    self._waiting.popleft().fail(failure)

    def _maybe_grow_pool(self) -> None:
        while self._waiting and self._nconns < self.max_size:
            # One that has timed out does not accept.
            if self._waiting.popleft().fail(cast(Exception, _Vacancy())):
                self._nconns += 1

    def _start_workers(self) -> None:
        """Leave the threads for later."""

    def _start_threads(self) -> None:
        with self._lock:
            if not self._has_threads and not self.closed:
                self._has_threads = True
                super()._start_workers()
                self.schedule_task(ShrinkPool(self), self.max_idle)
