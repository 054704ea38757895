"""Settings of server, database or role that would end long work, or change what the statements of the tools mean."""

from contextlib import suppress
from typing import Any

import psycopg

__all__ = ["SessionError", "settle"]

_OF_TRANSACTIONS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)
_LIMITS = (*_OF_TRANSACTIONS, "idle_session_timeout")
"""What ends a statement, a transaction or a session that takes long. Not every server has all of them."""

_MEANINGS = {
    # Otherwise psycopg doubles the backslashes of bytes.
    "standard_conforming_strings": "on",
    # Serializable transactions can fail at any statement.
    "default_transaction_isolation": "read committed",
    # Otherwise `alembic check` finds other expressions than it has.
    "quote_all_identifiers": "off",
}
"""What is changed where it can be: engines other than PostgreSQL have one of these values only."""

_WANTED = dict.fromkeys(_LIMITS, "0") | _MEANINGS
_FOUND = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)"


class SessionError(psycopg.OperationalError):
    """The session must keep a setting; the text names it and says what to do."""


def settle(connection: psycopg.Connection[Any], *, local: bool) -> bytes:
    """Give the session the settings that the tools need; with `local` only see whether a transaction could have them.

    Return the statement that lifts the limits for the transaction that it stands in. `connection` is in autocommit
    mode. Raise `SessionError` if a limit cannot be lifted, else `psycopg.Error`.
    """
    scope = "LOCAL" if local else "SESSION"
    with suppress(SessionError):
        # First, since even the look at the settings is a statement.
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
