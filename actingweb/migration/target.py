"""The PostgreSQL side: connections, and the checks before the first write."""

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
from actingweb.migration.tables import FORMS, LOOK_UPS

__all__ = ["Connection", "Target", "lift_timeouts", "target_faults"]

Connection = DirectConnection

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

        Raise `TargetError` if there is none, `UsageError` for bad settings, of the server for this role too.
        """
        with target_faults():
            try:
                return connect(self.settings)
            except (ConfigurationError, SessionError) as error:
                raise UsageError(str(error)) from None

    def sql(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """Return a statement with {schema} and the other named parts filled in."""
        return sql.SQL(statement).format(schema=sql.Identifier(self.schema), **parts)

    def check(self, connection: Connection) -> None:
        """Raise `UsageError` unless the schema is at head and the role may write to all its tables."""
        self.check_revision(connection)
        with target_faults():
            self._check_rights(connection)

    def check_revision(self, connection: Connection) -> None:
        """Raise `UsageError` unless the schema is at head, in UTF8, and no row-level security hides all rows."""
        state = self.state(connection)
        if not state.is_current or state.hazard is not None:
            raise UsageError(f'schema "{self.schema}": {state.problem}')

    def state(self, connection: Connection) -> SchemaState:
        """Look at the schema."""
        with target_faults():
            return schema_state(connection, self.schema)

    def _check_rights(self, connection: Connection) -> None:
        checks: list[tuple[str, sql.Composable]] = [
            (f"read and write {name}", sql.SQL(_MAY_WRITE).format(name)) for name in self._table_names()
        ]
        checks += [
            (f'make tables in schema "{self.schema}"', sql.SQL(_MAY_CREATE).format(self.schema)),
            ("make temporary tables in the database", sql.SQL(_MAY_STAGE)),
            (
                "write at all: the server is read-only, a standby or by default_transaction_read_only",
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
        names = [*(form.table for form in FORMS), LOOK_UPS]
        return [sql.Identifier(self.schema, name).as_string() for name in names]


@contextmanager
def target_faults() -> Iterator[None]:
    """Raise what psycopg raises as `TargetError`; its detail lines, which quote rows, are left out."""
    try:
        yield
    except psycopg.Error as error:
        text = error.diag.message_primary or str(error).strip().partition("\nDETAIL:")[0]
        failure = TargetError(f"{type(error).__name__}: {text}")
    else:
        return
    raise failure


def lift_timeouts(connection: Connection, *, synchronous: bool = True) -> None:
    """Lift the role's time limits for the present transaction; its commit waits for the disk if `synchronous`."""
    connection.execute(connection.lifting + (b"" if synchronous else _ASYNCHRONOUS))
