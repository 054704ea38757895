"""Finds the rights that the role lacks. The server's own error names only one of them, in the server's language."""

from typing import Any

import psycopg
from psycopg import sql

from actingweb.db.postgresql.constraints import ALL
from actingweb.db.postgresql.schema_facts import TABLES

__all__ = ["missing_rights", "phrase"]

# Rights can be granted on all columns instead of the table, so each column is checked. DELETE exists for tables only.
_RIGHTS = """
    SELECT ARRAY(SELECT 'USAGE on the schema' FROM pg_catalog.pg_namespace
        WHERE nspname = {schema} AND NOT pg_catalog.has_schema_privilege(oid, 'USAGE')
    ) || ARRAY(
        SELECT CASE WHEN bool_or(has) THEN command || ' (' || string_agg(name, ', ' ORDER BY name)
            FILTER (WHERE NOT has) || ')' ELSE command END || ' on ' || relname
        FROM (
            SELECT command, c.relname, a.attname AS name, CASE command
                WHEN 'DELETE' THEN pg_catalog.has_table_privilege(c.oid, command)
                ELSE pg_catalog.has_column_privilege(c.oid, a.attnum, command) END AS has
            FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
            CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS command
            WHERE n.nspname = {schema} AND c.relname = ANY ({tables}) AND a.attnum > 0
                AND c.relname || '.' || a.attname = ANY ({columns})
        ) AS rights
        GROUP BY command, relname HAVING NOT bool_and(has) ORDER BY relname, command
    )
"""


def missing_rights(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Return the rights that the role lacks in the schema, as `SELECT on trusts`. Raise `psycopg.Error`."""
    columns = [f"{record.table}.{name}" for record in ALL for name in record.fields]
    query = sql.SQL(_RIGHTS).format(
        schema=sql.Literal(schema), tables=sql.Literal(list(TABLES)), columns=sql.Literal(columns)
    )
    row = connection.execute(query, prepare=False).fetchone()
    return list(row[0]) if row else []


def phrase(rights: list[str]) -> str:
    """Return rights such as `SELECT on trusts` and `DELETE on trusts` as one phrase, grouped by table and command."""
    commands: dict[str, list[str]] = {}
    for right in rights:
        command, _, place = right.partition(" on ")
        commands.setdefault(place, []).append(command)
    places: dict[str, list[str]] = {}
    for place, names in commands.items():
        places.setdefault(", ".join(names), []).append(place)
    return "; ".join(f"{names} on {', '.join(found)}" for names, found in places.items())
