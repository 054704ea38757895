"""The connection pool."""

from threading import RLock
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed

from actingweb.db.events import connection_waited
from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.conninfo import pool_string
from actingweb.db.postgresql.password import fresh_password
from actingweb.db.postgresql.pool_internals import CallerOpenedPool
from actingweb.db.postgresql.pooled_connection import BACKEND, PooledConnection
from actingweb.db.settings import PostgresSettings
from actingweb.db.threads import require_same_threads

__all__ = ["Pool"]

_OPTIONS: dict[str, Any] = {"autocommit": True, "context": ADAPTERS}
_KEPT_SECONDS = 60.0
# With a timeout of 0, psycopg_pool does not return even an idle connection.
_LEAST_TIMEOUT = 0.1


class Pool(CallerOpenedPool[PooledConnection]):
    """A psycopg_pool `ConnectionPool` whose connections are opened by the callers, with a fast path for idle ones.

    This class keeps up to `min_size` idle connections, which are not closed however long they are idle. psycopg_pool
    counts them as in use. Reusing them skips its bookkeeping, which takes several percent of a read. A connection that
    was taken out of psycopg_pool more than a minute ago is returned to it, so that it can close an old one. All other
    connections are managed by psycopg_pool.

    Attributes:
        schema: the schema with the tables.
        pooled: whether a pooler stands between this pool and the server; None before the first connection.
        has_known_schema: whether the schema has been checked and can be used.
        distributed: whether the server forwards statements to others or is not PostgreSQL, so that transactions need
            BEGIN and COMMIT; None while unknown.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        """Open no connection yet. Raise `ConfigurationError` for a bad setting."""
        self.schema = settings.schema
        self.has_known_schema = False
        self.pooled = {"on": True, "off": False}.get(settings.pooler)
        self.distributed = {"on": True, "off": False}.get(settings.explicit_transactions)
        self._settings = settings
        self._is_abandoned = False
        self._is_open = True
        self._kept: list[PooledConnection] = []
        self._kept_lock = RLock()
        self._hits = 0
        self._pending = 0
        self._drained = 0.0
        super().__init__(
            pool_string(settings),
            connection_class=PooledConnection,
            kwargs=self._options,
            configure=self._set_up,
            min_size=settings.pool_min_size,
            max_size=settings.pool_max_size,
            timeout=settings.pool_timeout,
        )

    @property
    def closed(self) -> bool:
        """Whether the pool is closed, or belongs to another process."""
        return self._is_abandoned or super().closed

    def getconn(self, timeout: float | None = None) -> PooledConnection:
        """Return a connection that looks alive without a round trip: its socket is open and has no unread input.

        Raise `psycopg.Error` if none can be opened, `PoolTimeout` if none is returned within `timeout` seconds.
        """
        while True:
            connection = self._take() or self._borrow(timeout)
            if not connection.has_input() or self._answers(connection):
                return connection
            connection.report_loss()
            self.discard(connection)

    def putconn(self, conn: PooledConnection) -> None:
        """Return a connection to the pool; a closed one frees its slot. Raise `ValueError` for one of another pool."""
        is_reusable = (
            conn.pgconn.transaction_status == TransactionStatus.IDLE
            and conn.lent_at > self._drained
            and monotonic() < conn.lent_at + _KEPT_SECONDS
        )
        with self._kept_lock:
            if conn.lender is not self:
                raise ValueError(f"cannot return a connection that pool {self.name!r} has not lent: {conn}")
            conn.lender = None
            # Callers that found no kept connection wait in psycopg_pool, so this one has to go there.
            if is_reusable and not self._pending and len(self._kept) < self.min_size and self._is_open:
                self._kept.append(conn)
                return
        if self._is_abandoned:
            return
        if conn.closed:
            self.discard(conn)
        else:
            super().putconn(conn)

    def drain(self) -> None:
        """Close the idle connections now, and those in use when they are returned."""
        super().drain()
        self._drained = monotonic()
        self._give_back()

    def waited(self, seconds: float) -> None:
        """Take note that a caller waited for a connection."""
        connection_waited(BACKEND, seconds)

    def check(self) -> None:
        """Close the idle connections that do not answer."""
        self._give_back()
        super().check()

    def close(self, timeout: float = 5.0) -> None:
        """Close the pool. A connection in use is closed when it is returned."""
        if not self.closed:
            super().close(timeout)
            self._is_open = False
            self._give_back()

    def get_stats(self) -> dict[str, int]:
        """Return psycopg_pool's statistics of the pool."""
        return self._with_kept(super().get_stats())

    def pop_stats(self) -> dict[str, int]:
        """Return the statistics, and reset the counters."""
        stats, self._hits = self._with_kept(super().pop_stats()), 0
        return stats

    def abandon(self) -> None:
        """Stop using the pool after a fork: connections, locks and threads belong to the parent process."""
        self._is_abandoned = True
        self._is_open = False
        self._kept, self._kept_lock = [], RLock()

    def __del__(self) -> None:
        if not self._is_abandoned:
            super().__del__()

    def _take(self) -> PooledConnection | None:
        """Return a kept connection; if there is none, count the caller as pending, and return None."""
        with self._kept_lock:
            if not self._kept:
                self._pending += 1
                return None
            connection = self._kept.pop()
            connection.lender = self
            self._hits += 1
            return connection

    def _borrow(self, timeout: float | None) -> PooledConnection:
        """Return a connection from psycopg_pool to a caller that is pending."""
        try:
            if self._is_abandoned:
                raise PoolClosed(f"the pool {self.name!r} belongs to another process")
            require_same_threads()
            connection = super().getconn(None if timeout is None else max(timeout, _LEAST_TIMEOUT))
        finally:
            with self._kept_lock:
                self._pending -= 1
        connection.lender = self
        connection.lent_at = monotonic()
        return connection

    def _give_back(self) -> None:
        """Return the kept connections to psycopg_pool."""
        with self._kept_lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            super().putconn(connection)

    def _with_kept(self, stats: dict[str, int]) -> dict[str, int]:
        stats["requests_num"] = stats.get("requests_num", 0) + self._hits
        stats["pool_available"] += len(self._kept)
        return stats

    def _options(self) -> dict[str, Any]:
        """Return the arguments for a new connection, with the current password."""
        password = fresh_password(self._settings)
        return _OPTIONS if password is None else {**_OPTIONS, "password": password}

    def _set_up(self, connection: PooledConnection) -> None:
        connection.set_up(self._settings.timeout)
        if self.pooled is None:
            rows = connection.command(b"SELECT pg_backend_pid()").rows
            self.pooled = rows != [(connection.info.backend_pid,)]
        connection.set_preparing(not self.pooled)

    @staticmethod
    def _answers(connection: PooledConnection) -> bool:
        try:
            connection.command(b"SELECT 1")
        except psycopg.Error:
            return False
        return True
