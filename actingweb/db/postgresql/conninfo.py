"""Conninfo strings for libpq, made of the settings with psycopg's own quoting."""

import math
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import PostgresSettings

__all__ = ["connection_string", "pool_string"]

_URL_VARIABLES = "PG_DB_URL, DATABASE_URL"
_MIGRATION_VARIABLE = "PG_MIGRATION_URL"


def connection_string(settings: PostgresSettings, *, migration: bool = False) -> str:
    """Return who connects where, and over which TLS; with `migration` where and how schema changes go.

    Raise `ConfigurationError` naming the variable if a URL is malformed.
    """
    target = _target(settings, migration)
    return _conninfo(_resilience(settings, target) | target if migration else target)


def pool_string(settings: PostgresSettings) -> str:
    """Return `connection_string` with what keeps a lost server from being waited for; options of a URL win."""
    target = _target(settings, False)
    return _conninfo(_resilience(settings, target) | target)


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
    # Outside the handler: the driver's message quotes the URL, which can hold a password.
    raise ConfigurationError(f"{variable}: must be a PostgreSQL URL or conninfo string that libpq can read")


def _conninfo(parameters: dict[str, Any]) -> str:
    try:
        return make_conninfo("", **parameters)
    except (ProgrammingError, UnicodeEncodeError):
        pass
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
