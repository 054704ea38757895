"""The PostgreSQL schema that is loaded or validated: connections, checks before the first write, and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.direct import DirectConnection, connect
from actingweb.db.postgresql.schema_state import SchemaState, schema_state
from actingweb.db.postgresql.session import SessionError
from actingweb.db.settings import PostgresSettings
from actingweb.migration.errors import TargetError, UsageError
from actingweb.migration.target.rights import LOADING, RightsNeeded, lacking

__all__ = ["REJECTED_BY_SERVER", "Connection", "Target", "column_names", "lift_timeouts", "target_errors"]

Connection = DirectConnection

REJECTED_BY_SERVER = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
"""What PostgreSQL raises for a row whose content it cannot store."""

_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"
_ASYNCHRONOUS = b"; SET LOCAL synchronous_commit = off"


@dataclass(frozen=True)
class Target:
    """A schema of a PostgreSQL database.

    Attributes:
        as_owner: whether to log in by PG_MIGRATION_URL, as Alembic does, if that is set.
    """

    settings: PostgresSettings
    as_owner: bool = False

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
                return connect(self.settings, migration=self.as_owner)
            except (ConfigurationError, SessionError) as error:
                raise UsageError(str(error)) from None

    def sql(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """Return a statement whose placeholders, {schema} and those of `parts`, are filled in."""
        return sql.SQL(statement).format(schema=sql.Identifier(self.schema), **parts)

    def check(self, connection: Connection, needed: RightsNeeded = LOADING) -> None:
        """Raise `UsageError` unless the role has the rights that are needed, and the schema is at head."""
        self._check_hazard(connection)
        self.require(connection, needed)
        self.check_revision(connection)
        with target_errors():
            if connection.execute(_READ_ONLY).fetchone() == (True,):
                raise UsageError(
                    "nothing can be written: the server is read-only, as a standby or by default_transaction_read_only"
                )

    def _check_hazard(self, connection: Connection) -> None:
        """Raise `UsageError` if the database is not in UTF8, or row-level security hides rows."""
        try:
            state = self.state(connection)
        except TargetError:
            # A right is missing, which `require` names.
            return
        if state.hazard is not None:
            raise UsageError(f'schema "{self.schema}": {state.problem}')

    def require(self, connection: Connection, needed: RightsNeeded) -> None:
        """Raise `UsageError` naming the rights that the role lacks."""
        with target_errors():
            lacks = lacking(connection, self.schema, needed)
        if lacks is not None:
            raise UsageError(lacks)

    def check_revision(self, connection: Connection) -> None:
        """Raise `UsageError` unless the schema is at head, in UTF8, and row-level security hides no rows."""
        state = self.state(connection)
        if not state.is_current or state.hazard is not None:
            raise UsageError(f'schema "{self.schema}": {state.problem}')

    def state(self, connection: Connection) -> SchemaState:
        """Return the state of the schema. Raise `TargetError`."""
        with target_errors():
            return schema_state(connection, self.schema)


@contextmanager
def target_errors() -> Iterator[None]:
    """Convert psycopg's errors to `TargetError`, without their detail lines, which quote rows."""
    try:
        yield
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error).strip().partition("\nDETAIL:")[0]
        if isinstance(error, psycopg.errors.DiskFull):
            text += ": make room on the server, then run the command again"
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
