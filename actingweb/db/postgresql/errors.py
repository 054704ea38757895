"""Maps errors of the driver to errors of the library. In each table the most specific entry applies."""

import re

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests

from actingweb.db.exceptions import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
    DbUnknownActorError,
)
from actingweb.db.faults import DriverError, Fault
from actingweb.db.postgresql.connecting import codes_of
from actingweb.db.postgresql.constraints import concerns_actor, violated
from actingweb.db.postgresql.password import PasswordError
from actingweb.db.postgresql.pooled_connection import NoAnswerError

__all__ = [
    "BY_CLASS",
    "BY_CONNECT_CODE",
    "BY_CONNECT_TEXT",
    "BY_SQLSTATE",
    "concerns_layout",
    "concerns_others",
    "connect_fault",
    "fault_of",
    "is_conflict",
    "is_forbidden",
    "is_lost",
    "is_of_standby",
    "is_rolled_back",
]

Meaning = tuple[type[DbError], str]

_LOST: Meaning = (DbConnectionError, "the connection was lost: try again")
_CONFLICT: Meaning = (DbConflictError, "concurrent transactions kept colliding: try again")
_NO_SCHEMA: Meaning = (DbSchemaError, "a table, column or schema is missing: run `alembic upgrade head`")
_REFUSED: Meaning = (DbInputError, "the database cannot hold a value of the call: change it")

BY_SQLSTATE: dict[str, Meaning] = {
    "25006": (DbError, "the server accepts no writes: connect to the primary"),
    "25P02": (DbError, "an earlier call failed in this transaction: let the error of that call leave the block"),
    "40001": _CONFLICT,
    "40003": (DbOutcomeUnknownError, "the database does not know whether it committed: read, then decide"),
    "40P01": _CONFLICT,
    "3F000": _NO_SCHEMA,
    "42501": (DbError, "permission denied: GRANT the role SELECT, INSERT, UPDATE and DELETE on the tables"),
    "42703": _NO_SCHEMA,
    "42P01": _NO_SCHEMA,
    "53100": (DbError, "the server's disk is full: free space on it"),
    "53200": (DbError, "the server is out of memory: try again later, or give it more"),
    "53300": (DbThrottledError, "the server has no connection left: try again later, or raise its max_connections"),
    "54000": (DbInputError, "a value is too long for its index: shorten it"),
    "55P03": (DbTimeoutError, "a lock did not become free in time: try again"),
    "57014": (DbTimeoutError, "the server cancelled the statement: try again, or raise its statement_timeout"),
    "57P": _LOST,
    "08": _LOST,
    "22": _REFUSED,
}
"""By SQLSTATE: the whole code, otherwise its prefix."""

BY_CLASS: tuple[tuple[type[Exception], Meaning], ...] = (
    (
        PoolTimeout,
        (DbTimeoutError, "no connection became free within PG_POOL_TIMEOUT: try again, or raise PG_POOL_MAX_SIZE"),
    ),
    (
        TooManyRequests,
        (DbThrottledError, "too many callers wait for a connection: try again, or raise PG_POOL_MAX_SIZE"),
    ),
    (NoAnswerError, (DbTimeoutError, "the server sent nothing for PG_DB_TIMEOUT: try again")),
    (psycopg.DataError, _REFUSED),
    (UnicodeEncodeError, _REFUSED),
    (psycopg.OperationalError, _LOST),
    (Exception, (DbError, "the driver could not run the statement: the cause names its error")),
)
"""By class, for errors without an SQLSTATE."""

_NO_CONNECTION: Meaning = (
    DbConnectionError,
    "no connection to the server: check that it is running, and the settings of host, port and TLS",
)
_NO_LOG_IN: Meaning = (
    DbConnectionError,
    "no connection to the server: it rejected the log-in, so check user and database, and the server's pg_hba.conf",
)
_NO_USER: Meaning = (
    DbConnectionError,
    "no connection to the server: it has no user of that name who may log in, so check PG_DB_USER or the URL",
)
_NOT_READY: Meaning = (
    DbConnectionError,
    "no connection to the server: it is starting, stopping or recovering, so try again later",
)

BY_CONNECT_CODE: dict[str, Meaning] = {
    "28": _NO_LOG_IN,
    # Most servers do not tell whether there is such a user, so that nobody can guess names.
    "28P01": (
        DbConnectionError,
        "no connection to the server: the password is wrong, or there is no such user, so check PG_DB_USER and "
        "PG_DB_PASSWORD, or the URL",
    ),
    "3D000": (
        DbConnectionError,
        "no connection to the server: it has no database of that name, so check PG_DB_NAME or PG_DB_URL",
    ),
    "42501": (DbConnectionError, "no connection to the server: the role may not use the database, so GRANT it CONNECT"),
    "53300": BY_SQLSTATE["53300"],
    "55000": (
        DbConnectionError,
        "no connection to the server: the database allows none, so run `ALTER DATABASE ... ALLOW_CONNECTIONS true`",
    ),
    "57P": _NOT_READY,
}
"""For rejected connections, by SQLSTATE: the whole code, otherwise its prefix."""

BY_CONNECT_TEXT: tuple[tuple[str, Meaning], ...] = (
    (
        "translate host name|resolve host",
        (
            DbConnectionError,
            "no connection to the server: its name is not found, so check PG_DB_HOST or the URL, and the name server",
        ),
    ),
    (
        r"\b(SSL|TLS)\b|certificate",
        (
            DbConnectionError,
            "no connection to the server: TLS failed, so check PG_DB_SSLMODE, PG_DB_SSLROOTCERT and the server's "
            "certificate",
        ),
    ),
    (
        "Connection refused|No such file or directory",
        (
            DbConnectionError,
            "no connection to the server: it refuses connections, so check that it is running, and PG_DB_HOST and "
            "PG_DB_PORT, or the URL",
        ),
    ),
)
"""For failures before the log-in, which have no SQLSTATE: regular expressions for words of libpq and of the system."""

