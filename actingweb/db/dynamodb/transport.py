"""One transport per process and endpoint: it sends requests, and repeats them while that can help."""

import os
import random
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from actingweb.db.dynamodb import deadline
from actingweb.db.dynamodb.errors import (
    Classification,
    OutOfTimeError,
    attempt_errors,
    code_of,
    fault_of,
    item_of,
    judge,
    reasons_of,
)
from actingweb.db.dynamodb.sent import Sent
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import BACKEND, Limits, open_connections
from actingweb.db.dynamodb.wire.failures import WireError
from actingweb.db.dynamodb.wire.variables import Variables
from actingweb.db.events import connection_lost, no_connection, retried
from actingweb.db.exceptions import DbConflictError, DbConnectionError, DbThrottledError
from actingweb.db.faults import Fault
from actingweb.db.observe import Server, observable
from actingweb.db.settings import get_settings
from actingweb.db.threads import require_same_threads

__all__ = ["RequestFailed", "Transport", "client_class", "forget_transports", "pool_state", "transport_to"]

CONFLICT_ATTEMPTS = 5

_FIRST_PAUSE = 0.025
_LONGEST_PAUSE = 1.0


class RequestFailed(Exception):  # noqa: N818 - it never leaves this package
    """A request failed for good.

    Args:
        error: the driver's last exception.
        executed: whether any attempt may have been executed.
        sent: the request.
    """

    def __init__(self, error: Exception, executed: bool, sent: Sent) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.executed = executed
        self.sent = sent

    @property
    def code(self) -> str | None:
        """The AWS error code, see `code_of`."""
        return code_of(self.error)

    @property
    def reasons(self) -> list[Any]:
        """Why each action of a cancelled transaction failed, in order."""
        return reasons_of(self.error)

    @property
    def item(self) -> dict[str, Any] | None:
        """The item that a failed condition found, if there is one."""
        return item_of(self.error)

    def fault(self, *, of_write: bool) -> Fault:
        """Return the fault; of a write that may have been executed it is an unknown outcome."""
        return fault_of(self.error, of_write and self.executed, self.sent)


class Transport:
    """Sends requests to one endpoint. Thread-safe.

    All requests of one public call on a row take at most `seconds` together. Each request is attempted at most
    `attempts` times, and 5 times when transactions collide.

    Attributes:
        broken: why no request can be sent, as when no credentials were found.
        made: when that became known, by `time.monotonic`.
        server: the endpoint.
    """

    def __init__(self, region: str, host: str | None, seconds: float, attempts: int) -> None:
        require_same_threads()
        self._seconds = seconds
        self._attempts = attempts
        self._connect_seconds = seconds / 4
        self._least_seconds = 1.5 * self._connect_seconds
        self.broken: Exception | None = None
        try:
            self._client = _client_to(region, host, seconds / 2)
            self.server = _server(self._client.url)
        except (OSError, ValueError) as error:
            self.broken = error
        except attempt_errors() as error:
            self.broken = error
        self.made = time.monotonic()

    def call(self, operation: str, request: dict[str, Any], repeatable: bool) -> tuple[dict[str, Any], bool]:
        """Send a request, again while that can help; return the answer and whether an earlier attempt may have run.

        `repeatable`: executing the request twice does no harm. Otherwise it is only repeated when no attempt was
        executed. Raise `RequestFailed`.
        """
        require_same_threads()
        ends = deadline.ends_after(self._seconds)
        executed = False
        obstacle = self._obstacle(ends)
        if obstacle is not None:
            raise RequestFailed(obstacle, executed, Sent(operation, request))
        attempt = 0
        while True:
            attempt += 1
            outcome = self.attempt_once(operation, request, self._wait(ends, repeatable))
            if isinstance(outcome, dict):
                return outcome, executed
            verdict = judge(outcome)
            self._report(verdict)
            executed = executed or verdict.executed
            pause = random.uniform(0.5, 1.0) * min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            if not self._can_help(verdict, attempt, repeatable) or not self._has_time(ends - pause):
                raise RequestFailed(outcome, executed, Sent(operation, request))
            retried(BACKEND, verdict.error.__name__)
            time.sleep(pause)

    def attempt_once(self, operation: str, request: dict[str, Any], seconds: float) -> dict[str, Any] | Exception:
        """Return the answer to one attempt, or why there is none."""
        try:
            return self._client.send(operation, request, Limits(self._connect_seconds, seconds))
        except (WireError, OSError) as error:
            return error
        except attempt_errors() as error:
            return error

    def _report(self, verdict: Classification) -> None:
        """Take note of a failed attempt, if it says something about the connection or the load."""
        if verdict.error is DbConnectionError and verdict.executed:
            connection_lost(self.server)
        elif verdict.error in (DbConnectionError, DbThrottledError):
            no_connection(BACKEND, Fault(verdict.error, verdict.reason))

    def _obstacle(self, ends: float) -> Exception | None:
        """Return why the request cannot be sent at all."""
        if self.broken is not None:
            return self.broken
        return None if self._has_time(ends) else OutOfTimeError()

    def _has_time(self, ends: float) -> bool:
        """Tell whether the time until then is enough for an attempt."""
        return ends - time.monotonic() >= self._least_seconds

    def _wait(self, ends: float, repeatable: bool) -> float:
        """Return how many seconds the next attempt may wait for its answer."""
        left = ends - time.monotonic()
        rest = left - self._connect_seconds
        # Half of the time, so that an answer that never comes leaves enough for a second attempt.
        return min(rest, left / 2) if repeatable else rest

    def _can_help(self, verdict: Classification, attempt: int, repeatable: bool) -> bool:
        """Tell whether another attempt can help, and does no harm."""
        allowed = CONFLICT_ATTEMPTS if verdict.error is DbConflictError else self._attempts
        return verdict.transient and attempt < allowed and (repeatable or not verdict.executed)

    @property
    def credentials_method(self) -> str:
        """Which of botocore's providers found the credentials: `env`, `shared-credentials-file`, `iam-role` ..."""
        return self._client.credentials.method

    @property
    def endpoint_url(self) -> str:
        """The URL that requests are sent to."""
        return self._client.url


