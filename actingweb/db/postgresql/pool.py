"""The connection pool."""

from threading import Lock, Thread
from time import monotonic
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool
from psycopg_pool.pool import MaintenanceTask, ShrinkPool

from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.conninfo import pool_string
from actingweb.db.postgresql.password import fresh_password
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.settings import PostgresSettings
from actingweb.db.threads import require_same_threads

__all__ = ["Pool"]

_OPTIONS: dict[str, Any] = {"autocommit": True, "context": ADAPTERS}


class Pool(ConnectionPool[PooledConnection]):
    """A pool whose callers make the connections they lack, so that a failure to connect is theirs at once.

    No connection is made before it is needed; `min_size` of them outlive idle times. Nor are the pool's threads, which
    make connections for callers who wait and close those that are idle.

    Attributes:
        schema: where the tables are.
        pooled: whether another pool stands between this one and the server; None before the first connection.
        has_known_schema: whether the schema was looked at.
        distributed: whether several servers, or an engine that is not PostgreSQL's, do the work, so that transactions
            have to be explicit; None while it is not known.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        """Raise `ConfigurationError` if the settings make no conninfo string."""
        self.schema = settings.schema
        self.has_known_schema = False
        self._settings = settings
        self.pooled = {"on": True, "off": False}.get(settings.pooler)
        self.distributed = {"on": True, "off": False}.get(settings.explicit_transactions)
        self._failure: psycopg.Error | None = None
        self._has_threads = False
        self._starting = Lock()
        super().__init__(
            pool_string(settings),
            connection_class=PooledConnection,
            kwargs=_OPTIONS,
            configure=self._set_up,
            min_size=0,
            max_size=settings.pool_max_size,
            timeout=settings.pool_timeout,
            # A lost connection gives its place back at once, and the next caller makes another.
            reconnect_timeout=0,
            num_workers=1,
            open=False,
        )
        self._min_size = settings.pool_min_size
        self.open()

    def getconn(self, timeout: float | None = None) -> PooledConnection:
        """Return a connection that lives as far as can be told without a round trip.

        Raise `psycopg.Error` if none can be made, `PoolTimeout` if none is given back within `timeout` seconds.
        """
        while True:
            connection = self._ready() or self._grown() or super().getconn(timeout)
            if not connection.has_input() or self._answers(connection):
                return connection
            self._discard(connection)

    def putconn(self, conn: PooledConnection) -> None:
        """Take a connection back; a closed one makes room for another."""
        if self._returned(conn):
            return
        if conn.closed and not self.closed:
            self._discard(conn)
        else:
            super().putconn(conn)

    def run_task(self, task: MaintenanceTask) -> None:
        """Have a task done by one of the pool's threads."""
        if not self._has_threads:
            self._start_threads()
        super().run_task(task)

    def reconnect_failed(self) -> None:
        """Give those who wait for a connection, when there is none left, the reason for it."""
        with self._lock:
            waiting = [] if self._nconns else list(self._waiting)
            if waiting:
                self._waiting.clear()
        for client in waiting:
            client.fail(self._failure or psycopg.OperationalError("no connection left"))

    def abandon(self) -> None:
        """Forget the connections without a word to the server, which are another process's."""
        self._closed = True

    def forget_idle(self) -> None:
        """Close the connections that nobody uses: what cut one without a word has cut them too."""
        with self._lock:
            idle = list(self._pool)
            self._pool.clear()
            self._nconns -= len(idle)
            self._nconns_min = 0
        for connection in idle:
            self._close_connection(connection)

    def _ready(self) -> PooledConnection | None:
        """Return a connection that nobody uses. This is the way of nearly all requests, so it is short."""
        with self._lock:
            connection = self._get_ready_connection(None)
            if connection is not None:
                connection._pool = self
                self._stats[self._REQUESTS_NUM] += 1
        return connection

    def _returned(self, connection: PooledConnection) -> bool:
        """Take back a connection that needs no care and that nobody waits for, as nearly all; tell whether it is so."""
        if (
            connection.pgconn.transaction_status != TransactionStatus.IDLE
            or connection._pool is not self
            or connection._created_at <= self._drained_at
            or connection._expire_at <= monotonic()
        ):
            return False
        with self._lock:
            if self._waiting or self._closed or self._pool_full_event:
                return False
            connection._pool = None
            self._pool.append(connection)
        return True

    def _grown(self) -> PooledConnection | None:
        """Return a new connection; None if the pool has no room for one, or need of it."""
        require_same_threads()
        with self._lock:
            if self._closed or self._pool or self._nconns >= self._max_size:
                return None
            self._nconns += 1
        try:
            connection = self._connect()
        except BaseException:
            with self._lock:
                self._nconns -= 1
            self.reconnect_failed()
            raise
        if not self._has_threads and self._nconns > self._min_size:
            self._start_threads()
        return connection

    def _start_workers(self) -> None:
        """Leave the threads for later."""

    def _start_initial_tasks(self) -> None:
        """Leave the closing of idle connections for when there are some."""

    def _start_threads(self) -> None:
        with self._starting:
            if not self._has_threads:
                self._has_threads = True
                super()._start_workers()
                self.schedule_task(ShrinkPool(self), self.max_idle)

    def _signal_stop_worker(self) -> list[Thread]:
        with self._starting:
            self._has_threads = True  # none starts from now on
        return super()._signal_stop_worker()

    def _connect(self, timeout: float | None = None) -> PooledConnection:
        try:
            password = fresh_password(self._settings)
            if password is not None:
                self.kwargs = {**_OPTIONS, "password": password}
            return super()._connect(timeout)
        except psycopg.Error as error:
            self._failure = error
            raise

    def _discard(self, connection: PooledConnection) -> None:
        self._close_connection(connection)
        with self._lock:
            self._nconns -= 1
            if self._waiting:
                self._maybe_grow_pool()

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
