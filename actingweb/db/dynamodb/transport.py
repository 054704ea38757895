"""The driver's client, one per process and endpoint, and the rule by which a request is repeated."""

import gc
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

from botocore.configprovider import ConstantProvider
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.parsers import ResponseParserError
from pynamodb.connection.base import Connection

from actingweb.db.dynamodb import deadline
from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.errors import OutOfTimeError, fault_of, judge, of_credentials
from actingweb.db.dynamodb.sent import Sent
from actingweb.db.exceptions import DbConflictError
from actingweb.db.faults import Fault
from actingweb.db.settings import get_settings
from actingweb.db.threads import require_same_threads

if TYPE_CHECKING:
    from pynamodb.connection._botocore_private import BotocoreBaseClientPrivate

__all__ = ["RequestFailed", "Transport", "forget_transports", "transport_to"]

CONFLICT_ATTEMPTS = 5
READS = frozenset({"BatchGetItem", "DescribeTable", "DescribeTimeToLive", "GetItem", "ListTables", "Query", "Scan"})

_CONNECTIONS = 50
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

    def fault(self, *, of_write: bool) -> Fault:
        """Return what it means; of a write that may have been executed, that this is not known."""
        return fault_of(self.error, of_write and self.executed, self.sent)


class _Deadline(threading.local):
    """The seconds that this thread's next request may wait for its answer."""

    seconds: float | None = None


class Transport:
    """Sends requests to one endpoint. Thread-safe.

    All requests of one public call on a row take at most `seconds`; each takes at most `attempts`, and 5 when
    transactions collide.

    Attributes:
        broken: why there is no client, as when no credentials were found.
        made: when that became known.
    """

    def __init__(self, region: str, host: str | None, seconds: float, attempts: int) -> None:
        require_same_threads()
        self._seconds = seconds
        self._attempts = attempts
        self._connect_seconds = seconds / 4
        self._least_seconds = 1.5 * self._connect_seconds
        self._wait = _Deadline()
        self.broken: Exception | None = None
        try:
            self._connect(region, host)
        except (BotoCoreError, OSError, ValueError, KeyError) as error:
            self.broken = of_credentials(error)
        self.made = time.monotonic()

    def _connect(self, region: str, host: str | None) -> None:
        connection = Connection(
            region,
            host,
            connect_timeout_seconds=self._connect_seconds,
            read_timeout_seconds=self._seconds,
            retry_configuration={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_CONNECTIONS,
        )
        with silenced(), _uncollected():
            _limit_search(connection.session, self._seconds / 2)
            self._client: BotocoreBaseClientPrivate = connection.client
        if self._client._request_signer._credentials is None:
            raise NoCredentialsError
        self._client.meta.events.register("before-call.dynamodb", self._limit_wait)
        self._client.meta.events.register("before-parse.dynamodb", _check_answer)

    def call(self, operation: str, request: dict[str, Any], repeatable: bool) -> tuple[dict[str, Any], bool]:
        """Send a request, again while that can help; return the answer and whether an earlier attempt may have run.

        `repeatable`: sending it again after an attempt that may have been executed does no harm. Otherwise it is only
        repeated when no attempt was executed. Raise `RequestFailed`.
        """
        require_same_threads()
        ends = deadline.ends_after(self._seconds)
        executed = False
        attempt = 1
        if self.broken is not None:
            raise RequestFailed(self.broken, executed, Sent(operation, request))
        if ends - time.monotonic() < self._least_seconds:
            raise RequestFailed(OutOfTimeError(), executed, Sent(operation, request))
        while True:
            left = ends - time.monotonic()
            error = self._try(operation, request, left, repeatable)
            if isinstance(error, dict):
                return error, executed
            verdict = judge(error)
            executed = executed or verdict.executed
            allowed = CONFLICT_ATTEMPTS if verdict.error is DbConflictError else self._attempts
            pause = random.uniform(0.5, 1.0) * min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            left = ends - time.monotonic() - pause
            hopeless = not verdict.transient or (verdict.executed and not repeatable)
            if hopeless or attempt >= allowed or left < self._least_seconds:
                raise RequestFailed(error, executed, Sent(operation, request))
            time.sleep(pause)
            attempt += 1

    def _try(
        self, operation: str, request: dict[str, Any], left: float, repeatable: bool
    ) -> dict[str, Any] | Exception:
        rest = left - self._connect_seconds
        # Half of the time, so that an answer that never comes leaves enough for a second attempt.
        self._wait.seconds = min(rest, left / 2) if repeatable else rest
        try:
            with silenced():
                answer: dict[str, Any] = self._client._make_api_call(operation, request)
        except (BotoCoreError, ClientError, ResponseParserError, OSError) as error:
            return error
        return answer

    def _limit_wait(self, params: dict[str, Any], **_: Any) -> None:
        params["context"]["read_timeout"] = self._wait.seconds

    def _make_api_call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request of pynamodb's own, which expects the driver's exceptions."""
        failed = None
        try:
            return self.call(operation, request, operation in READS)[0]
        except RequestFailed as failure:
            failed = failure.error
        raise failed

    @property
    def credentials_method(self) -> str:
        """Which of the driver's providers found the credentials: `env`, `shared-credentials-file`, `iam-role` ..."""
        return str(getattr(self._client._request_signer._credentials, "method", "unknown"))

    @property
    def meta(self) -> Any:
        """The driver's description of the client, which pynamodb asks for."""
        return self._client.meta


def _limit_search(session: Any, seconds: float) -> None:
    """Let the credentials of the host's role, which are asked for in two requests, come within `seconds`."""
    attempts = session.get_config_variable("metadata_service_num_attempts")
    wait = min(session.get_config_variable("metadata_service_timeout"), seconds / 2 / attempts)
    # As a variable of the session it would be made an integer.
    session.get_component("config_store").set_config_provider("metadata_service_timeout", ConstantProvider(wait))


def _check_answer(response_dict: dict[str, Any], **_: Any) -> None:
    """Refuse an answer that is cut short or garbled, which the driver would take for an empty one."""
    body: bytes = response_dict["body"]
    headers = response_dict["headers"]
    size = int(headers.get("content-length", len(body)))
    if len(body) < size:
        raise ConnectionClosedError(endpoint_url="")
    checksum = headers.get("x-amz-crc32")
    if checksum is None:
        # What is not DynamoDB itself leaves the checksum out.
        whole = response_dict["status_code"] != 200 or _is_object(body)
    else:
        whole = checksum == str(crc32(body))
    if not whole:
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=size)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the collection of garbage for later.

    A client's model of its service is a hundred thousand objects that stay; looking through all objects while they come
    in takes a tenth of a cold start.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
        # Those who waited share the failure; whoever comes later tries again.
        if transport is None or (transport.broken is not None and transport.made < asked):
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
