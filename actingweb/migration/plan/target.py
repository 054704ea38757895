"""Checks of the PostgreSQL side: release, schema, rights, and whether rows are there already."""

from collections.abc import Iterator
from contextlib import closing

from psycopg import sql

from actingweb.db.postgresql.rights import missing_rights, phrase
from actingweb.migration.findings import Finding, good, stopper, unchecked, warning
from actingweb.migration.mapping import MAPPINGS
from actingweb.migration.plan.facts import TableFacts
from actingweb.migration.target.connection import Connection, Target, target_errors

__all__ = ["SIDE", "findings"]

SIDE = "postgresql"
_OLDEST = 12
_RIGHTS = """
SELECT current_user, has_database_privilege(current_database(), 'CREATE'),
       has_database_privilege(current_database(), 'TEMPORARY'), current_setting('transaction_read_only') = 'off'
"""
_TRIGGER = """
SELECT relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND relname = ANY(%(tables)s) AND NOT has_table_privilege(c.oid, 'TRIGGER')
ORDER BY relname
"""


def findings(target: Target, tables: dict[str, TableFacts]) -> Iterator[Finding]:
    """Yield findings about the target. Raise `TargetError` or `UsageError` if it cannot be reached."""
    with closing(target.connect()) as connection, target_errors():
        yield from _release(connection)
        yield from _schema(target, connection)
        yield from _rights(target, connection)
        yield from _rows(target, connection)
        yield _disk(connection, tables)


def _release(connection: Connection) -> Iterator[Finding]:
    number = connection.info.server_version // 10000
    if number < _OLDEST:
        yield stopper(SIDE, "release", f"PostgreSQL {number}", f"upgrade to {_OLDEST} or later")
    else:
        yield good(SIDE, "release", f"PostgreSQL {connection.info.parameter_status('server_version')}")


def _schema(target: Target, connection: Connection) -> Iterator[Finding]:
    state = target.state(connection)
    if state.is_current and state.hazard is None:
        yield good(SIDE, "schema", f'"{target.schema}" is at the revision that this release needs')
    else:
        yield stopper(SIDE, "schema", f'"{target.schema}": {state.problem}')


def _rights(target: Target, connection: Connection) -> Iterator[Finding]:
    ((role, create, temporary, writable),) = connection.execute(_RIGHTS)
    lacking = [*_lacking_rights(target, connection, role, create=create, temporary=temporary)]
    if not writable:
        yield stopper(SIDE, "rights", "the server is read-only, as a standby or by default_transaction_read_only")
    yield from lacking
    if writable and not lacking:
        yield good(SIDE, "rights", f"role {role} may do all that the migration needs")


def _lacking_rights(
    target: Target, connection: Connection, role: str, *, create: bool, temporary: bool
) -> Iterator[Finding]:
    name, database = (sql.Identifier(text).as_string() for text in (role, connection.info.dbname))
    rights = ", ".join(right for right, has in (("CREATE", create), ("TEMPORARY", temporary)) if not has)
    if rights:
        text = f"role {role} lacks {rights} on the database, which the migration's own schema needs"
        yield stopper(SIDE, "rights", text, f"GRANT {rights} ON DATABASE {database} TO {name}")
    if missing := missing_rights(connection, target.schema):
        yield stopper(SIDE, "rights", f"role {role} lacks {phrase(missing)}", "GRANT it these")
    tables = [mapping.table for mapping in MAPPINGS]
    without = [row[0] for row in connection.execute(_TRIGGER, {"schema": target.schema, "tables": tables})]
    if without:
        text = f"role {role} may not create triggers on {', '.join(without)}, which the way back needs"
        yield warning(SIDE, "rights", text, f"GRANT TRIGGER on them TO {name}, or run it as their owner")


def _rows(target: Target, connection: Connection) -> Iterator[Finding]:
    filled = []
    for mapping in MAPPINGS if target.state(connection).is_current else ():
        statement = target.sql("SELECT EXISTS (SELECT FROM {schema}.{table})", table=sql.Identifier(mapping.table))
        if connection.execute(statement).fetchone() == (True,):
            filled.append(mapping.table)
    if filled:
        advice = "empty them, unless an earlier run of the migration filled them"
        yield warning(SIDE, "rows", f"{', '.join(filled)} have rows already", advice)
    else:
        yield good(SIDE, "rows", "the tables are empty")


def _disk(connection: Connection, tables: dict[str, TableFacts]) -> Finding:
    """Say what the rows will need: PostgreSQL does not tell how much space is free."""
    size = sum(table.size for table in tables.values())
    ((text,),) = connection.execute("SELECT pg_size_pretty(%(size)s::bigint)", {"size": size})
    reason = f"PostgreSQL does not tell how much is free; the items have {text}, tables and indexes need more"
    return unchecked(SIDE, "disk", reason)
