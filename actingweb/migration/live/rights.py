"""The rights that the preparation of a live migration checks before it writes anything."""

from collections.abc import Iterable

from psycopg import sql

from actingweb.migration.errors import UsageError
from actingweb.migration.target.connection import Connection

__all__ = ["require_rights"]

_MAY_CREATE = "has_database_privilege(current_database(), 'CREATE') OR to_regnamespace({schema}) IS NOT NULL"
_LACKING = """
SELECT name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS tables (name, position)
WHERE NOT has_table_privilege(name, %(command)s) ORDER BY position LIMIT 1
"""


def require_rights(connection: Connection, state: str, command: str, tables: Iterable[sql.Identifier]) -> None:
    """Raise `UsageError` unless the role may create the schema `state`, or it exists, and use a command on all tables.

    Raise `psycopg.Error`.
    """
    may_create = sql.SQL("SELECT " + _MAY_CREATE).format(schema=state)
    if connection.execute(may_create).fetchone() != (True,):
        raise UsageError(f'the role may not create schema "{state}" in the database: as its owner grant it CREATE')
    values = {"names": [table.as_string() for table in tables], "command": command}
    lacked = connection.execute(_LACKING, values).fetchone()
    if lacked is not None:
        raise UsageError(f"the role lacks {command} on {lacked[0]}: as its owner grant it")
