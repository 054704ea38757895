"""Creates actors with all their rows on the server: as many as a large application has, within minutes.

Every actor has 20 properties, two of them indexed, 2 trusts, a peer trustee, a subscription with 3 diffs, a suspension
and 4 attributes. The ids look like UUIDs, so they are in random order.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

ROWS_PER_ACTOR = 36

Connection = psycopg.Connection[tuple[Any, ...]]

_ROWS = Path(__file__).with_suffix(".sql")
_NUMBERED: LiteralString = """
CREATE TEMPORARY TABLE numbered AS
SELECT n, md5(n::text)::uuid::text AS id FROM generate_series(0, %s::bigint) AS n"""
_KEYS: LiteralString = """
SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', relname, conname),
    format('ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'f') ORDER BY contype, conname"""
_INDEXES: LiteralString = """
SELECT format('DROP INDEX %I', indexname), indexdef FROM pg_indexes WHERE schemaname = current_schema()
AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace)"""


def populate(connection: Connection, actors: int) -> None:
    """Store this many actors, numbered from 0, in the empty schema that the connection's search path names."""
    connection.execute("SET maintenance_work_mem = '1GB'")
    connection.execute(_NUMBERED, [actors - 1])
    with connection.transaction():
        # With wal_level = minimal, rows of a table that the same transaction truncated are not written to the log.
        connection.execute("TRUNCATE actors, attributes CASCADE")
        with _keys_made_last(connection):
            connection.execute(_ROWS.read_bytes())
    connection.execute("DROP TABLE numbered")
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in tables)
    connection.execute(sql.SQL("VACUUM ANALYZE {}").format(names))


def warm(connection: Connection) -> None:
    """Read all pages into the server's memory, as on a server that has been running for long.

    New indexes are not in it yet. Does nothing on a server without the extension pg_prewarm.
    """
    with suppress(psycopg.Error):
        connection.execute("CREATE EXTENSION pg_prewarm")
        connection.execute(
            "SELECT pg_prewarm(oid) FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'i')"
        )
        connection.execute("DROP EXTENSION pg_prewarm")


@contextmanager
def _keys_made_last(connection: Connection) -> Iterator[None]:
    """Drop keys and indexes during the block: building them from all rows at once takes a tenth of the time."""
    # Foreign keys are dropped first, and made last.
    changes = [change for query in (_KEYS, _INDEXES) for change in connection.execute(query).fetchall()]
    for drop, _ in changes:
        connection.execute(drop)
    yield
    for _, make in reversed(changes):
        connection.execute(make)
