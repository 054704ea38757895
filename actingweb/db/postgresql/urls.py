"""Parses URLs and conninfo strings with libpq, and checks them, so that no error text quotes a password."""

import re
from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from actingweb.db.environment import SSL_MODES, has_control
from actingweb.db.exceptions import ConfigurationError

__all__ = ["parse_url"]

_KEYWORD = r"(?s)\s*(\w+)\s*=\s*(?:'(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)*)"
_SECRETS = frozenset({"password", "sslpassword"})
_FOREIGN = frozenset(
    {
        *("schema", "pgbouncer", "connection_limit", "pool_timeout", "statement_cache_size", "socket_timeout"),
        *("ssl", "sslaccept", "sslidentity", "currentSchema", "ApplicationName", "prepareThreshold", "charset"),
        *("encoding", "reconnect", "pool", "pool_size", "max_overflow", "prepared_statements"),
    }
)
"""Parameters of Prisma, JDBC and others. An error may name them, because they are never part of a password."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
}
_NUMBERS = frozenset(
    {"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
_NUMBER = r"\s*-?[0-9]{1,9}\s*"
_ENCODE = "percent-encode the password: %40 for @, %2F for /, %3A for :, %3F for ?, %25 for %, %20 for a blank"
_FORM = "must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE or a conninfo string that libpq can read"


def parse_url(text: str, variable: str) -> dict[str, Any]:
    """Return the parameters of a URL or conninfo string.

    Raise a `ConfigurationError` that names `variable`, and the parameter if one is bad. It quotes no part of a
    password, even if the password is in the wrong place of the text.
    """
    parameters = _parse_or_none(text)
    problem = _unreadable(text) if parameters is None else _problem(text, parameters)
    if parameters is not None and problem is None:
        return parameters
    # Crash reports show the variables of this frame, so none may contain a password.
    del text, parameters
    raise ConfigurationError(f"{variable}: {problem}")


def _parse_or_none(text: str) -> dict[str, Any] | None:
    try:
        return conninfo_to_dict(text)
    except (ProgrammingError, UnicodeEncodeError):
        return None


def _unreadable(text: str) -> str:
    """Return why libpq cannot read a text."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    unknown = [name for name in _names(text) if name not in known]
    if unknown:
        return f"{unknown[0]} is not a parameter of libpq: remove it{_instead(unknown[0])}"
    return f"{_FORM}; {_ENCODE}" if _is_url(text) else _FORM


def _instead(name: str) -> str:
    hints = {
        "schema": "; PG_DB_SCHEMA names the schema",
        "currentSchema": "; PG_DB_SCHEMA names the schema",
        "pgbouncer": "; PG_POOLER=on says that there is a pooler",
        "connection_limit": "; PG_POOL_MAX_SIZE limits the connections",
        "pool_size": "; PG_POOL_MAX_SIZE limits the connections",
        "pool_timeout": "; PG_POOL_TIMEOUT limits the time",
        "ssl": "; sslmode says whether TLS is used",
    }
    return hints.get(name, "")


def _names(text: str) -> list[str]:
    """Return the names of the parameters that are certainly not part of a password."""
    if _is_url(text):
        query = text.partition("://")[2].partition("?")[2]
        pairs = [pair.partition("=")[0] for pair in query.split("&")]
        # Text before an @ may be a password that contains a ?.
        safe = "@" not in query
    else:
        pairs = [match[1] for match in re.finditer(_KEYWORD, text)]
        safe = True
    found = []
    for name in pairs:
        if name in _FOREIGN or (safe and re.fullmatch(r"\w{1,40}", name)):
            found.append(name)
        # An unquoted or unencoded password may continue after this.
        safe = safe and name not in _SECRETS
    return found


def _problem(text: str, parameters: dict[str, Any]) -> str | None:
    """Return what is wrong with the parameters that libpq found."""
    hosts = f"{parameters.get('host', '')}{parameters.get('hostaddr', '')}"
    if "@" in hosts or (_is_url(text) and _has_stray_at(text)):
        return f"there is an @ in or after the host: {_ENCODE}"
    if not all(map(_is_port, str(parameters.get("port", "")).split(","))):
        # Not quoted: in a URL it may be part of a password that contains a / or an @.
        return f"port: must be from 1 to 65535; {_ENCODE}" if _is_url(text) else "port: must be from 1 to 65535"
    problems = (_problem_of(name, str(value)) for name, value in parameters.items())
    return next(filter(None, problems), None)


def _is_port(text: str) -> bool:
    """Tell whether a text is a port, or empty, which means libpq's default."""
    return text == "" or (re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 65536)


def _problem_of(name: str, value: str) -> str | None:
    if name not in _SECRETS and has_control(value):
        return f"{name}: must be without control characters and line ends"
    if name in _CHOICES and value not in ("", *_CHOICES[name]):
        return f"{name}: must be one of {', '.join(_CHOICES[name])}"
    if name in _NUMBERS and value and not re.fullmatch(_NUMBER, value):
        return f"{name}: must be a whole number"
    return None


def _has_stray_at(url: str) -> bool:
    """Tell whether an @ stands between host and parameters: the text before it may be the rest of a password."""
    return "@" in url.partition("://")[2].partition("?")[0].partition("/")[2]


def _is_url(text: str) -> bool:
    return text.startswith(("postgresql://", "postgres://"))
