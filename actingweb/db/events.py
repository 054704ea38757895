"""What happens rarely: it is counted for `stats()`, logged for those on call, and told to observers.

The lines have counts, names of servers and classes of errors. The first event of a kind is logged at once; those of the
next ten seconds are added up, and the first event after them logs the sum. So a server that fails fills no log.
"""

import logging
import os
from collections import Counter
from contextlib import suppress
from threading import RLock
from time import monotonic

from actingweb.db.exceptions import ConfigurationError, DbThrottledError, DbTimeoutError
from actingweb.db.faults import Fault
from actingweb.db.observe import Server, note_retry, tell
from actingweb.db.settings import get_settings

__all__ = [
    "NOTEWORTHY_SECONDS",
    "became_standby",
    "call_took",
    "connection_closed",
    "connection_lost",
    "connection_opened",
    "connection_waited",
    "counted",
    "forget",
    "lookup_collided",
    "no_connection",
    "outcome_unknown",
    "pool_timed_out",
    "retried",
    "throttled",
]

_LOG = logging.getLogger(__name__)

NOTEWORTHY_SECONDS = 0.01
"""Calls that are faster are never slow."""

_QUIET_SECONDS = 10.0
_LOGGED_WAIT_SECONDS = 0.1


class _Line:
    """A line of the log about events of one kind.

    Attributes:
        count: how many there were since the line was logged last.
        most: the longest of them, in seconds.
    """

    def __init__(self, level: int, text: str) -> None:
        self.level = level
        self.text = text
        self.count: Counter[str] = Counter()
        self.most: dict[str, float] = {}
        self.due: dict[str, float] = {}


_LOST = _Line(logging.WARNING, "%s: connections lost, which are replaced when they are needed: %d")
_RETRIED = _Line(logging.INFO, "%s: requests repeated: %d, the last after %s")
_WAITED = _Line(logging.INFO, "%s: calls that waited for a free connection: %d, at most %.1f s")
_TIMED_OUT = _Line(logging.WARNING, "%s: calls that found no free connection in time: %d")
_SLOW = _Line(logging.WARNING, "%s: slow calls: %d, at most %.1f s; the last was %s")
_CHANGED = _Line(logging.WARNING, "%s: connections to another server than before: %d; it was %s and is %s")
_STANDBY = _Line(logging.WARNING, "%s: requests refused by a server that has become a standby: %d; it is %s")
_LINES = (_LOST, _RETRIED, _WAITED, _TIMED_OUT, _SLOW, _CHANGED, _STANDBY)

# Reentrant, since a signal handler may ask for `stats()` anywhere.
_lock = RLock()
_counts: Counter[tuple[str, str]] = Counter()
_lost: dict[str, Server] = {}


def counted(backend: str) -> dict[str, int]:
    """Return how often each kind of event happened in this process."""
    with _lock:
        return {kind: number for (of, kind), number in _counts.items() if of == backend}


def forget() -> None:
    """Begin to count anew, as a child process does."""
    global _lock
    _lock = RLock()
    _counts.clear()
    _lost.clear()
    for line in _LINES:
        line.count.clear()
        line.most.clear()
        line.due.clear()


def connection_opened(server: Server) -> None:
    """Take note that a connection was opened."""
    _count(server.backend, "opened")
    former = _lost.pop(server.backend, None)
    tell("connection_opened", server)
    if former is not None and former.peer != server.peer:
        _count(server.backend, "server_changes")
        _log(_CHANGED, server.backend, former.peer, server.peer)
        tell("server_changed", server, former)


def connection_closed(server: Server) -> None:
    """Take note that a connection was closed, which may have been lost before."""
    _count(server.backend, "closed")
    tell("connection_closed", server)


def connection_lost(server: Server) -> None:
    """Take note that the server or the network ended a connection."""
    _count(server.backend, "lost")
    _lost[server.backend] = server
    _log(_LOST, server.backend)
    tell("connection_lost", server)


def no_connection(backend: str, fault: Fault) -> None:
    """Take note why a call got no connection."""
    if fault.error is DbThrottledError:
        throttled(backend)
    elif fault.error is DbTimeoutError:
        pool_timed_out(backend)
    else:
        _count(backend, "failed")
        tell("connection_failed", backend, fault.error.__name__, fault.reason)


def pool_timed_out(backend: str) -> None:
    """Take note of a call that found no free connection in time."""
    _count(backend, "timeouts")
    _log(_TIMED_OUT, backend)
    tell("pool_timed_out", backend)


def connection_waited(backend: str, seconds: float) -> None:
    """Take note for how long a call waited until a connection became free."""
    _count(backend, "waited")
    if seconds >= _LOGGED_WAIT_SECONDS:
        _log(_WAITED, backend, seconds=seconds)
    tell("connection_waited", backend, seconds)


def became_standby(server: Server) -> None:
    """Take note that a server accepts no more writes."""
    _count(server.backend, "standby")
    _lost[server.backend] = server
    _log(_STANDBY, server.backend, server.peer)
    tell("became_standby", server)


def retried(backend: str, error: str) -> None:
    """Take note that a request is repeated after this class of `DbError`."""
    note_retry()
    _count(backend, "retries")
    _log(_RETRIED, backend, error)
    tell("retried", backend, error)


def throttled(backend: str) -> None:
    """Take note that the server refused a request because it gets too many."""
    _count(backend, "throttles")
    tell("throttled", backend)


def outcome_unknown(backend: str) -> None:
    """Take note of a write whose answer was lost."""
    _count(backend, "unknown_outcomes")
    tell("outcome_unknown", backend)


def lookup_collided(backend: str) -> None:
    """Take note that an indexed value was stored that another actor has claimed."""
    _count(backend, "lookup_collisions")
    tell("lookup_collided", backend)


def call_took(backend: str, name: str, seconds: float) -> None:
    """Take note of a call that took longer than NOTEWORTHY_SECONDS."""
    # Where the settings are wrong, the call itself says so, if it needs them.
    with suppress(ConfigurationError):
        if 0 < get_settings().slow_call_seconds <= seconds:
            _count(backend, "slow_calls")
            _log(_SLOW, backend, name, seconds=seconds)


def _count(backend: str, kind: str) -> None:
    with _lock:
        _counts[backend, kind] += 1


def _log(line: _Line, backend: str, *facts: object, seconds: float | None = None) -> None:
    """Log the line with the sum of its events, or add the event to the sum."""
    now = monotonic()
    with _lock:
        line.count[backend] += 1
        line.most[backend] = most = max(line.most.get(backend, 0.0), seconds or 0.0)
        if now < line.due.get(backend, now):
            return
        line.due[backend] = now + _QUIET_SECONDS
        number = line.count.pop(backend)
        del line.most[backend]
    figures = (number,) if seconds is None else (number, most)
    _LOG.log(line.level, line.text, backend, *figures, *facts)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
