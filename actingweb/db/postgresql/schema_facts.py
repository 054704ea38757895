"""What one statement tells of the schema and its server. It costs a pool one round trip."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from actingweb.db.postgresql.distributed import DISTRIBUTED
from actingweb.db.records import (
    ActorRecord,
    AttributeRecord,
    PeerTrusteeRecord,
    PropertyLookupRecord,
    PropertyRecord,
    Record,
    SubscriptionDiffRecord,
    SubscriptionRecord,
    SubscriptionSuspensionRecord,
    TrustRecord,
)

__all__ = ["RECORDS", "TABLES", "VERSIONS", "Facts", "facts_of"]

RECORDS: tuple[type[Record], ...] = (
    ActorRecord,
    PropertyRecord,
    PropertyLookupRecord,
    TrustRecord,
    PeerTrusteeRecord,
    SubscriptionRecord,
    SubscriptionDiffRecord,
    SubscriptionSuspensionRecord,
    AttributeRecord,
)
TABLES = tuple(record.table for record in RECORDS)
VERSIONS = "alembic_version"
"""The table of Alembic's revisions, which the library only reads."""

# Each right that the role has needs a policy, or it finds no row; owners, superusers and BYPASSRLS need none.
_UNPOLICED: LiteralString = """
    ARRAY(
        SELECT command.name || ' on ' || c.relname
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN (VALUES ('r', 'SELECT'), ('a', 'INSERT'), ('w', 'UPDATE'), ('d', 'DELETE')) AS command (letter, name)
        WHERE n.nspname = {schema} AND c.relname = ANY ({tables}) AND c.relrowsecurity
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

_LOOK: dict[str, LiteralString] = {
    "revisions": "ARRAY(SELECT version_num::text FROM {revisions} ORDER BY version_num)",
    "encoding": "pg_catalog.current_setting('server_encoding')",
    "distributed": DISTRIBUTED,
    "unpoliced": _UNPOLICED,
}
"""The SQL of each fact: an expression that returns one value, and that may fail on a server unlike PostgreSQL."""


class Facts(NamedTuple):
    """What a server tells; None is what it does not.

    Attributes:
        revisions: what Alembic noted.
        encoding: the database's, as PostgreSQL spells it.
        distributed: see `DISTRIBUTED`.
        unpoliced: commands that the role may run on our tables and for which row-level security has no policy, so that
            they find no row: `SELECT on trusts`.
    """

    revisions: list[str] | None
    encoding: str | None
    distributed: bool | None
    unpoliced: list[str] | None


def facts_of(connection: psycopg.Connection[Any], schema: str) -> Facts:
    """Ask for all facts in one statement; if it fails, for each alone. Raise `psycopg.Error` if the connection is lost.

    A transaction that is open stays usable.
    """
    try:
        return Facts(**_asked(connection, schema, _LOOK))
    except psycopg.Error:
        if connection.closed:
            raise
    facts: dict[str, Any] = dict.fromkeys(_LOOK)
    for name in _LOOK:
        try:
            facts |= _asked(connection, schema, [name])
        except psycopg.Error:
            if connection.closed:
                raise
    return Facts(**facts)


def _asked(connection: psycopg.Connection[Any], schema: str, names: Iterable[str]) -> dict[str, Any]:
    asked = list(names)
    parts = [sql.SQL(_LOOK[name]).format(**_names(schema)) for name in asked]
    query = sql.SQL("SELECT {}").format(sql.SQL(", ").join(parts))
    with _savepoint(connection):
        row = connection.execute(query, prepare=False).fetchone()
    return dict(zip(asked, row or (), strict=True))


def _names(schema: str) -> dict[str, sql.Composable]:
    # Not as parameters, with which a % in the schema's name would be taken for one.
    return {
        "schema": sql.Literal(schema),
        "tables": sql.Literal([*TABLES, VERSIONS]),
        "versions": sql.Literal(VERSIONS),
        "revisions": sql.Identifier(schema, VERSIONS),
    }


def _savepoint(connection: psycopg.Connection[Any]) -> AbstractContextManager[object]:
    """Return what keeps an error from ending the open transaction, if there is one."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    return nullcontext() if idle and connection.autocommit else connection.transaction()
