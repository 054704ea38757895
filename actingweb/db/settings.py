"""The settings of the storage layer. They are read from the environment once, and validated."""

import os
from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import Any, Self

from actingweb.db import environment as read
from actingweb.db.environment import Environment, parse_bool, table_prefix
from actingweb.db.exceptions import ConfigurationError

__all__ = ["PostgresSettings", "Settings", "get_settings", "parse_bool", "reset_settings", "table_prefix"]

_IDENTIFIER_BYTES = 63
_INDEXED = ("oauthId", "email", "externalUserId")
_URL_VARIABLES = ("PG_DB_URL", "DATABASE_URL")
_LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGSERVICE")
_NAMING = {"host": "PG_DB_HOST", "port": "PG_DB_PORT", "user": "PG_DB_USER"}
_REGION_VARIABLES = ("AWS_DEFAULT_REGION", "AWS_REGION")


class _Captured(dict[str, str]):
    """Environment variables whose `repr` hides them."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


class _ReadOnly:
    """An object that cannot be changed after `__init__`, which ends with `self._is_read = True`."""

    _is_read = False

    def __setattr__(self, name: str, value: object) -> None:
        if self._is_read:
            raise AttributeError("settings are read-only: change the environment and call reset_settings()")
        super().__setattr__(name, value)


class PostgresSettings(_ReadOnly):
    """How to reach PostgreSQL. Times are in seconds.

    Attributes:
        url: takes precedence over `host`, `port`, `name` and `user`.
        url_variable: the variable that `url` comes from.
        named: which of `host`, `port` and `user` are set. `password` and `password_command` belong to that server and
            user, so a URL that names another one does not get them.
        libpq: which of libpq's own variables for server, user and password are set.
        password_command: a program and its arguments; it prints the password for each new connection.
        timeout: how long a call waits for the server's answer.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read and validate `environment`. Raise `ConfigurationError` for a bad value."""
        env = Environment(environment)
        self.url_variable = next((name for name in _URL_VARIABLES if env.get(name, None, read.url)), _URL_VARIABLES[0])
        self.url: str | None = env.get(self.url_variable, None, read.url)
        self.named = frozenset(part for part, name in _NAMING.items() if env.get(name, "", lambda text, _: text))
        self.libpq = frozenset(name for name in _LIBPQ_VARIABLES if environment.get(name))
        self.host = env.get("PG_DB_HOST", "localhost", read.host)
        self.port = env.get("PG_DB_PORT", "5432", read.ports)
        self.name = env.get("PG_DB_NAME", "actingweb", read.plain)
        self.user = env.get("PG_DB_USER", "actingweb", read.plain)
        self.password = env.untrimmed("PG_DB_PASSWORD", "", read.without_line_end)
        self.password_command: tuple[str, ...] | None = env.untrimmed("PG_DB_PASSWORD_COMMAND", None, read.command)
        self.sslmode: str | None = env.get("PG_DB_SSLMODE", None, read.choice(*read.SSL_MODES))
        self.sslrootcert: str | None = env.get("PG_DB_SSLROOTCERT", None, read.plain)
        self.schema = _schema(env.get("PG_DB_PREFIX", "", read.plain), env.get("PG_DB_SCHEMA", "public", read.plain))
        self.pool_max_size = env.get("PG_POOL_MAX_SIZE", 10, read.count(1))
        self.pool_min_size = env.get("PG_POOL_MIN_SIZE", min(2, self.pool_max_size), read.count(0))
        if self.pool_min_size > self.pool_max_size:
            raise ConfigurationError(
                f"PG_POOL_MIN_SIZE is {self.pool_min_size}: must not exceed PG_POOL_MAX_SIZE ({self.pool_max_size})"
            )
        self.pool_timeout = env.get("PG_POOL_TIMEOUT", 30.0, read.seconds(0.001))
        self.pooler = env.get("PG_POOLER", "auto", read.choice("auto", "on", "off"))
        self.explicit_transactions = env.get("PG_EXPLICIT_TRANSACTIONS", "auto", read.choice("auto", "on", "off"))
        self.connect_timeout = env.get("PG_CONNECT_TIMEOUT", 5.0, read.seconds(1))
        self.tcp_user_timeout = env.get("PG_TCP_USER_TIMEOUT", 10.0, read.seconds(0.001))
        self.timeout = env.get("PG_DB_TIMEOUT", 30.0, read.seconds(0.001))
        self.migration_url: str | None = env.get("PG_MIGRATION_URL", None, read.url)
        self._is_read = True

    def replace(self, **values: Any) -> Self:
        """Return a copy with the named values changed."""
        changed = copy(self)
        vars(changed).update(values)
        return changed


