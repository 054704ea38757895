"""The connection pool."""

import select
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from struct import Struct
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import ConnectionPool

from actingweb.db.postgresql.conninfo import pool_string
from actingweb.db.settings import PostgresSettings

__all__ = ["Pool", "PooledConnection"]

_PREPARE_THRESHOLD = 5
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_unpack_int8 = Struct("!q").unpack


class PooledConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of the pool.

    Attributes:
        has_input: tell, without a round trip, whether the server sent something that nobody asked for.
    """

    has_input: Callable[[], object]


class Pool(ConnectionPool[PooledConnection]):
    """A pool whose callers make the connections they lack, so that a failure to connect is theirs at once.

    No connection is made before it is needed; `min_size` of them outlive idle times.

    Attributes:
        schema: where the tables are.
        pooled: whether another pool stands between this one and the server; None before the first connection.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        """Raise `ConfigurationError` if the settings make no conninfo string."""
        self.schema = settings.schema
        self.pooled = {"on": True, "off": False}.get(settings.pooler)
        self._failure: psycopg.Error | None = None
        super().__init__(
            pool_string(settings),
            connection_class=PooledConnection,
            kwargs={"autocommit": True},
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
            connection = (None if self._pool else self._grown()) or super().getconn(timeout)
            if not connection.has_input() or self._answers(connection):
                return connection
            self._discard(connection)

    def putconn(self, conn: PooledConnection) -> None:
        """Take a connection back; a closed one makes room for another."""
        if conn.closed and not self.closed:
            self._discard(conn)
        else:
            super().putconn(conn)

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

    def _grown(self) -> PooledConnection | None:
        """Return a new connection; None if the pool has no room for one, or need of it."""
        with self._lock:
            if self._closed or self._pool or self._nconns >= self._max_size:
                return None
            self._nconns += 1
        try:
            return self._connect()
        except BaseException:
            self._release_place()
            self.reconnect_failed()
            raise

    def _connect(self, timeout: float | None = None) -> PooledConnection:
        try:
            return super()._connect(timeout)
        except psycopg.Error as error:
            self._failure = error
            raise

    def _discard(self, connection: PooledConnection) -> None:
        self._close_connection(connection)
        self._release_place()

    def _release_place(self) -> None:
        with self._lock:
            self._nconns -= 1
            if self._waiting:
                self._maybe_grow_pool()

    def _set_up(self, connection: PooledConnection) -> None:
        connection.has_input = _input_check(connection.fileno())
        connection.adapters.register_loader("timestamptz", _UtcLoader)
        # One type for all integers: a prepared statement belongs to the types of its parameters.
        connection.adapters.register_dumper(int, Int8Dumper)
        if self.pooled is None:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            self.pooled = row != (connection.info.backend_pid,)
        connection.prepare_threshold = None if self.pooled else _PREPARE_THRESHOLD

    @staticmethod
    def _answers(connection: PooledConnection) -> bool:
        try:
            connection.execute("", prepare=False)
        except psycopg.Error:
            return False
        return True


class _UtcLoader(Loader):
    """Loads a binary timestamptz in UTC, whatever the session's time zone."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        try:
            return _EPOCH + timedelta(microseconds=_unpack_int8(data)[0])
        except OverflowError:
            raise psycopg.DataError("timestamp out of range") from None


def _input_check(socket: int) -> Callable[[], object]:
    if hasattr(select, "poll"):
        poller = select.poll()
        poller.register(socket, select.POLLIN)
        return partial(poller.poll, 0)
    return lambda: select.select([socket], [], [], 0)[0]
