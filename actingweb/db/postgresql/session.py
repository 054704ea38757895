"""Resets settings of server, database or role that would abort long work or change the meaning of statements."""

from contextlib import suppress
from typing import Any

import psycopg

__all__ = ["SessionError", "prepare_session"]

_OF_TRANSACTIONS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)
_LIMITS = (*_OF_TRANSACTIONS, "idle_session_timeout")
"""The timeouts of statements, transactions and sessions. Not every server has all of them."""

_MEANINGS = {
    # With off, psycopg doubles the backslashes of bytes.
    "standard_conforming_strings": "on",
    # A serializable transaction can fail at any statement.
    "default_transaction_isolation": "read committed",
    # With on, `alembic check` reports expressions as changed.
    "quote_all_identifiers": "off",
}
"""Changed if possible: engines other than PostgreSQL may support one value only."""

_WANTED = dict.fromkeys(_LIMITS, "0") | _MEANINGS
_FOUND = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)"


class SessionError(psycopg.OperationalError):
    """A setting of the session cannot be changed; the text names it and says what to do."""


def prepare_session(connection: psycopg.Connection[Any], *, local: bool) -> bytes:
    """Change the settings of the session to those that the tools need; with `local` only check that a transaction can.

    Return the SQL that lifts the timeouts of the transaction in which it is run. `connection` is in autocommit mode.
    Raise `SessionError` if a timeout cannot be lifted, `psycopg.Error` for other failures.
    """
    scope = "LOCAL" if local else "SESSION"
    with suppress(SessionError):
        # First, because the timeout also applies to the query below.
        _change(connection, scope, "statement_timeout", "in force")
    found = dict(connection.execute(_FOUND, [list(_WANTED)]).fetchall())
    for name, wanted in _WANTED.items():
        if found.get(name, wanted) != wanted:
            with suppress(*(() if name in _LIMITS else (SessionError,))):
                _change(connection, scope, name, found[name])
    return "; ".join(f"SET LOCAL {name} = 0" for name in _OF_TRANSACTIONS if name in found).encode()


def _change(connection: psycopg.Connection[Any], scope: str, name: str, setting: str) -> None:
    try:
        with connection.transaction():
            connection.execute(f"SET {scope} {name} = '{_WANTED[name]}'".encode())
        return
    except psycopg.DatabaseError as error:
        if connection.closed:
            raise
        failure = error.diag.message_primary or type(error).__name__
    raise SessionError(
        f"{name} is {setting} and cannot be changed for this session ({failure}): "
        f"ALTER ROLE ... SET {name} = '{_WANTED[name]}' for the role that logs in"
    )
