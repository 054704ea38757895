"""The driver's client, one per process and endpoint, and the rule by which a request is repeated."""

import json
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError, NoCredentialsError
from botocore.parsers import ResponseParserError
from pynamodb.connection.base import Connection

from actingweb.db.dynamodb.errors import judge
from actingweb.db.dynamodb.quiet import muted
from actingweb.db.exceptions import DbConflictError
from actingweb.db.settings import get_settings

if TYPE_CHECKING:
    from pynamodb.connection._botocore_private import BotocoreBaseClientPrivate

__all__ = ["Failure", "Transport", "forget_transports", "transport_to"]

CONFLICT_ATTEMPTS = 5
READS = frozenset({"BatchGetItem", "DescribeTable", "DescribeTimeToLive", "GetItem", "ListTables", "Query", "Scan"})

_CONNECTIONS = 50
_FIRST_PAUSE = 0.025
_LONGEST_PAUSE = 1.0


class Failure(Exception):  # noqa: N818 - it never leaves this package
    """A request failed for good.

    Args:
        error: the driver's last exception.
        executed: whether any attempt may have been executed.
    """

    def __init__(self, error: Exception, executed: bool) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.executed = executed


class _Deadline(threading.local):
    """The seconds that this thread's next request may wait for its answer."""

    seconds: float | None = None


class Transport:
    """Sends requests to one endpoint. Thread-safe.

    One request takes at most `seconds` and `attempts` in all, and 5 attempts when transactions collide.
    """

    def __init__(self, region: str, host: str | None, seconds: float, attempts: int) -> None:
        self._seconds = seconds
        self._attempts = attempts
        self._connect_seconds = seconds / 4
        self._wait = _Deadline()
        connection = Connection(
            region,
            host,
            connect_timeout_seconds=self._connect_seconds,
            read_timeout_seconds=seconds,
            retry_configuration={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
        )
        with muted():
            self._client: BotocoreBaseClientPrivate = connection.client
        self._client.meta.events.register("before-call.dynamodb", self._limit_wait)
        self._client.meta.events.register("before-parse.dynamodb", _check_answer)

    def call(self, operation: str, request: dict[str, Any], repeatable: bool) -> tuple[dict[str, Any], bool]:
        """Send a request, again while that can help; return the answer and whether an earlier attempt may have run.

        `repeatable`: sending it again after an attempt that may have been executed does no harm. Otherwise it is only
        repeated when no attempt was executed. Raise `Failure`.
        """
        started = time.monotonic()
        executed = False
        attempt = 1
        while True:
            left = self._seconds - (time.monotonic() - started)
            error = self._try(operation, request, left, repeatable)
            if isinstance(error, dict):
                return error, executed
            verdict = judge(error)
            executed = executed or verdict.executed
            allowed = CONFLICT_ATTEMPTS if verdict.error is DbConflictError else self._attempts
            pause = random.uniform(0.5, 1.0) * min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            left = self._seconds - (time.monotonic() - started) - pause
            hopeless = not verdict.transient or (verdict.executed and not repeatable)
            if hopeless or attempt >= allowed or left < 1.5 * self._connect_seconds:
                raise Failure(error, executed)
            time.sleep(pause)
            attempt += 1

    def _try(
        self, operation: str, request: dict[str, Any], left: float, repeatable: bool
    ) -> dict[str, Any] | Exception:
        rest = left - self._connect_seconds
        # Half of the time, so that an answer that never comes leaves enough for a second attempt.
        self._wait.seconds = min(rest, left / 2) if repeatable else rest
        try:
            with muted():
                answer: dict[str, Any] = self._client._make_api_call(operation, request)
        except NoCredentialsError as error:
            # The driver remembers for good that it found none.
            forget_transports()
            return error
        except (BotoCoreError, ClientError, ResponseParserError) as error:
            return error
        return answer

    def _limit_wait(self, params: dict[str, Any], **_: Any) -> None:
        params["context"]["read_timeout"] = self._wait.seconds

    def _make_api_call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request of pynamodb's own, which expects the driver's exceptions."""
        failed = None
        try:
            return self.call(operation, request, operation in READS)[0]
        except Failure as failure:
            failed = failure.error
        raise failed

    @property
    def meta(self) -> Any:
        """The driver's description of the client, which pynamodb asks for."""
        return self._client.meta


def _check_answer(response_dict: dict[str, Any], **_: Any) -> None:
    """Refuse an answer that is cut short or garbled, which the driver would take for an empty one."""
    body: bytes = response_dict["body"]
    checksum = response_dict["headers"].get("x-amz-crc32")
    if checksum is None:
        # What is not DynamoDB itself leaves the checksum out.
        whole = response_dict["status_code"] != 200 or _is_object(body)
    else:
        whole = checksum == str(crc32(body))
    if not whole:
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=response_dict["headers"].get("content-length"))


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


_transports: dict[tuple[str, str | None], Transport] = {}
_lock = threading.Lock()


def transport_to(region: str, host: str | None) -> Transport:
    """Return this process's transport to an endpoint; host None is AWS."""
    transport = _transports.get((region, host))
    if transport is not None:
        return transport
    settings = get_settings()
    with _lock:
        transport = _transports.get((region, host))
        if transport is None:
            transport = Transport(region, host, settings.aws_db_timeout, settings.aws_db_max_attempts)
            _transports[region, host] = transport
    return transport


def forget_transports() -> None:
    """Let the next request make a new client."""
    _transports.clear()


def _after_fork() -> None:
    # Sockets of the parent and a lock that another of its threads may hold.
    global _lock
    _lock = threading.Lock()
    forget_transports()


os.register_at_fork(after_in_child=_after_fork)
