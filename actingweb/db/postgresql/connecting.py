"""Opens connections so that the error of a rejected connection contains the SQLSTATE.

libpq does not report the SQLSTATE of a rejected connection, only a message in the server's language. A verbose message
has the code between severity and text: `FATAL:  53300: sorry, ...`.
"""

import ctypes
import re
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGenConn
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.pq.abc import PGconn
from psycopg.pq.misc import find_libpq_full_path
from psycopg.waiting import Wait

__all__ = ["codes_of", "connect"]

_DEFAULT, _VERBOSE = 1, 2
_CODE = r":  ([0-9A-Z]{5}): "
_WAITS = {PollingStatus.READING: Wait.R, PollingStatus.WRITING: Wait.W}


def codes_of(error: Exception) -> list[str]:
    """Return the SQLSTATEs with which the servers rejected the connection, in the order in which they were tried."""
    return [found[1] for line in str(error).splitlines() if (found := re.search(_CODE, line))]


def connect(conninfo: str, **options: Any) -> PQGenConn[PGconn]:
    """Do the same as `psycopg.generators.connect`, with the SQLSTATE in the text of the error if libpq provides it."""
    set_verbosity = _set_verbosity()
    if set_verbosity is None:
        plain: PGconn = yield from generators.connect(conninfo, **options)
        return plain
    timeout = options.get("timeout")
    deadline = time.monotonic() + timeout if timeout else None
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    set_verbosity(pgconn, _VERBOSE)
    while pgconn.status != ConnStatus.BAD and (status := PollingStatus(pgconn.connect_poll())) != PollingStatus.FAILED:
        if status == PollingStatus.OK:
            set_verbosity(pgconn, _DEFAULT)
            pgconn.nonblocking = 1
            return pgconn
        while not (yield pgconn.socket, _WAITS[status]):
            if deadline is not None and time.monotonic() > deadline:
                raise psycopg.errors.ConnectionTimeout("connection timeout expired")
    text = pgconn.get_error_message("utf-8")
    pgconn.finish()
    raise psycopg.OperationalError(f"connection failed: {text}")


@cache
def _set_verbosity() -> Callable[[Any, int], object] | None:
    """Return libpq's `PQsetErrorVerbosity`, which psycopg does not wrap; None if the libpq in use cannot be loaded."""
    module = sys.modules[pq.PGconn.__module__]
    path = find_libpq_full_path() if pq.__impl__ == "python" else module.__file__
    try:
        # A symbol of libpq can be looked up in the extension module that is linked to it.
        library = ctypes.CDLL(path)
        function = library.PQsetErrorVerbosity
        if library.PQlibVersion() != pq.version():
            return None
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return lambda pgconn, verbosity: function(pgconn.pgconn_ptr, verbosity)
