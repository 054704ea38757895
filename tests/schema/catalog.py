"""The layout of a schema as the server's catalog tells it."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.sql import Identifier

_COLUMNS = """
    SELECT c.relname, concat_ws(
        ' ', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN o.collname <> 'default' THEN 'COLLATE ' || o.collname END,
        CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        CASE a.attgenerated WHEN 's' THEN 'GENERATED' WHEN '' THEN 'DEFAULT' END || ' ' || pg_get_expr(d.adbin, c.oid)
    )
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_collation o ON o.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = %s::regnamespace AND contype IN ('p', 'f', 'u', 'c') ORDER BY conname
"""
_INDEXES = """
    SELECT tablename, substring(indexdef FROM 'INDEX ([^ ]+)') || ' ' || substring(indexdef FROM 'USING .*')
    FROM pg_indexes WHERE schemaname::text = %s ORDER BY indexname
"""


def describe(connection: Connection[Any], schema: str) -> dict[str, list[str]]:
    """Return the columns in order, then the constraints, then the indexes of each table.

    `schema` must be the connection's search path.
    """
    quoted = Identifier(schema).as_string()
    layout: dict[str, list[str]] = {}
    for query, name in ((_COLUMNS, quoted), (_CONSTRAINTS, quoted), (_INDEXES, schema)):
        for table, line in connection.execute(query, [name]):
            layout.setdefault(table, []).append(line)
    return layout
