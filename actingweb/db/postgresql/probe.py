"""What `actingweb.db.health` asks PostgreSQL."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.policy.operation import operation
from actingweb.db.postgresql.connection import connected
from actingweb.db.postgresql.errors import concerns_others, fault_of, is_lost
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import NoAnswerError, PooledConnection
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.schema_check import SchemaState, schema_state

__all__ = ["health"]

T = TypeVar("T")

_CONNECTIONS = 3
_READ_ONLY = b"SELECT pg_catalog.current_setting('transaction_read_only') = 'on'"


@operation("health check")
def health(*, ready: bool) -> dict[str, Any]:
    """Return what is known of the server, and of the schema if `ready`. Raise `DbError`, or `ConfigurationError`."""
    if not ready:
        _ask(lambda connection, _: connection.command(b"SELECT 1"))
        return {}
    is_read_only, state = _ask(_look)
    if not state.is_current or state.hazard is not None or state.lacking:
        raise Fault(DbSchemaError, state.problem)
    return {"read_only": is_read_only, "schema": {"revision": HEAD, "needed": HEAD}}


def _look(connection: PooledConnection, pool: Pool) -> tuple[bool, SchemaState]:
    return connection.command(_READ_ONLY).rows[0][0], schema_state(connection, pool.schema)


def _ask(question: Callable[[PooledConnection, Pool], T]) -> T:
    """Return what a connection of the pool answers, whatever the schema; a lost one is replaced. Raise `Fault`."""
    attempt = 0
    while True:
        attempt += 1
        pool, connection = connected()
        try:
            return question(connection, pool)
        except psycopg.Error as error:
            failure = error
            lost = is_lost(error, connection)
            if lost:
                connection.close()
        finally:
            pool.putconn(connection)
        # Outside the handler, as the driver's error must not become the context.
        if lost and concerns_others(failure):
            pool.drain()
        if not lost or attempt == _CONNECTIONS or isinstance(failure, NoAnswerError):
            raise fault_of(failure)
