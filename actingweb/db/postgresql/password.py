"""Passwords that can change while the process runs. Each new connection gets the current one."""

import subprocess
from collections.abc import Callable

import psycopg

from actingweb.db.environment import without_line_end
from actingweb.db.postgresql.login import is_password_used
from actingweb.db.settings import PostgresSettings

__all__ = ["PasswordError", "fresh_password", "set_password_source"]

_source: Callable[[], str] | None = None


class PasswordError(psycopg.OperationalError):
    """There is no password to connect with. The text says why, and contains no output of the source."""


def set_password_source(source: Callable[[], str] | None) -> None:
    """Call `source` for the password of each new connection instead of using the settings; None restores the settings.

    Several threads may call `source` at the same time. If it raises, the operation raises `DbConnectionError`.
    Connections to PG_MIGRATION_URL use it only if that URL has no password and names the same server and user.
    """
    global _source
    _source = source


def fresh_password(settings: PostgresSettings) -> str | None:
    """Return the current password of the source; None if there is no source.

    Raise `PasswordError` if the source returns no password, `ConfigurationError` for a malformed URL.
    """
    if _source is not None:
        password, problem = _called(_source)
    elif settings.password_command is not None and is_password_used(settings):
        password, problem = _printed(settings.password_command, settings.connect_timeout)
    else:
        return None
    if password:
        return password
    # Outside the handlers: their exceptions can contain the password or the command.
    raise PasswordError(problem)


def _called(source: Callable[[], str]) -> tuple[str, str]:
    """Return the password, or "" and why there is none."""
    try:
        password: object = source()
    except Exception as error:  # noqa: BLE001 - the application's function can raise anything
        return "", f"the password source raised {type(error).__name__}"
    return password if isinstance(password, str) else "", "the password source returned no text"


def _printed(command: tuple[str, ...], seconds: float) -> tuple[str, str]:
    """Return the password, or "" and why there is none."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "", f"PG_DB_PASSWORD_COMMAND did not end within {seconds:g} s"
    except OSError as error:
        return "", f"PG_DB_PASSWORD_COMMAND could not be run: {type(error).__name__}"
    if done.returncode:
        return "", f"PG_DB_PASSWORD_COMMAND ended with {done.returncode}"
    try:
        password = without_line_end(done.stdout.decode())
    except UnicodeDecodeError:
        password = "\x00"
    if "\x00" in password:
        return "", "PG_DB_PASSWORD_COMMAND printed no text in UTF-8 without U+0000"
    return password, "PG_DB_PASSWORD_COMMAND printed nothing"
