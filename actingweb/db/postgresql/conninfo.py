"""Conninfo strings for libpq, made of the settings with psycopg's own quoting."""

import math
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.password import fresh_password
from actingweb.db.settings import PostgresSettings

__all__ = ["connection_string", "pool_string"]

_URL_VARIABLES = "PG_DB_URL, DATABASE_URL"
_MIGRATION_VARIABLE = "PG_MIGRATION_URL"


def connection_string(settings: PostgresSettings, *, migration: bool = False) -> str:
    """Return who connects where, and over which TLS; with `migration` where and how schema changes go.

    Raise `ConfigurationError` naming the variable if a URL is malformed, `PasswordError` if there is no password now.
    """
    password = None if migration and settings.migration_url else fresh_password(settings)
    return _conninfo(settings, migration, resilient=migration, password=password)


def pool_string(settings: PostgresSettings) -> str:
    """Return `connection_string` with what keeps a lost server from being waited for; options of a URL win.

    A password that changes is not in it.
    """
    return _conninfo(settings, False, resilient=True)


def _target(settings: PostgresSettings, migration: bool) -> dict[str, Any]:
    tls = {"sslmode": settings.sslmode, "sslrootcert": settings.sslrootcert}
    tls = {name: value for name, value in tls.items() if value}
    if migration and settings.migration_url:
        return tls | _parsed(settings.migration_url, _MIGRATION_VARIABLE)
    if settings.url:
        return tls | _parsed(settings.url, _URL_VARIABLES)
    parts = {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.name,
        "user": settings.user,
        "password": settings.password,
    }
    return tls | {name: value for name, value in parts.items() if value}


def _parsed(url: str, variable: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except (ProgrammingError, UnicodeEncodeError):
        pass
    # Outside the handler, and without the variable: the driver's message and the URL can hold a password.
    del url
    raise ConfigurationError(f"{variable}: must be a PostgreSQL URL or conninfo string that libpq can read")


def _conninfo(settings: PostgresSettings, migration: bool, *, resilient: bool, password: str | None = None) -> str:
    parameters = _target(settings, migration)
    if password is not None:
        parameters["password"] = password
    if resilient:
        parameters = _resilience(settings, parameters) | parameters
    try:
        return make_conninfo("", **parameters)
    except (ProgrammingError, UnicodeEncodeError):
        pass
    del parameters, password
    raise ConfigurationError("PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD: must be text in UTF-8")


def _resilience(settings: PostgresSettings, target: dict[str, Any]) -> dict[str, Any]:
    silence = settings.tcp_user_timeout
    parameters: dict[str, Any] = {
        "client_encoding": "UTF8",
        "connect_timeout": math.ceil(settings.connect_timeout),
        "fallback_application_name": "actingweb",
        "keepalives_idle": max(1, round(silence / 2)),
        "keepalives_interval": max(1, round(silence / 4)),
        "tcp_user_timeout": math.ceil(silence * 1000),
    }
    if "," in str(target.get("host", "")) + str(target.get("hostaddr", "")):
        parameters["target_session_attrs"] = "read-write"
    return parameters
