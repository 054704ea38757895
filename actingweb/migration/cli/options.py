"""The options and settings of a run: options win over the environment, and that over the file `.env`."""

import getpass
import sys
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.conninfo import connection_string, pool_string
from actingweb.db.postgresql.login import is_password_used, with_options
from actingweb.db.postgresql.password import PasswordError
from actingweb.db.settings import PostgresSettings, Settings
from actingweb.migration.cli import password_option
from actingweb.migration.cli.env_file import load_env_file
from actingweb.migration.errors import UsageError
from actingweb.migration.target.connection import Target

__all__ = ["PostgresFlags", "read_settings", "target_of"]


@dataclass(frozen=True)
class PostgresFlags:
    """Where PostgreSQL is; None stands for an option that is not given."""

    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def are_given(self) -> bool:
        """Whether an option is given, also the password that was hidden."""
        return any(vars(self).values()) or password_option.password is not None


def read_settings() -> Settings:
    """Return the settings of the environment and of the nearest `.env` in the working directory or above.

    Raise `UsageError` naming the variable if a value is invalid.
    """
    load_env_file()
    try:
        return Settings.from_environment()
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def target_of(settings: Settings, flags: PostgresFlags) -> Target:
    """Return the target; ask for the password if the server requires one and none is set.

    The log-in is that of PG_MIGRATION_URL, as for Alembic, if that is set and no option is given: even to compare takes
    rights that the application does not need.

    Raise `UsageError` for invalid settings, or if a password is required and there is no terminal to ask on.
    """
    try:
        if settings.postgresql.migration_url and not flags.are_given:
            return _owner_target(settings.postgresql)
        return _target(settings.postgresql, flags)
    except (ConfigurationError, PasswordError) as error:
        raise UsageError(str(error)) from None
    except UnicodeEncodeError:
        raise UsageError("the options for PostgreSQL must be text in UTF-8") from None


def _target(settings: PostgresSettings, flags: PostgresFlags) -> Target:
    options = {"host": flags.host, "port": flags.port, "dbname": flags.database, "user": flags.user}
    given = {name: str(value) for name, value in options.items() if value}
    chosen = with_options(settings, given, flags.password or password_option.password)
    parameters = conninfo_to_dict(pool_string(chosen))
    uses_command = chosen.password_command is not None and is_password_used(chosen)
    if parameters.get("password") or uses_command or not _requires_password(parameters):
        return Target(chosen)
    return Target(with_options(chosen, {}, _ask(parameters)))


def _owner_target(settings: PostgresSettings) -> Target:
    parameters = conninfo_to_dict(connection_string(settings, migration=True))
    if not parameters.get("password") and _requires_password(parameters):
        url = make_conninfo(settings.migration_url or "", password=_ask(parameters))
        settings = settings.replace(migration_url=url)
    return Target(settings, as_owner=True)


def _requires_password(parameters: dict[str, Any]) -> bool:
    """Tell whether the server requires a password. Other errors will be reported when the target connects."""
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError as error:
        return error.pgconn is not None and error.pgconn.needs_password
    return False


def _ask(parameters: dict[str, Any]) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the server asks for a password: set PG_DB_PASSWORD. It is sent only to the server and user that "
            "PG_DB_HOST, PG_DB_PORT and PG_DB_USER name, so if they are set, they must not differ from the options, "
            "nor from PG_MIGRATION_URL, unless that has a password of its own"
        )
    return getpass.getpass(f"Password of PostgreSQL user {parameters.get('user', '')}: ", stream=sys.stderr)
