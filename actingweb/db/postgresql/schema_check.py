"""Whether the schema is the one that this release needs, and what to do if it is not."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault
from actingweb.db.postgresql import connection as connections
from actingweb.db.postgresql.errors import fault_of
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.revision import EARLIER, HEAD

__all__ = ["COMMAND", "reason_of_failure", "schema_problem"]

COMMAND = f"cd {shlex.quote(str(Path(__file__).parent))} && alembic upgrade head"
"""What makes the schema, or upgrades it."""

_OP = "schema read"
_SECONDS = 1.0
_REVISION = re.compile(r"[0-9A-Za-z_-]{1,32}")
_UNREADABLE_NAME = "with an unusual name"
# Layouts before the chain of revisions that is known here have the column looked for, later ones do not.
_FACTS = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s),
        EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = 'alembic_version'),
        EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = %(schema)s AND c.relname = 'subscriptions' AND a.attname = 'peer_sub_id')
"""
_REVISIONS = sql.SQL("SELECT version_num FROM {}")


class _State(NamedTuple):
    exists: bool
    ancient: bool
    revisions: list[str]


def schema_problem() -> str | None:
    """Return what is wrong with the schema and what to run; None if it is at the revision of this release.

    A newer schema counts as wrong, though this release may work with it. Raise `DbError` if the schema cannot be
    looked at, `ConfigurationError` for a bad setting.
    """
    error: DbError
    try:
        return _problem(_asked(*connections.acquire()))
    except Fault as fault:
        error = fault.named(_OP, None)
    except psycopg.Error as failure:
        error = fault_of(failure).named(_OP, None)
    raise error


def reason_of_failure() -> str | None:
    """Return `schema_problem` after a statement that the server could not make sense of.

    None if the schema is as it should be, or cannot be looked at soon.
    """
    pool = connections.present_pool()
    if pool is None:
        return None
    try:
        return _problem(_asked(pool, pool.getconn(_SECONDS)))
    except psycopg.Error:
        return None


def _asked(pool: Pool, connection: PooledConnection) -> _State:
    """Give the connection back after looking at the schema."""
    try:
        facts = connection.execute(_FACTS, {"schema": pool.schema}, prepare=False).fetchone()
        exists, versioned, ancient = facts or (False, False, False)
        query = _REVISIONS.format(sql.Identifier(pool.schema, "alembic_version"))
        rows = connection.execute(query, prepare=False).fetchall() if versioned else []
        return _State(exists, ancient, [revision for (revision,) in rows])
    finally:
        pool.putconn(connection)


def _problem(state: _State) -> str | None:
    if not state.exists:
        return f"the schema is missing: run `{COMMAND}`"
    if not state.revisions:
        return f"the schema has no tables that Alembic made: run `{COMMAND}`"
    if state.revisions == [HEAD]:
        return None
    found = ", ".join(name if _REVISION.fullmatch(name) else _UNREADABLE_NAME for name in sorted(state.revisions))
    text = f"the schema is at revision {found}, this release needs {HEAD}"
    if set(state.revisions) <= {*EARLIER, HEAD}:
        return f"{text}: run `{COMMAND}`"
    if state.ancient:
        return f"{text}: upgrade it with ActingWeb 3.15 first, then run `{COMMAND}`"
    return f"{text}: a newer release made it, so install that one; here `alembic upgrade head` cannot help"
