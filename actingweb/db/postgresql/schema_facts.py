"""Reads facts about the schema and its server in one statement, once for each pool."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from actingweb.db.postgresql.constraints import ALL

__all__ = ["DISTRIBUTED", "TABLES", "VERSIONS", "Facts", "facts_of"]

TABLES = tuple(record.table for record in ALL)
VERSIONS = "alembic_version"
"""Alembic's table of revisions, which the library only reads."""

# An unknown server counts as distributed: explicit transactions cost a little time, but without them a pipeline might
# not be atomic. Aurora PostgreSQL, EDB and others that run PostgreSQL's own executor have its version text.
DISTRIBUTED: LiteralString = (
    "(pg_catalog.version() !~ '^PostgreSQL ' OR pg_catalog.version() ~* '(cockroach|yugabyte|-yb-|dsql)' "
    "OR EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus'))"
)
"""An SQL condition: whether the server forwards statements to others, or is another engine."""

_EXPRESSIONS: dict[str, LiteralString] = {
    "revisions": "ARRAY(SELECT version_num::text FROM {revisions} ORDER BY version_num)",
    "encoding": "pg_catalog.current_setting('server_encoding')",
    "distributed": DISTRIBUTED,
    "secured": """
        EXISTS (SELECT FROM pg_catalog.pg_class WHERE relrowsecurity AND relname IN ({tables})
            AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {schema}))
    """,
}
"""The SQL expression of each fact. Each returns one value, and may fail on servers other than PostgreSQL."""

# Without a policy a command finds no row. Owners, superusers and roles with BYPASSRLS need no policy.
_UNPOLICED: LiteralString = """
    ARRAY(
        SELECT command.name || ' on ' || c.relname
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) AS command (letter, name)
        WHERE n.nspname = {schema} AND c.relname IN ({tables}) AND c.relrowsecurity
            AND (command.letter = 'r' OR c.relname <> {versions})
            AND pg_catalog.row_security_active(c.oid)
            AND CASE command.letter WHEN 'd' THEN pg_catalog.has_table_privilege(c.oid, command.name)
                ELSE pg_catalog.has_any_column_privilege(c.oid, command.name) END
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_policy AS p
                WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd::text IN ('*', command.letter)
                    AND (0 = ANY (p.polroles)
                        OR EXISTS (
                            SELECT FROM unnest(p.polroles) AS role (oid)
                            WHERE role.oid <> 0 AND pg_catalog.pg_has_role(role.oid, 'USAGE')
                        ))
            )
        ORDER BY c.relname, command.name
    )
"""
"""Run only if a table has row-level security, because it takes longer than all other facts together."""


class Facts(NamedTuple):
    """Facts about a schema and its server; those that the server does not report are None.

    Attributes:
        revisions: the revisions in Alembic's table.
        encoding: the database's encoding, as PostgreSQL spells it.
        distributed: see `DISTRIBUTED`.
        secured: whether one of our tables has row-level security.
        unpoliced: the commands, as `SELECT on trusts`, that the role may run on our tables but for which row-level
            security has no policy, so that they find no row.
    """

    revisions: list[str] | None
    encoding: str | None
    distributed: bool | None
    secured: bool | None
    unpoliced: list[str] | None = None

    @property
    def has_other_encoding(self) -> bool:
        """Whether the encoding is not UTF-8."""
        return self.encoding not in (None, "UTF8")

    @property
    def are_harmless(self) -> bool:
        """Whether neither the encoding nor row-level security makes statements do the wrong thing."""
        return not self.has_other_encoding and not self.unpoliced


def facts_of(connection: psycopg.Connection[Any], schema: str) -> Facts:
    """Return all facts, read in one statement or, if that fails, one by one. An open transaction stays usable.

    Raise `psycopg.Error` if the connection is lost.
    """
    found = _query(connection, schema, _EXPRESSIONS)
    if found is None:
        found = dict.fromkeys(_EXPRESSIONS)
        for name, expression in _EXPRESSIONS.items():
            found |= _query(connection, schema, {name: expression}) or {}
    facts = Facts(**found)
    if facts.secured:
        facts = facts._replace(**_query(connection, schema, {"unpoliced": _UNPOLICED}) or {})
    return facts


def _query(
    connection: psycopg.Connection[Any], schema: str, expressions: dict[str, LiteralString]
) -> dict[str, Any] | None:
    """Return the values of expressions, by name; None if the server rejects the statement."""
    parts = [sql.SQL(expression).format(**_names(schema)) for expression in expressions.values()]
    query = sql.SQL("SELECT {}").format(sql.SQL(", ").join(parts))
    try:
        with _savepoint(connection):
            row = connection.execute(query, prepare=False).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    return dict(zip(expressions, row or (), strict=True))


def _names(schema: str) -> dict[str, sql.Composable]:
    # Not as parameters: then a % in the schema's name would be read as a placeholder.
    return {
        "schema": sql.Literal(schema),
        "tables": sql.SQL(", ").join(map(sql.Literal, [*TABLES, VERSIONS])),
        "versions": sql.Literal(VERSIONS),
        "revisions": sql.Identifier(schema, VERSIONS),
    }


def _savepoint(connection: psycopg.Connection[Any]) -> AbstractContextManager[object]:
    """Return a savepoint of the open transaction, if there is one, so that an error does not abort it."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    return nullcontext() if idle and connection.autocommit else connection.transaction()
