"""The settings and their origins, without secrets."""

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import Settings
from actingweb.migration.cli.env_file import load_env_file
from actingweb.migration.findings import Finding, good, stopper

__all__ = ["VARIABLES", "Sources", "without_user"]

_SIDE = "settings"
_HIDDEN = "set, hidden"

VARIABLES: Mapping[str, Mapping[str, str]] = {
    "both": {
        "DATABASE_BACKEND": "database_backend",
        "USE_PROPERTY_LOOKUP_TABLE": "use_property_lookup_table",
        "INDEXED_PROPERTIES": "indexed_properties",
        "DB_SLOW_CALL_SECONDS": "slow_call_seconds",
    },
    "dynamodb": {
        "AWS_DB_PREFIX": "aws_db_prefix",
        "AWS_DB_HOST": "aws_db_host",
        "AWS_DEFAULT_REGION": "aws_region",
        "AWS_REGION": "aws_region",
        "AWS_DB_AUTO_CREATE_TABLES": "aws_db_auto_create_tables",
        "AWS_DB_TIMEOUT": "aws_db_timeout",
        "AWS_DB_MAX_ATTEMPTS": "aws_db_max_attempts",
        "AWS_DB_TRANSPORT": "aws_db_transport",
    },
    "postgresql": {
        "PG_DB_URL": "url",
        "DATABASE_URL": "url",
        "PG_DB_HOST": "host",
        "PG_DB_PORT": "port",
        "PG_DB_NAME": "name",
        "PG_DB_USER": "user",
        "PG_DB_PASSWORD": "password",
        "PG_DB_PASSWORD_COMMAND": "password_command",
        "PG_DB_SSLMODE": "sslmode",
        "PG_DB_SSLROOTCERT": "sslrootcert",
        "PG_DB_PREFIX": "",
        "PG_DB_SCHEMA": "schema",
        "PG_POOL_MIN_SIZE": "pool_min_size",
        "PG_POOL_MAX_SIZE": "pool_max_size",
        "PG_POOL_TIMEOUT": "pool_timeout",
        "PG_POOLER": "pooler",
        "PG_EXPLICIT_TRANSACTIONS": "explicit_transactions",
        "PG_CONNECT_TIMEOUT": "connect_timeout",
        "PG_TCP_USER_TIMEOUT": "tcp_user_timeout",
        "PG_DB_TIMEOUT": "timeout",
        "PG_MIGRATION_URL": "migration_url",
    },
}
"""The library's variables, each with the attribute of the settings that has its default."""

_OTHERS: Mapping[str, tuple[str, ...]] = {
    "both": (),
    "dynamodb": (
        *("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"),
    ),
    "postgresql": (
        *("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSSLMODE"),
        *("PGSSLROOTCERT", "PGTARGETSESSIONATTRS", "PGOPTIONS"),
    ),
}
"""The drivers' variables that have an effect."""

_SECRET = frozenset(
    {
        *("PG_DB_URL", "DATABASE_URL", "PG_DB_PASSWORD", "PG_DB_PASSWORD_COMMAND", "PG_MIGRATION_URL", "PGPASSWORD"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    }
)
_PARTS = frozenset({"PG_DB_HOST", "PG_DB_PORT", "PG_DB_NAME", "PG_DB_USER"})
_ENDPOINTS = frozenset({"AWS_DB_HOST", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"})


def without_user(url: str) -> str:
    """Return the URL of an endpoint without user, password and parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _HIDDEN
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else _HIDDEN


class Sources:
    """The settings of the process and of the file `.env`, which is loaded into the environment."""

    def __init__(self) -> None:
        """Raise `UsageError` if the file cannot be read, `ConfigurationError` if a shared setting is invalid."""
        self._own = frozenset(os.environ)
        load_env_file()
        self.settings = Settings.from_environment()
        self._defaults = Settings.from_environment({})

    def origin(self, variable: str) -> str:
        """Return the origin of a variable's value."""
        if not os.environ.get(variable, "").strip():
            return "default"
        return "environment" if variable in self._own else "file .env"

    def findings(self, side: str) -> Iterator[Finding]:
        """Yield the settings of a backend, or ("both") those that all backends share."""
        try:
            # This validates the settings of PostgreSQL.
            url = self.settings.postgresql.url if side == "postgresql" else None
        except ConfigurationError as error:
            yield stopper(_SIDE, "PostgreSQL", str(error))
            return
        defaults = vars(self._defaults.postgresql if side == "postgresql" else self._defaults)
        # A URL replaces these variables, so that their defaults do not apply.
        unused = _PARTS if url else frozenset()
        values = {name: None if name in unused else defaults.get(found) for name, found in VARIABLES[side].items()}
        for variable, default in (values | dict.fromkeys(_OTHERS[side])).items():
            if (shown := self._shown(variable, default)) is not None:
                yield good(_SIDE, variable, shown)

    def _shown(self, variable: str, default: Any) -> str | None:
        """Return the value and origin of a variable; None if it has neither a value nor a default."""
        origin = self.origin(variable)
        if origin == "default":
            return f"{_text(default)} (default)" if default not in (None, "") else None
        value = os.environ[variable].strip()
        if variable in _ENDPOINTS:
            value = without_user(value)
        # Someone may have put a URL with a password where a name belongs.
        return f"{_HIDDEN if variable in _SECRET or '@' in value else value} ({origin})"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
