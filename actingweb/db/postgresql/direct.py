"""Connections outside the pool, for long work: Alembic and the migration tool."""

import math
import socket
import struct
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import IsolationLevel

from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.conninfo import connection_string, pool_string
from actingweb.db.postgresql.pooled_connection import NoAnswerError
from actingweb.db.postgresql.session import prepare_session
from actingweb.db.postgresql.watching import watch_silence
from actingweb.db.settings import PostgresSettings

__all__ = ["DirectConnection", "connect"]

T = TypeVar("T")

_TLS_REQUEST = struct.pack("!ii", 8, 80877103)


class DirectConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements may take any time, as long as the server is alive.

    Whenever the server has sent nothing for `silence` seconds, the connection opens a second one and asks the server
    whether it supports TLS. If no answer comes within `connect_timeout` seconds, the connection is closed and the
    statement raises `NoAnswerError`.

    Attributes:
        lift_timeouts_sql: the SQL that lifts the timeouts of the current transaction.
    """

    silence = math.inf
    connect_timeout = 0.0
    lift_timeouts_sql = b""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Do the same as psycopg's method, and check whether a silent server is alive."""
        return super().wait(watch_silence(gen, self.silence, self._require_alive), *args, **kwargs)

    def _require_alive(self) -> None:
        """Raise `NoAnswerError` if the server does not answer a request for TLS, which needs no log-in."""
        try:
            with self._dial() as server:
                server.sendall(_TLS_REQUEST)
                alive = server.recv(1) != b""
        except OSError:
            alive = False
        if not alive:
            self.close()
            raise NoAnswerError(f"the server sent nothing for PG_DB_TIMEOUT ({self.silence:g} s) and does not answer")

    def _dial(self) -> socket.socket:
        host, port = (self.pgconn.hostaddr or self.pgconn.host).decode(), self.pgconn.port.decode()
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)), self.connect_timeout)
        server = socket.socket(socket.AF_UNIX)
        server.settimeout(self.connect_timeout)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server


def connect(settings: PostgresSettings, *, migration: bool = False) -> DirectConnection:
    """Return a new connection in autocommit mode; with `migration` one for schema changes.

    Settings that would abort long work or change the meaning of a statement are reset for the session. Behind a pooler
    the timeouts are lifted only in transactions that begin with `lift_timeouts_sql`.

    Raise `psycopg.Error` if there is no connection, `ConfigurationError` for bad settings, `SessionError` if a timeout
    cannot be lifted.
    """
    conninfo = connection_string(settings, migration=True) if migration else pool_string(settings, fresh=True)
    # Behind a pooler, another client's statement can have the name of a prepared one.
    connection = DirectConnection.connect(conninfo, autocommit=True, prepare_threshold=None, context=ADAPTERS)
    connection.silence = settings.timeout
    connection.connect_timeout = settings.connect_timeout
    try:
        pooled = {"on": True, "off": False}.get(settings.pooler)
        if pooled is None:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            pooled = row != (connection.info.backend_pid,)
        connection.lift_timeouts_sql = prepare_session(connection, local=pooled)
    except BaseException:
        connection.close()
        raise
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    return connection
