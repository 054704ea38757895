"""The PostgreSQL part of `actingweb.db.health`."""

from typing import Any

from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.policy.operation import operation
from actingweb.db.postgresql.connection import connected
from actingweb.db.postgresql.executor import with_retries
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.schema_state import SchemaState, schema_state

__all__ = ["health"]

_READ_ONLY = b"SELECT pg_catalog.current_setting('transaction_read_only') = 'on'"


@operation("health check")
def health(*, ready: bool) -> dict[str, Any]:
    """Check that the server answers; if `ready`, return also its state. Raise `DbError` or `ConfigurationError`."""
    if not ready:
        with_retries(connected, lambda connection, _: connection.command(b"SELECT 1"), repeatable=True)
        return {}
    is_read_only, state = with_retries(connected, _read_state, repeatable=True)
    # Processes of the previous release serve calls on, while a later one takes their place.
    has_layout = (state.is_current or state.is_newer) and not state.lacking
    if not has_layout or state.hazard is not None:
        raise Fault(DbSchemaError, state.problem)
    return {"read_only": is_read_only, "schema": {"revision": ", ".join(sorted(state.revisions)), "needed": HEAD}}


def _read_state(connection: PooledConnection, pool: Pool) -> tuple[bool, SchemaState]:
    return connection.command(_READ_ONLY).rows[0][0], schema_state(connection, pool.schema)
