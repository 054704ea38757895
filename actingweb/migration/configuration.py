"""What a run of the tool works with: flags before the environment, the environment before `.env`."""

import getpass
import os
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from dotenv import find_dotenv, load_dotenv
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.conninfo import connection_string, pool_string
from actingweb.db.settings import PostgresSettings, Settings
from actingweb.migration.errors import UsageError
from actingweb.migration.launch import PASSWORD_VARIABLE
from actingweb.migration.target import Target

__all__ = ["PostgresFlags", "read_settings", "target_of"]


@dataclass(frozen=True)
class PostgresFlags:
    """Where PostgreSQL is, as far as the command line says."""

    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def read_settings() -> Settings:
    """Return the settings of the environment and of the nearest `.env` in the working directory or above.

    Raise `UsageError` naming the variable if a value is bad.
    """
    try:
        load_dotenv(find_dotenv(usecwd=True))
    except (ValueError, OSError):
        raise UsageError("the file .env cannot be read: it must be text in UTF-8 without U+0000") from None
    try:
        return Settings.from_environment()
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def target_of(settings: Settings, flags: PostgresFlags) -> Target:
    """Return the PostgreSQL side, asking for a password if the server wants one and none is set.

    Raise `UsageError` for bad settings, or for a missing password where there is no terminal to ask on.
    """
    try:
        chosen = _overridden(settings.postgresql, flags)
        parameters = conninfo_to_dict(pool_string(chosen))
    except ConfigurationError as error:
        raise UsageError(str(error)) from None
    except UnicodeEncodeError:
        raise UsageError("the options for PostgreSQL must be text in UTF-8") from None
    if parameters.get("password") or chosen.password_command or not _wants_password(parameters):
        return Target(chosen)
    return Target(_overridden(chosen, PostgresFlags(password=_ask(parameters))))


def _overridden(settings: PostgresSettings, flags: PostgresFlags) -> PostgresSettings:
    password = flags.password or os.environ.get(PASSWORD_VARIABLE)
    if password:
        settings = replace(settings, password_command=None)
    if settings.url:
        # Taken apart and put together by libpq's rules, after a check that it can be.
        connection_string(settings)
        given = {"host": flags.host, "port": flags.port, "dbname": flags.database, "user": flags.user}
        chosen = {name: value for name, value in (given | {"password": password}).items() if value}
        return replace(settings, url=make_conninfo(settings.url, **chosen))
    return replace(
        settings,
        host=flags.host or settings.host,
        port=str(flags.port or settings.port),
        name=flags.database or settings.name,
        user=flags.user or settings.user,
        password=password or settings.password,
    )


def _wants_password(parameters: dict[str, Any]) -> bool:
    """Tell if the server refuses the log-in for want of a password; other faults are for a later attempt to report."""
    try:
        psycopg.connect(**parameters).close()
    except psycopg.OperationalError as error:
        return error.pgconn is not None and error.pgconn.needs_password
    return False


def _ask(parameters: dict[str, Any]) -> str:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("the server asks for a password: set PG_DB_PASSWORD")
    return getpass.getpass(f"Password of PostgreSQL user {parameters.get('user', '')}: ", stream=sys.stderr)
