"""The settings of the storage layer, read from the environment once and validated."""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar
from urllib.parse import urlsplit

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.utils import clean_text

__all__ = ["PostgresSettings", "Settings", "get_settings", "parse_bool", "reset_settings", "table_prefix"]

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_URL_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
_URL_START = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_IDENTIFIER_BYTES = 63
# Of seconds it is eleven days; neither libpq nor a lock of Python can wait much longer.
_HIGHEST = 1_000_000
_REGION = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_TABLE_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def parse_bool(text: str, variable: str = "value") -> bool:
    """Return the truth of `1 true yes on` or `0 false no off` in any case, trimmed.

    Raise `ConfigurationError` naming `variable` for anything else.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConfigurationError(f"{variable} is {text!r}: must be one of 1, true, yes, on, 0, false, no, off")


class _Captured(dict[str, str]):
    """Variables that no `repr` shows."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"


class _Environment:
    """Typed reading of one captured environment; an empty variable counts as unset.

    No variable of a frame that a `ConfigurationError` leaves holds a value: reports of errors show them.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get(self, variable: str, default: T, parse: Callable[[str, str], T]) -> T:
        text = self.text(variable)
        if not text:
            return default
        try:
            return parse(text, variable)
        except ConfigurationError as error:
            refusal = str(error)
        del text
        raise ConfigurationError(refusal)

    def text(self, variable: str, default: str = "") -> str:
        text = self._values.get(variable, "")
        if _is_storable(text):
            return text or default
        del text
        raise ConfigurationError(f"{variable}: must be text in UTF-8 without U+0000")


def _is_storable(text: str) -> bool:
    return "\x00" not in text and clean_text(text) == text


def _number(low: float, kind: type[int] | type[float]) -> Callable[[str, str], float]:
    def parse(text: str, variable: str) -> float:
        try:
            value = kind(text.strip())
        except ValueError:
            value = float("nan")
        if not low <= value <= _HIGHEST:
            name = "a whole number" if kind is int else "a number"
            raise ConfigurationError(f"{variable} is {text!r}: must be {name} from {low:g} to {_HIGHEST:,}")
        return value

    return parse


def _seconds(low: float) -> Callable[[str, str], float]:
    return _number(low, float)


def _count(low: int) -> Callable[[str, str], int]:
    number = _number(low, int)
    return lambda text, variable: int(number(text, variable))


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def parse(text: str, variable: str) -> str:
        word = text.strip().lower()
        if word not in allowed:
            raise ConfigurationError(f"{variable} is {text!r}: must be one of {', '.join(allowed)}")
        return word

    return parse


def _names(text: str, _: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _command(text: str, variable: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        # Not quoted: what is in it may be secret.
        raise ConfigurationError(f"{variable} must be a program and its arguments, quoted as for a shell")
    return tuple(words)


def _ports(text: str, variable: str) -> str:
    ports = [port.strip() for port in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in ports):
        raise ConfigurationError(f"{variable} is {text!r}: must be a port from 1 to 65535, or one for each host")
    return ",".join(ports)


def _url(text: str, variable: str) -> str:
    found = _URL_START.match(text)
    if found is None:
        return text  # a conninfo string of keywords and values
    scheme = found[1]
    if scheme.lower() not in _URL_SCHEMES:
        raise ConfigurationError(f"{variable} has the scheme {scheme!r}: must be one of {', '.join(_URL_SCHEMES)}")
    return "postgresql" + text[len(scheme) :]


@dataclass(frozen=True)
class PostgresSettings:
    """How to reach PostgreSQL. Times are seconds.

    Attributes:
        password_command: a program and its arguments, asked for the password of each new connection.
        timeout: how long one call waits for the server's answer.
    """

    url: str | None = field(repr=False)
    host: str
    port: str
    name: str
    user: str
    password: str = field(repr=False)
    password_command: tuple[str, ...] | None = field(repr=False)
    sslmode: str | None
    sslrootcert: str | None
    schema: str
    pool_min_size: int
    pool_max_size: int
    pool_timeout: float
    pooler: str
    explicit_transactions: str
    connect_timeout: float
    tcp_user_timeout: float
    timeout: float
    migration_url: str | None = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """The settings every backend shares and those of DynamoDB; `postgresql` holds the rest, validated when first used.

    Attributes:
        aws_db_timeout: seconds that one call may take in all, attempts included; of many rows, each page or batch.
    """

    database_backend: str
    aws_db_prefix: str
    aws_db_host: str | None
    aws_default_region: str
    aws_db_auto_create_tables: bool
    aws_db_timeout: float
    aws_db_max_attempts: int
    use_property_lookup_table: bool
    indexed_properties: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False, compare=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read and validate `environment` (default: the process's own).

        Raise `ConfigurationError` for a bad value.
        """
        captured = _Captured(os.environ if environment is None else environment)
        env = _Environment(captured)
        return cls(
            database_backend=env.text("DATABASE_BACKEND", "dynamodb").strip(),
            aws_db_prefix=env.get("AWS_DB_PREFIX", "demo_actingweb", table_prefix),
            aws_db_host=env.get("AWS_DB_HOST", None, _endpoint),
            aws_default_region=env.get("AWS_DEFAULT_REGION", "us-west-1", _region),
            aws_db_auto_create_tables=env.get("AWS_DB_AUTO_CREATE_TABLES", True, parse_bool),
            aws_db_timeout=env.get("AWS_DB_TIMEOUT", 10.0, _seconds(0.001)),
            aws_db_max_attempts=env.get("AWS_DB_MAX_ATTEMPTS", 4, _count(1)),
            use_property_lookup_table=env.get("USE_PROPERTY_LOOKUP_TABLE", True, parse_bool),
            indexed_properties=env.get("INDEXED_PROPERTIES", ("oauthId", "email", "externalUserId"), _names),
            environment=captured,
        )

    @cached_property
    def postgresql(self) -> PostgresSettings:
        """PostgreSQL's settings. Raise `ConfigurationError` for a bad value."""
        env = _Environment(self.environment)
        max_size = env.get("PG_POOL_MAX_SIZE", 10, _count(1))
        min_size = env.get("PG_POOL_MIN_SIZE", min(2, max_size), _count(0))
        if min_size > max_size:
            raise ConfigurationError(f"PG_POOL_MIN_SIZE is {min_size}: must not exceed PG_POOL_MAX_SIZE ({max_size})")
        return PostgresSettings(
            url=env.get("PG_DB_URL", None, _url) or env.get("DATABASE_URL", None, _url),
            host=env.text("PG_DB_HOST", "localhost"),
            port=env.get("PG_DB_PORT", "5432", _ports),
            name=env.text("PG_DB_NAME", "actingweb"),
            user=env.text("PG_DB_USER", "actingweb"),
            password=env.text("PG_DB_PASSWORD"),
            password_command=env.get("PG_DB_PASSWORD_COMMAND", None, _command),
            sslmode=env.get("PG_DB_SSLMODE", None, _choice(*_SSL_MODES)),
            sslrootcert=env.text("PG_DB_SSLROOTCERT") or None,
            schema=_schema(env.text("PG_DB_PREFIX"), env.text("PG_DB_SCHEMA", "public")),
            pool_min_size=min_size,
            pool_max_size=max_size,
            pool_timeout=env.get("PG_POOL_TIMEOUT", 30.0, _seconds(0.001)),
            pooler=env.get("PG_POOLER", "auto", _choice("auto", "on", "off")),
            explicit_transactions=env.get("PG_EXPLICIT_TRANSACTIONS", "auto", _choice("auto", "on", "off")),
            connect_timeout=env.get("PG_CONNECT_TIMEOUT", 5.0, _seconds(1)),
            tcp_user_timeout=env.get("PG_TCP_USER_TIMEOUT", 10.0, _seconds(0.001)),
            timeout=env.get("PG_DB_TIMEOUT", 30.0, _seconds(0.001)),
            migration_url=env.get("PG_MIGRATION_URL", None, _url),
        )


def table_prefix(text: str, variable: str) -> str:
    """Return `text` if names of DynamoDB tables can begin with it. Raise `ConfigurationError` naming `variable`."""
    if _TABLE_PREFIX.fullmatch(text) is None:
        raise ConfigurationError(f"{variable} is {text[:300]!r}: must be up to 200 of A-Z a-z 0-9 _ . -")
    return text


def _region(text: str, variable: str) -> str:
    if _REGION.fullmatch(text) is None:
        raise ConfigurationError(f"{variable} is {text[:300]!r}: must be the name of a region, such as us-west-1")
    return text


def _endpoint(text: str, variable: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    # The URL's parser drops line ends, the driver does not.
    if not usable or not text.isprintable() or " " in text:
        raise ConfigurationError(f"{variable} must be a URL such as http://localhost:8000")
    return text


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