class Settings(_ReadOnly):
    """The settings of all backends and of DynamoDB. Those of PostgreSQL are validated at the first use of `postgresql`.

    Attributes:
        aws_region: the value of AWS_DEFAULT_REGION or AWS_REGION; None if both are unset.
        aws_db_timeout: how many seconds one call may take with all its attempts; for a call on many rows, each page or
            batch of it.
        slow_call_seconds: a call that takes as long is logged; 0 means that none is.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read and validate `environment`. Raise `ConfigurationError` for a bad value."""
        self.environment: Mapping[str, str] = _Captured(environment)
        env = Environment(self.environment)
        regions: list[str | None] = [env.get(variable, None, read.region) for variable in _REGION_VARIABLES]
        self.database_backend = env.get("DATABASE_BACKEND", "dynamodb", read.plain)
        self.aws_db_prefix = env.get("AWS_DB_PREFIX", "demo_actingweb", table_prefix)
        self.aws_db_host: str | None = env.get("AWS_DB_HOST", None, read.endpoint)
        self.aws_region = next((found for found in regions if found), None)
        self.aws_db_auto_create_tables = env.get("AWS_DB_AUTO_CREATE_TABLES", True, parse_bool)
        self.aws_db_timeout = env.get("AWS_DB_TIMEOUT", 10.0, read.seconds(0.001))
        self.aws_db_max_attempts = env.get("AWS_DB_MAX_ATTEMPTS", 4, read.count(1))
        self.aws_db_transport = env.get("AWS_DB_TRANSPORT", "wire", read.choice("wire", "botocore"))
        self.slow_call_seconds = env.get("DB_SLOW_CALL_SECONDS", 1.0, read.seconds(0))
        self.use_property_lookup_table = env.get("USE_PROPERTY_LOOKUP_TABLE", True, parse_bool)
        self.indexed_properties: tuple[str, ...] = env.get("INDEXED_PROPERTIES", _INDEXED, read.names)
        self._is_read = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and validate `environment`, by default that of the process.

        Raise `ConfigurationError` for a bad value.
        """
        return cls(os.environ if environment is None else environment)

    @cached_property
    def aws_default_region(self) -> str:
        """The region of the tables. Raise `ConfigurationError` if AWS_PROFILE names no profile."""
        from actingweb.db.dynamodb.region import region_of

        return region_of(self)

    @cached_property
    def postgresql(self) -> PostgresSettings:
        """PostgreSQL's settings. Raise `ConfigurationError` for a bad value."""
        return PostgresSettings(self.environment)


def _schema(prefix: str, schema: str) -> str:
    name = prefix + schema
    size = len(name.encode(errors="replace"))
    if size > _IDENTIFIER_BYTES or "\x00" in name:
        raise ConfigurationError(
            f"PG_DB_PREFIX and PG_DB_SCHEMA make a name of {size} bytes: must be at most {_IDENTIFIER_BYTES}"
        )
    return name


_current: Settings | None = None


def get_settings() -> Settings:
    """Return the process's settings, read from the environment at the first call.

    Raise `ConfigurationError` naming the variable if a value is bad.
    """
    global _current
    settings = _current
    if settings is None:
        settings = _current = Settings.from_environment()
    return settings


def reset_settings() -> None:
    """Forget the settings; the next use reads the environment again."""
    global _current
    _current = None
