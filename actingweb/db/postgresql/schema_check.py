"""Checks that the schema can be used, and explains failures that it causes."""

import psycopg

from actingweb.db.exceptions import DbError, DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.postgresql.errors import concerns_layout, connect_fault, fault_of, is_forbidden
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.schema_facts import facts_of

__all__ = ["require_usable_schema", "with_schema_hint"]


def require_usable_schema(pool: Pool, connection: PooledConnection) -> None:
    """Raise `Fault` if statements could succeed on the schema and do the wrong thing, or if the connection is lost.

    They could if an earlier release or another application created the schema, if the encoding is not UTF-8, or if
    row-level security hides all rows. Set `pool.distributed` unless a setting does. Accept a schema that is newer or
    cannot be checked: if statements do not work on it, they fail.
    """
    failure: psycopg.Error
    try:
        facts = facts_of(connection, pool.schema)
        if pool.distributed is None:
            pool.distributed = facts.distributed
        if facts.revisions == [HEAD] and facts.are_harmless:
            return
        # Imported here, because it takes time and few processes need it.
        from actingweb.db.postgresql.schema_state import schema_state

        state = schema_state(connection, pool.schema, facts)
    except psycopg.Error as error:
        failure = error
    else:
        if (hazard := state.hazard) is not None:
            raise Fault(DbSchemaError, hazard)
        return
    if connection.closed:
        raise connect_fault(failure)


def with_schema_hint(error: Exception, pool: Pool, seconds: float) -> Fault:
    """Return the fault for the error of a statement; if the schema is the cause, its reason says what to run.

    The check of the schema needs another connection, and waits for a free one for at most `seconds`.
    """
    fault = fault_of(error)
    forbidden = is_forbidden(error)
    if not forbidden and not concerns_layout(error):
        return fault
    # Imported here, because only failures need it.
    from actingweb.db.postgresql.schema_state import denial_of, schema_state

    pool.has_known_schema = False
    try:
        connection = pool.getconn(seconds)
        try:
            if forbidden:
                return Fault(DbError, denial_of(connection, pool.schema), fault.cause)
            state = schema_state(connection, pool.schema)
        finally:
            pool.putconn(connection)
    except psycopg.Error:
        return fault
    if state.is_unreadable or (state.is_current and fault.error is not DbSchemaError):
        return fault
    return Fault(DbSchemaError, state.problem, fault.cause)