# Names of servers and files.
_QUOTED = '"[^"]*"'
# What PostgreSQL calls the function that looks for the user, in all languages.
_SEEKS_USER = "InitializeSessionUserId"
# The codes of statements that do not fit the layout. 23502: the table has a NOT NULL column unknown to this release.
_OF_THE_LAYOUT = ("42", "3F", "23502")
_FORBIDDEN = "42501"
# The prepared statement does not exist, for example after a failed pipeline, or its tables have changed.
_STALE_PREPARED = ("26000", "0A000")
# The server has become a standby; another one takes the writes.
_READ_ONLY = "25006"
# After these codes the connection, or a statement prepared on it, cannot be used any more.
_LOST_CODES = ("08", "57P", _READ_ONLY, *_STALE_PREPARED)
# Those of them that a server never sends after a commit. 57P is one too if no other server takes part.
_ROLLED_BACK_CODES = (_READ_ONLY, *_STALE_PREPARED)
_ROLLED_BACK_ALONE = "57P"
# For errors without a code: PgBouncer sends none, and not every build of libpq can report it.
_NO_CONNECTION_LEFT = (
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "no more connections allowed",
)


def fault_of(error: Exception) -> Fault:
    """Return the fault for the error of a statement. Its cause contains nothing of the error's text."""
    name, code = type(error).__name__, _code(error)
    constraint = violated(error) if isinstance(error, psycopg.Error) else None
    return Fault(*_meaning(error, code), DriverError(name, code, constraint))


def connect_fault(error: Exception) -> Fault:
    """Return the fault for a failure to get a connection. The error of a rejected connection is its cause."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return fault_of(error)
    if isinstance(error, PasswordError):
        return Fault(DbConnectionError, f"no password to connect with: {error}", error.__cause__)
    # A copy without the attributes: one of them contains the parameters of the connection, with the password.
    cause = type(error)(*error.args)
    return Fault(*_connect_meaning(error), cause)


def is_conflict(error: Exception) -> bool:
    """Tell whether the transaction was rolled back because of a concurrent one, so that repeating it may succeed."""
    return _code(error) in ("40001", "40P01")


def concerns_layout(error: Exception) -> bool:
    """Tell whether the cause may be that the statement does not fit the layout of the tables."""
    code = _code(error) or ""
    return code.startswith(_OF_THE_LAYOUT) and code != _FORBIDDEN


def is_forbidden(error: Exception) -> bool:
    """Tell whether the role lacks a right."""
    return _code(error) == _FORBIDDEN


def is_lost(error: Exception, connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Tell whether the connection, or a statement prepared on it, cannot be used after the error."""
    code = _code(error)
    return connection.closed if code is None else code.startswith(_LOST_CODES)


def is_of_standby(error: Exception) -> bool:
    """Tell whether the server has become a standby."""
    return _code(error) == _READ_ONLY


def concerns_others(error: Exception) -> bool:
    """Tell whether other connections may be lost too: the network failed, or the server has become a standby."""
    return _code(error) in (None, _READ_ONLY)


def is_rolled_back(error: Exception, alone: bool) -> bool:
    """Tell whether the error proves that the statement was rolled back: the server never sends it after a commit.

    `alone` says that no other server takes part; otherwise another one may still complete its part.
    """
    code = _code(error) or ""
    return code.startswith(_ROLLED_BACK_CODES) or (alone and code.startswith(_ROLLED_BACK_ALONE))


def _code(error: Exception) -> str | None:
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def _meaning(error: Exception, code: str | None) -> Meaning:
    if code == "23503" and isinstance(error, psycopg.Error) and concerns_actor(error):
        return DbUnknownActorError, "unknown actor"
    if code is None:
        return next(meaning for kind, meaning in BY_CLASS if isinstance(error, kind))
    return _found(BY_SQLSTATE, code) or (
        DbError,
        f"the server rejected the statement with SQLSTATE {code}: its log says why",
    )


def _connect_meaning(error: Exception) -> Meaning:
    """Return the meaning of a rejected connection. If one of several servers had no free connection, that decides."""
    text = str(error)
    codes = codes_of(error) or [code for code in [_code(error)] if code]
    if "53300" in codes or any(phrase in text for phrase in _NO_CONNECTION_LEFT):
        return BY_CONNECT_CODE["53300"]
    return _meaning_of_code(codes[-1], text) if codes else _meaning_of_text(text)


def _meaning_of_code(code: str, text: str) -> Meaning:
    if code == "28000" and _SEEKS_USER in text.rpartition(code)[2]:
        return _NO_USER
    return _found(BY_CONNECT_CODE, code) or _NO_CONNECTION


def _meaning_of_text(text: str) -> Meaning:
    """Return what the last line means that is known; there are lines for each server that was tried."""
    lines = [re.sub(_QUOTED, "", line) for line in reversed(text.splitlines())]
    found = (meaning for line in lines for words, meaning in BY_CONNECT_TEXT if re.search(words, line))
    return next(found, _NO_CONNECTION)


def _found(meanings: dict[str, Meaning], code: str) -> Meaning | None:
    """Return the meaning of the longest known prefix of a code."""
    return next((meanings[code[:size]] for size in (5, 3, 2) if code[:size] in meanings), None)