def _server(url: str) -> Server:
    parts = urlsplit(url)
    return Server(BACKEND, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _client_to(region: str, host: str | None, search_seconds: float) -> Client:
    settings = get_settings()
    if settings.aws_db_transport == "wire":
        variables = Variables.alone(settings.environment, region, host)
        if variables is not None:
            return Client(variables, region, host)
    # Imported here, because it takes most of a cold start.
    from actingweb.db.dynamodb.aws_session import AWSSession

    return client_class()(AWSSession(), region, host, search_seconds=search_seconds)


def client_class() -> type[Client]:
    """Return the class of clients that AWS_DB_TRANSPORT names."""
    if get_settings().aws_db_transport == "wire":
        return Client
    from actingweb.db.dynamodb.wire.fallback import FallbackClient

    return FallbackClient


_transports: dict[tuple[str, str | None], Transport] = {}
_lock = threading.Lock()


def transport_to(region: str, host: str | None) -> Transport:
    """Return this process's transport to an endpoint; host None is AWS."""
    transport = _transports.get((region, host))
    if transport is not None and transport.broken is None:
        return transport
    asked = time.monotonic()
    settings = get_settings()
    with deadline.suspended(), _lock:
        transport = _transports.get((region, host))
        # Those who waited for the lock share the failure; later callers try again.
        if transport is None or (transport.broken is not None and transport.made < asked):
            transport = Transport(region, host, settings.aws_db_timeout, settings.aws_db_max_attempts)
            _transports[region, host] = transport
    return transport


def pool_state() -> dict[str, int]:
    """Return how many connections the wire client has, without making one: see `actingweb.db.stats`."""
    size, idle, waiting, most = open_connections()
    return {"size": size, "idle": idle, "used": size - idle, "waiting": waiting, "min": 0, "max": most}


def forget_transports() -> None:
    """Make new transports for the next requests."""
    _transports.clear()


def _after_fork() -> None:
    # The sockets are the parent's, and another of its threads may have held the lock.
    global _lock
    _lock = threading.Lock()
    forget_transports()


os.register_at_fork(after_in_child=_after_fork)
observable("actingweb.db.dynamodb.observed")
