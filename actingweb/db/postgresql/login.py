"""Chooses the host, user and password of a log-in.

A password is sent only to the server, and for the user, that are named in the same place as the password.
docs/settings.md has the rules.
"""

from typing import Any

from psycopg.conninfo import make_conninfo

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import PostgresSettings

__all__ = ["is_password_used", "is_same_log_in", "log_in", "with_options"]

_MIGRATION_VARIABLE = "PG_MIGRATION_URL"
_PORT = "5432"
_FIELDS = {"host": "host", "port": "port", "dbname": "name", "user": "user"}
"""The fields of the settings, by libpq's parameters."""
_TARGET = ("host", "port", "user")
"""The parameters that name the server and the user of a password."""
_KEPT_PASSWORDS = ("password", "passfile", "service")
"""The parameters of a URL that contain a password, or say where one is stored."""


def log_in(settings: PostgresSettings, *, migration: bool = False) -> dict[str, Any]:
    """Return libpq's parameters for host, port, database, user and password; with `migration` those for schema changes.

    A password from a command or a function is not included. Raise `ConfigurationError` naming the variable of a
    malformed URL.
    """
    if migration and settings.migration_url:
        password = _password(log_in(settings)) if is_same_log_in(settings) else {}
        return _isolated(_parsed(settings, migration=True) | password, settings, _MIGRATION_VARIABLE)
    password = _password(vars(settings)) if is_password_used(settings) else {}
    if settings.url:
        return _isolated(_parsed(settings) | password, settings, settings.url_variable)
    parts = {"host": settings.host, "port": settings.port, "dbname": settings.name, "user": settings.user}
    return _isolated(parts | password, settings, "PG_DB_HOST")


def is_password_used(settings: PostgresSettings) -> bool:
    """Tell whether the application logs in with PG_DB_PASSWORD or PG_DB_PASSWORD_COMMAND.

    With a URL, it does if the URL has no password, and names the same server and user as the other variables.
    """
    if not settings.url:
        return True
    url = _parsed(settings)
    if any(url.get(name) for name in _KEPT_PASSWORDS):
        return False
    target = _target_of(url)
    return all(target[name] == value for name, value in _named(settings).items())


def is_same_log_in(settings: PostgresSettings) -> bool:
    """Tell whether PG_MIGRATION_URL has no password, and names the server and user of the application's log-in."""
    url = _parsed(settings, migration=True)
    return not any(url.get(name) for name in _KEPT_PASSWORDS) and _target_of(url) == _target_of(log_in(settings))


def with_options(settings: PostgresSettings, options: dict[str, str], password: str | None) -> PostgresSettings:
    """Return the settings with these `options` (host, port, dbname, user), and with `password` if there is one.

    The password of the settings is dropped if the options name another server or user than it belongs to. Raise
    `ConfigurationError` as `log_in` does.
    """
    owner = _owner(settings)
    keeps_password = not password and all(owner.get(name, value) == value for name, value in options.items())
    if not keeps_password:
        settings = settings.replace(password=password or "", password_command=None)
    if settings.url:
        return settings.replace(url=_url(settings, options, None if keeps_password else settings.password))
    if "host" in options and "," in settings.port:
        settings = settings.replace(port=_PORT)
    changed: dict[str, Any] = {_FIELDS[name]: value for name, value in options.items()}
    return settings.replace(**changed)


def _url(settings: PostgresSettings, options: dict[str, str], password: str | None) -> str:
    """Return the URL of the settings with these `options`, and with `password` unless that is None."""
    url = _parsed(settings)
    if password is not None:
        url["password"] = password
    if "host" in options:
        # These belong to the previous hosts.
        url.pop("hostaddr", None)
        if "," in str(url.get("port", "")):
            del url["port"]
    return make_conninfo("", **url | options)


def _parsed(settings: PostgresSettings, *, migration: bool = False) -> dict[str, Any]:
    """Return the parameters of the URL of the settings. Raise `ConfigurationError` naming its variable."""
    # Imported here, because it takes time and the other variables need no parser.
    from actingweb.db.postgresql.urls import parse_url

    if migration:
        return parse_url(settings.migration_url or "", _MIGRATION_VARIABLE)
    return parse_url(settings.url or "", settings.url_variable)


def _owner(settings: PostgresSettings) -> dict[str, str]:
    """Return the server and user that the password belongs to, as far as its source names them."""
    if not settings.url:
        return _named(settings)
    url = _parsed(settings)
    if any(url.get(name) for name in _KEPT_PASSWORDS):
        return _target_of(url)
    return _named(settings) | {name: value for name, value in _target_of(url).items() if url.get(name)}


def _named(settings: PostgresSettings) -> dict[str, str]:
    """Return the server and user named by PG_DB_HOST, PG_DB_PORT and PG_DB_USER, as far as these are set."""
    named = {*settings.named} | ({"port"} if "host" in settings.named else set())
    return {name: getattr(settings, name) for name in named}


def _target_of(parameters: dict[str, Any]) -> dict[str, str]:
    return {name: str(parameters.get(name) or (_PORT if name == "port" else "")) for name in _TARGET}


def _password(source: dict[str, Any]) -> dict[str, Any]:
    """Return the password as a parameter; an empty one is left out."""
    return {"password": source["password"]} if source.get("password") else {}


def _isolated(parameters: dict[str, Any], settings: PostgresSettings, variable: str) -> dict[str, Any]:
    """Return the parameters, extended so that libpq's variables (PGHOST and so on) cannot add a password or a server.

    The parameters are returned unchanged, and libpq's variables apply, if they name neither host nor user nor password,
    or name a service. Raise `ConfigurationError` if libpq's variables would decide which server or user gets the
    password.
    """
    has_host = bool(parameters.get("host") or parameters.get("hostaddr"))
    has_user, has_password = bool(parameters.get("user")), bool(parameters.get("password"))
    if parameters.get("service") or not (has_host or has_user or has_password):
        return parameters
    if has_password and (other := _target_variable(has_host, has_user, settings.libpq)):
        # Crash reports show the variables of this frame, so none may contain a password.
        del parameters
        raise ConfigurationError(f"{variable}: must name host and user of its password, or {other} would choose one")
    return _blanks(has_host, has_password, settings.libpq) | parameters


def _target_variable(has_host: bool, has_user: bool, libpq: frozenset[str]) -> str | None:
    """Return the libpq variable that would add the missing host or user, None if there is none."""
    named = {"PGHOST": has_host, "PGHOSTADDR": has_host, "PGUSER": has_user, "PGSERVICE": has_host and has_user}
    return next((variable for variable, is_named in named.items() if not is_named and variable in libpq), None)


def _blanks(has_host: bool, has_password: bool, libpq: frozenset[str]) -> dict[str, Any]:
    """Return empty parameters, which override libpq's variables."""
    variables = {} if has_password else {"password": "PGPASSWORD"}
    if has_host:
        variables |= {"hostaddr": "PGHOSTADDR", "port": "PGPORT"}
    return {name: "" for name, variable in variables.items() if libpq & {variable, "PGSERVICE"}}
