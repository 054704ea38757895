"""The PostgreSQL schema that is loaded or validated: connections, checks before the first write, and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.direct import DirectConnection, connect
from actingweb.db.postgresql.schema_check import SchemaState, schema_state
from actingweb.db.postgresql.session import SessionError
from actingweb.db.settings import PostgresSettings
from actingweb.migration.errors import TargetError, UsageError
from actingweb.migration.mapping import LOOK_UPS, MAPPINGS

__all__ = ["REJECTED_BY_SERVER", "Connection", "Target", "column_names", "lift_timeouts", "target_errors"]

Connection = DirectConnection

REJECTED_BY_SERVER = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
"""What PostgreSQL raises for a row whose content it cannot store."""

_MAY_WRITE = (
    "has_table_privilege({0}, 'SELECT') AND has_table_privilege({0}, 'INSERT') AND has_table_privilege({0}, 'DELETE')"
)
_MAY_CREATE = "has_schema_privilege({}, 'CREATE')"
_MAY_STAGE = "has_database_privilege(current_database(), 'TEMPORARY')"
_MAY_CHANGE = "current_setting('transaction_read_only') = 'off'"
_ASYNCHRONOUS = b"; SET LOCAL synchronous_commit = off"


@dataclass(frozen=True)
class Target:
    """A schema of a PostgreSQL database."""

    settings: PostgresSettings

    @property
    def schema(self) -> str:
        """The name of the schema."""
        return self.settings.schema

    def connect(self) -> Connection:
        """Return a new connection in autocommit mode.

        Raise `TargetError` if the server cannot be reached, `UsageError` if the settings, or the server's settings for
        this role, do not allow the migration.
        """
        with target_errors():
            try:
                return connect(self.settings)
            except (ConfigurationError, SessionError) as error:
                raise UsageError(str(error)) from None

    def sql(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """Return a statement whose placeholders, {schema} and those of `parts`, are filled in."""
        return sql.SQL(statement).format(schema=sql.Identifier(self.schema), **parts)

    def check(self, connection: Connection) -> None:
        """Raise `UsageError` unless the schema is at head and the role may write to all its tables."""
        self.check_revision(connection)
        with target_errors():
            self._check_rights(connection)

    def check_revision(self, connection: Connection) -> None:
        """Raise `UsageError` unless the schema is at head, in UTF8, and row-level security hides no rows."""
        state = self.state(connection)
        if not state.is_current or state.hazard is not None:
            raise UsageError(f'schema "{self.schema}": {state.problem}')

    def state(self, connection: Connection) -> SchemaState:
        """Return the state of the schema. Raise `TargetError`."""
        with target_errors():
            return schema_state(connection, self.schema)

    def _check_rights(self, connection: Connection) -> None:
        checks: list[tuple[str, sql.Composable]] = [
            (f"read and write {name}", sql.SQL(_MAY_WRITE).format(name)) for name in self._table_names()
        ]
        checks += [
            (f'create tables in schema "{self.schema}"', sql.SQL(_MAY_CREATE).format(self.schema)),
            ("create temporary tables in the database", sql.SQL(_MAY_STAGE)),
            (
                "write at all: the server is read-only, as a standby or by default_transaction_read_only",
                sql.SQL(_MAY_CHANGE),
            ),
        ]
        facts = connection.execute(
            sql.SQL("SELECT {}").format(sql.SQL(", ").join(test for _, test in checks))
        ).fetchone()
        for (right, _), allowed in zip(checks, facts or (), strict=True):
            if not allowed:
                raise UsageError(f"the role may not {right}")

    def _table_names(self) -> list[str]:
        names = [*(mapping.table for mapping in MAPPINGS), LOOK_UPS]
        return [sql.Identifier(self.schema, name).as_string() for name in names]


@contextmanager
def target_errors() -> Iterator[None]:
    """Convert psycopg's errors to `TargetError`, without their detail lines, which quote rows."""
    try:
        yield
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error).strip().partition("\nDETAIL:")[0]
        failure = TargetError(f"{type(error).__name__}: {text}")
    else:
        return
    raise failure


def lift_timeouts(connection: Connection, *, synchronous: bool = True) -> None:
    """Disable the role's time limits for the current transaction.

    Its commit waits until it is on disk if `synchronous`.
    """
    connection.execute(connection.lift_timeouts_sql + (b"" if synchronous else _ASYNCHRONOUS))


def column_names(columns: tuple[str, ...]) -> sql.Composed:
    """Return a comma-separated list of columns."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))
