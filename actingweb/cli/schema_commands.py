"""What the commands of `actingweb-db schema` do."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql import migrate
from actingweb.db.postgresql.password import PasswordError
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.schema_state import SchemaState
from actingweb.migration.cli.options import read_settings
from actingweb.migration.errors import ExitCode, TargetError, UsageError
from actingweb.migration.target.connection import Target

__all__ = ["check", "current", "downgrade", "sql", "upgrade"]


def upgrade(revision: str) -> ExitCode:
    """Upgrade the schema and print both revisions."""
    return _changed(lambda: migrate.upgrade(revision))


def downgrade(revision: str) -> ExitCode:
    """Downgrade the schema and print both revisions."""
    return _changed(lambda: migrate.downgrade(revision))


def current() -> ExitCode:
    """Print the revision."""
    target = _target()
    state = _state(target)
    print(f"{_name(target)}: {_revision(state)}" + (" (head)" if state.is_current else ""))
    return ExitCode.OK


def check() -> ExitCode:
    """Check that the schema is at the revision of this release, and has every table, column and index."""
    target = _target()
    state = _state(target)
    if not state.is_current or state.hazard is not None:
        print(f"{_name(target)}: {state.problem}", file=sys.stderr)
        return ExitCode.DIFFERENCES
    with _converted_errors():
        difference = migrate.difference()
    if difference is not None:
        print(f"{_name(target)}: {difference}", file=sys.stderr)
        return ExitCode.DIFFERENCES
    print(f"{_name(target)}: is at revision {HEAD}, with every table, column and index of this release")
    return ExitCode.OK


def sql() -> ExitCode:
    """Print the statements that create the schema."""
    print(migrate.creation(_target().schema))
    return ExitCode.OK


def _changed(change: Callable[[], None]) -> ExitCode:
    target = _target()
    before = _state(target)
    with _converted_errors():
        change()
    after = _state(target)
    if after.revisions == before.revisions:
        print(f"{_name(target)}: remains at {_revision(after)}")
    else:
        print(f"{_name(target)}: from {_revision(before)} to {_revision(after)}")
    return ExitCode.OK


def _target() -> Target:
    try:
        return Target(read_settings().postgresql)
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def _state(target: Target) -> SchemaState:
    """Return the state of the schema. Raise `MigrationError`."""
    with target.connect() as connection:
        return target.state(connection)


def _name(target: Target) -> str:
    return f'schema "{target.schema}"'


def _revision(state: SchemaState) -> str:
    if not state.exists:
        return "no schema"
    return f"revision {', '.join(sorted(state.revisions))}" if state.revisions else "no revision"


@contextmanager
def _converted_errors() -> Iterator[None]:
    """Convert the errors of Alembic and the driver to `MigrationError`."""
    failure: TargetError | UsageError
    try:
        yield
        return
    except (ConfigurationError, PasswordError) as error:
        failure = UsageError(str(error))
    except CommandError as error:
        failure = TargetError(str(error))
    except DBAPIError as error:
        failure = TargetError(_first_line(error.orig))
    except psycopg.Error as error:
        failure = TargetError(_first_line(error))
    raise failure


def _first_line(error: BaseException | None) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
