"""Whether the schema is the one that this release needs, and what to run if it is not."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.postgresql.distributed import DISTRIBUTED
from actingweb.db.postgresql.errors import concerns_layout, connect_fault, fault_of
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.revision import EARLIER, HEAD

__all__ = ["COMMAND", "SchemaState", "explained", "require_no_older_schema", "schema_state"]

COMMAND = f"cd {shlex.quote(str(Path(__file__).parent))} && alembic upgrade head"
"""What makes the schema, or upgrades it."""

_REVISION = re.compile(r"[0-9A-Za-z_-]{1,32}")
# Layouts from before the chain of revisions that is known here have the column looked for, later ones do not.
_FACTS = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s),
        EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = 'alembic_version'),
        EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = %(schema)s AND c.relname = 'subscriptions' AND a.attname = 'peer_sub_id')
"""
_REVISIONS = sql.SQL("SELECT version_num FROM {}")
_FIRST_LOOK = sql.SQL("SELECT ARRAY(SELECT version_num FROM {}), {}")


class SchemaState(NamedTuple):
    """What a schema tells of itself.

    Attributes:
        exists: whether there is one.
        ancient: whether it has the layout of ActingWeb 3.15 or of an earlier release.
        revisions: what Alembic noted.
    """

    exists: bool
    ancient: bool
    revisions: list[str]

    @property
    def is_current(self) -> bool:
        """Whether it is at the revision of this release."""
        return self.revisions == [HEAD]

    @property
    def is_older(self) -> bool:
        """Whether an earlier release made it."""
        known = set(self.revisions) <= {*EARLIER, HEAD}
        return bool(self.revisions) and not self.is_current and (self.ancient or known)

    @property
    def problem(self) -> str:
        """What is wrong with it, if a statement cannot be run on it, and what to run."""
        if not self.exists:
            return f"the schema is missing: run `{COMMAND}`"
        if not self.revisions:
            return f"the schema has no tables that Alembic made: run `{COMMAND}`"
        if self.is_current:
            return (
                f"a table or column is missing, though the schema is at revision {HEAD}: "
                "`alembic check` names it, `alembic upgrade head` does not bring it back"
            )
        names = (name if _REVISION.fullmatch(name) else "with an unusual name" for name in sorted(self.revisions))
        text = f"the schema is at revision {', '.join(names)}, this release needs {HEAD}"
        if set(self.revisions) <= {*EARLIER, HEAD}:
            return f"{text}: run `{COMMAND}`"
        if self.ancient:
            return f"{text}: upgrade it with ActingWeb 3.15 first, then run `{COMMAND}`"
        return (
            f"{text}: a newer release made it, so run `pip install --upgrade actingweb`; "
            "`alembic upgrade head` of this release cannot help"
        )


def require_no_older_schema(pool: Pool, connection: PooledConnection) -> None:
    """Raise `Fault` if an earlier release made the schema, since some statements would work on it, but not rightly.

    Tell the pool whether the server is a distributed one, unless its settings do. A schema that cannot be looked at is
    left to the statements, and so is a newer one. Raise `Fault` also if the connection is lost.
    """
    failure: psycopg.Error
    try:
        if _first_look(pool, connection) == [HEAD]:
            return
        state = schema_state(connection, pool.schema)
    except psycopg.Error as error:
        failure = error
    else:
        if state.is_older:
            raise Fault(DbSchemaError, state.problem)
        return
    if connection.closed:
        raise connect_fault(failure)


def explained(error: Exception, pool: Pool, seconds: float) -> Fault:
    """Return the fault that the error of a statement is; if the schema explains it, its reason says what to run.

    Looking at the schema takes another connection, which may take `seconds` to become free.
    """
    fault = fault_of(error)
    if not concerns_layout(error):
        return fault
    pool.has_known_schema = False
    try:
        connection = pool.getconn(seconds)
        try:
            state = schema_state(connection, pool.schema)
        finally:
            pool.putconn(connection)
    except psycopg.Error:
        return fault
    if state.is_current and fault.error is not DbSchemaError:
        return fault
    return Fault(DbSchemaError, state.problem, fault.cause)


def schema_state(connection: psycopg.Connection[Any], schema: str) -> SchemaState:
    """Look at a schema. Raise `psycopg.Error`."""
    facts = connection.execute(_FACTS, {"schema": schema}, prepare=False).fetchone()
    exists, versioned, ancient = facts or (False, False, False)
    return SchemaState(exists, ancient, _revisions(connection, schema) if versioned else [])


def _first_look(pool: Pool, connection: PooledConnection) -> list[str]:
    query = _FIRST_LOOK.format(sql.Identifier(pool.schema, "alembic_version"), sql.SQL(DISTRIBUTED))
    [(revisions, distributed)] = connection.execute(query, prepare=False)
    if pool.distributed is None:
        pool.distributed = distributed
    return list(revisions)


def _revisions(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    query = _REVISIONS.format(sql.Identifier(schema, "alembic_version"))
    return [revision for (revision,) in connection.execute(query, prepare=False)]
