"""The connection pool of this process, and connections for callers that run their own SQL."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolClosed

from actingweb.db.events import became_standby, no_connection
from actingweb.db.exceptions import DbConnectionError, DbError, DbTimeoutError
from actingweb.db.faults import Fault
from actingweb.db.postgresql.conninfo import connection_string
from actingweb.db.postgresql.errors import connect_fault, fault_of, is_of_standby
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import BACKEND, PooledConnection
from actingweb.db.postgresql.schema_check import require_usable_schema
from actingweb.db.settings import get_settings, reset_settings

if TYPE_CHECKING:
    from actingweb.db.postgresql.lending import Borrowed

__all__ = [
    "acquire",
    "close_pool",
    "connected",
    "ensure_schema_exists",
    "get_connection",
    "get_connection_string",
    "get_pool",
    "get_schema_name",
    "pool_state",
    "report_loss",
    "set_search_path",
]

_CLOSED_MEANWHILE = 10

_pool: Pool | None = None
_lock = threading.Lock()


def get_connection_string() -> str:
    """Return the conninfo string of the settings. Raise `ConfigurationError` for a bad one."""
    return connection_string(get_settings().postgresql)


def get_schema_name() -> str:
    """Return the name of the schema with the tables. Raise `ConfigurationError` for a bad one."""
    return get_settings().postgresql.schema


def get_pool() -> Pool:
    """Return the pool of this process, created by the first call. Raise `ConfigurationError` for a bad setting."""
    global _pool
    pool = _pool
    if pool is None:
        with _lock:
            pool = _pool
            if pool is None:
                pool = _pool = Pool(get_settings().postgresql)
    return pool


def pool_state() -> dict[str, int]:
    """Return how many connections the pool has, without making one: see `actingweb.db.stats`."""
    settings, pool = get_settings().postgresql, _pool
    found = {} if pool is None else pool.get_stats()
    size, idle = found.get("pool_size", 0), found.get("pool_available", 0)
    return {
        "size": size,
        "idle": idle,
        "used": size - idle,
        "waiting": found.get("requests_waiting", 0),
        "min": settings.pool_min_size,
        "max": settings.pool_max_size,
    }


def close_pool() -> None:
    """Close the pool, if there is one, and forget the settings; the next use reads them again and creates a new pool.

    A connection in use is closed when it is returned.
    """
    global _pool
    with _lock:
        pool, _pool = _pool, None
        reset_settings()
    if pool is not None:
        pool.close()


def acquire() -> tuple[Pool, PooledConnection]:
    """Take a connection out of the pool for the library's statements. The caller returns it with `putconn`.

    Raise `Fault` if there is no connection, or if statements would do the wrong thing on the schema.
    """
    taken = pool, connection = connected()
    if not pool.has_known_schema:
        try:
            require_usable_schema(pool, connection)
            pool.has_known_schema = True
        except BaseException:
            pool.putconn(connection)
            raise
    return taken


def connected() -> tuple[Pool, PooledConnection]:
    """Take a connection out of the pool without checking the schema. The caller returns it with `putconn`.

    Raise `Fault` if there is no connection.
    """
    failure: Exception
    for _ in range(_CLOSED_MEANWHILE):
        pool = _pool or get_pool()
        try:
            return pool, pool.getconn()
        except PoolClosed as error:
            failure = error
        except psycopg.Error as error:
            failure = error
            break
    fault = connect_fault(failure)
    no_connection(BACKEND, fault)
    raise fault


def report_loss(failure: Exception, connection: PooledConnection) -> None:
    """Take note of a connection that cannot be used after the error of a statement."""
    if is_of_standby(failure):
        became_standby(connection.server)
    elif fault_of(failure).error in (DbConnectionError, DbTimeoutError):
        connection.report_loss()


@contextmanager
def get_connection() -> "Iterator[Borrowed]":
    """Yield a psycopg connection in a transaction, with the schema as its search path. Rows are tuples.

    Commit on a clean exit, otherwise roll back; if the caller closes the connection, that rolls back too. Everything
    that the caller sets on the connection or in its session is undone when the block ends, and the connection cannot be
    used afterwards. Adapters that are registered with psycopg itself do not apply. Raise `DbError` if there is no
    connection; psycopg's errors inside the block are not converted.
    """
    # Imported here, because the library itself does not need it.
    from actingweb.db.postgresql.lending import lent

    pool, connection = _lendable()
    try:
        with lent(connection, _beginning(pool.schema), pooled=pool.pooled is not False) as borrowed:
            yield borrowed
    finally:
        pool.putconn(connection)


@cache
def _beginning(schema: str) -> bytes:
    return sql.SQL("BEGIN; SET LOCAL search_path TO {}").format(sql.Identifier(schema)).as_bytes(None)


def _lendable() -> tuple[Pool, PooledConnection]:
    error: DbError
    try:
        return connected()
    except Fault as fault:
        error = fault.to_public_error("connect", None)
    raise error


def set_search_path(conn: psycopg.Connection[Any]) -> None:
    """Set the search path of the connection's transaction, or of its session in autocommit mode, to the schema."""
    session = conn.autocommit and conn.info.transaction_status == TransactionStatus.IDLE
    command = sql.SQL("SET {} search_path TO {}").format(
        sql.SQL("SESSION" if session else "LOCAL"), sql.Identifier(get_schema_name())
    )
    conn.execute(command)


def ensure_schema_exists() -> None:
    """Create the schema if it is missing. The role needs the right to create it only if it is missing."""
    schema = get_schema_name()
    with get_connection() as connection:
        known = connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema]).rowcount
        if not known:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))


def _forget_in_child() -> None:
    """Abandon the parent's pool in a child process, which must not use its sockets, locks and threads."""
    global _pool, _lock
    if _pool is not None:
        _pool.abandon()
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
