"""The rights that a role lacks for a command, and the statements that grant them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from actingweb.db.postgresql.constraints import ALL
from actingweb.db.postgresql.rights import phrase
from actingweb.db.postgresql.schema_facts import VERSIONS

__all__ = ["COMPARING", "LOADING", "REPAIRING", "RightsNeeded", "lacking"]

_TABLES = sorted(record.table for record in ALL)
_RIGHTS = """
SELECT current_user, current_database(),
    ARRAY(SELECT nspname FROM pg_namespace WHERE nspname = %(schema)s AND NOT has_schema_privilege(oid, 'USAGE')),
    ARRAY(SELECT nspname FROM pg_namespace WHERE nspname = %(schema)s AND NOT has_schema_privilege(oid, 'CREATE')),
    has_database_privilege(current_database(), 'TEMPORARY'),
    ARRAY(SELECT command || ' on ' || relname
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        CROSS JOIN unnest(%(commands)s::text[]) WITH ORDINALITY AS needed (command, position)
        WHERE nspname = %(schema)s AND NOT has_table_privilege(pg_class.oid, command)
            AND (relname = ANY (%(tables)s) OR (relname = %(versions)s AND command = 'SELECT'))
        ORDER BY relname, position)
"""


@dataclass(frozen=True)
class RightsNeeded:
    """What a command does to the tables, and whether it creates tables of its own in the schema."""

    commands: tuple[str, ...]
    creates: bool


COMPARING = RightsNeeded(("SELECT",), creates=False)
LOADING = RightsNeeded(("SELECT", "INSERT", "DELETE"), creates=True)
REPAIRING = RightsNeeded(("SELECT", "INSERT", "UPDATE", "DELETE"), creates=False)


def lacking(connection: psycopg.Connection[tuple[Any, ...]], schema: str, needed: RightsNeeded) -> str | None:
    """Return which rights the role lacks, and the statements that grant them; None if it has all.

    Raise `psycopg.Error`.
    """
    values = {"schema": schema, "tables": _TABLES, "versions": VERSIONS, "commands": list(needed.commands)}
    ((role, database, unused, closed, may_stage, missing),) = connection.execute(_RIGHTS, values).fetchall()
    rights: list[str] = []
    grants: list[sql.Composed] = []
    if missing:
        rights.append(phrase(missing))
        grants += _table_grants(schema, missing)
    for lacks, right in ((unused, "USAGE"), (closed and needed.creates, "CREATE")):
        if lacks:
            rights.append(f'{right} on schema "{schema}"')
            grants.append(sql.SQL("GRANT {} ON SCHEMA {}").format(sql.SQL(right), sql.Identifier(schema)))
    if not may_stage:
        rights.append(f'TEMPORARY on database "{database}"')
        grants.append(sql.SQL("GRANT TEMPORARY ON DATABASE {}").format(sql.Identifier(database)))
    if not rights:
        return None
    taker = sql.Identifier(role).as_string()
    statements = "; ".join(f"{grant.as_string()} TO {taker}" for grant in grants)
    return (
        f'the role "{role}" lacks {"; ".join(rights)}: as the owner run `{statements}`, or set PG_MIGRATION_URL to the '
        "log-in of a role that has these rights"
    )


def _table_grants(schema: str, missing: list[str]) -> Iterator[sql.Composed]:
    """Yield a statement for each set of rights, from rights such as `SELECT on trusts`."""
    for part in phrase(missing).split("; "):
        commands, _, tables = part.partition(" on ")
        names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in tables.split(", "))
        yield sql.SQL("GRANT {} ON {}").format(sql.SQL(commands), names)
