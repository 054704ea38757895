"""Builds conninfo strings for libpq from the settings, with psycopg's quoting."""

import math
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.postgresql.login import is_same_log_in, log_in
from actingweb.db.postgresql.password import fresh_password
from actingweb.db.settings import PostgresSettings

__all__ = ["connection_string", "pool_string"]


def connection_string(settings: PostgresSettings, *, migration: bool = False) -> str:
    """Return the conninfo string of the settings; with `migration` the one for schema changes.

    Raise `ConfigurationError` naming the variable if a URL is malformed, `PasswordError` if the password source fails.
    """
    if migration:
        return _conninfo(settings, migration=True, resilient=True, fresh=_is_application(settings))
    return _conninfo(settings, resilient=False, fresh=True)


def pool_string(settings: PostgresSettings, *, fresh: bool = False) -> str:
    """Return `connection_string` with timeouts that detect a lost server. Parameters of a URL override them.

    Include a password from a command or a function only if `fresh`, because it can change.
    """
    return _conninfo(settings, resilient=True, fresh=fresh)


def _is_application(settings: PostgresSettings) -> bool:
    """Tell whether schema changes use the application's password."""
    return not settings.migration_url or is_same_log_in(settings)


def _conninfo(settings: PostgresSettings, *, resilient: bool, fresh: bool, migration: bool = False) -> str:
    tls = {"sslmode": settings.sslmode, "sslrootcert": settings.sslrootcert}
    parameters = {name: value for name, value in tls.items() if value} | log_in(settings, migration=migration)
    if fresh and (password := fresh_password(settings)) is not None:
        parameters["password"] = password
    if resilient:
        # The library writes and reads UTF-8, so it ignores the encoding of a URL.
        parameters = _resilience(settings, parameters) | parameters | {"client_encoding": "UTF8"}
    try:
        return make_conninfo("", **parameters)
    except (ProgrammingError, UnicodeEncodeError):
        pass
    del parameters
    raise ConfigurationError("PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD: must be text in UTF-8")


def _resilience(settings: PostgresSettings, target: dict[str, Any]) -> dict[str, Any]:
    silence = settings.tcp_user_timeout
    parameters: dict[str, Any] = {
        "connect_timeout": math.ceil(settings.connect_timeout),
        "fallback_application_name": "actingweb",
        "keepalives_idle": max(1, round(silence / 2)),
        "keepalives_interval": max(1, round(silence / 4)),
        "tcp_user_timeout": math.ceil(silence * 1000),
    }
    if "," in str(target.get("host", "")) + str(target.get("hostaddr", "")):
        parameters["target_session_attrs"] = "read-write"
    return parameters
