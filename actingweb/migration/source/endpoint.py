"""The client of the DynamoDB endpoint: how it retries a request, and what it reports when one fails."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as botocore

from actingweb.db.dynamodb.aws_session import AWSSession
from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.errors import DENIED, NOT_FOUND, attempt_errors, code_of, judge
from actingweb.db.dynamodb.region import region_of
from actingweb.db.dynamodb.transport import client_class
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.db.dynamodb.wire.failures import sent_at
from actingweb.db.dynamodb.wire.messages import DYNAMODB, Api, decoded
from actingweb.db.dynamodb.wire.service import Service
from actingweb.db.exceptions import ConfigurationError, DbThrottledError
from actingweb.db.settings import get_settings
from actingweb.migration.errors import SourceError, UsageError

__all__ = ["AccessDeniedError", "Endpoint", "RequestError", "RetryLimits", "TableNotFoundError"]

Json = dict[str, Any]

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 30.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0

_OF_A_SCAN = {"DescribeTable", "Scan"}
_WRITES = ("BatchWrite", "Create", "Delete", "Put", "Update")
_HINTS = {
    DENIED: "the role needs dynamodb:DescribeTable and dynamodb:Scan on the table",
    "ExpiredTokenException": "log in again, and continue an export with --resume",
}
_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.ClientError,
)
_SET_CREDENTIALS = "or name a profile with --aws-profile, or log in again"


class RequestError(SourceError):
    """A request failed.

    Attributes:
        code: of the service; None if it did not answer.
    """

    def __init__(self, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.code = code


class TableNotFoundError(RequestError):
    """The table does not exist."""


class AccessDeniedError(RequestError):
    """The credentials do not allow the request."""


@dataclass(frozen=True)
class RetryLimits:
    """For how many seconds a request is retried after a transient failure.

    Attributes:
        throttled: while DynamoDB throttles it.
        failed: after any other transient failure; for AWS_DB_TIMEOUT at most if the endpoint has never answered.
    """

    throttled: float = 600.0
    failed: float = 30.0


@dataclass(frozen=True)
class Endpoint:
    """An endpoint. Thread-safe once a table has been described.

    Attributes:
        region: the AWS region; None for the one that the application would use with this profile.
        host: the URL; None for AWS.
        profile: the profile of the AWS configuration; None for the default profile.
        connections: how many requests may run at once.
        api: the service.
    """

    region: str | None
    host: str | None
    profile: str | None
    connections: int
    retry_limits: RetryLimits = RetryLimits()
    api: Api = DYNAMODB

    @cached_property
    def address(self) -> str:
        """The URL, without user and password."""
        session, region = self._session
        with self._checked():
            parts = urlsplit(Service(session, region, self.host, self.api).endpoint(None).url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def region_name(self) -> str:
        """The AWS region, also if `region` is None. Raise `UsageError` for wrong settings of AWS."""
        _, region = self._session
        return region

    def describe(self, table: str) -> Json:
        """Return the description of a table. Raise `SourceError`, see `call`."""
        response: Json | None = self.call("DescribeTable", {"TableName": table}).get("Table")
        if response is None:
            raise SourceError(f"DynamoDB table {table} cannot be read: the response is not a description of a table")
        return response

    def call(self, operation: str, request: Json, stop: Event | None = None) -> Json:
        """Return the response to a request that may be repeated. Of a Scan it is the JSON text, undecoded, as `Body`.

        Raise `TableNotFoundError`, `AccessDeniedError` or another `RequestError` if it fails for longer than the retry
        limits allow, or for a reason that will not pass, or when `stop` is set; `UsageError` for wrong settings of AWS.
        """
        stop = stop or Event()
        started = time.monotonic()
        attempt = 0
        while True:
            outcome = self._try(operation, request, time.monotonic() - started)
            if isinstance(outcome, dict):
                return outcome
            pause = random.uniform(0.5, 1.0) * min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            if time.monotonic() - started + pause > self._retry_limit(outcome) or stop.wait(pause):
                raise self._error(operation, request, outcome)
            attempt = min(attempt + 1, 10)

    def date(self, table: str) -> float | None:
        """Return the time of the service's clock, in epoch seconds without fractions; None if it does not tell.

        Only errors tell it, so a table is asked for an item without naming a key.
        """
        return sent_at(self._try("GetItem", {"TableName": table, "Key": {}}, 0.0))

    def _try(self, operation: str, request: Json, spent: float) -> Json | Exception:
        try:
            text = self._client.fetch(operation, request, self._limits(spent))
            self._answered.set()
            return {"Body": text} if operation == "Scan" else decoded(text)
        except attempt_errors() as error:
            if code_of(error) is not None:
                self._answered.set()
            return error

    def _limits(self, spent: float) -> Limits:
        """Return the limits of an attempt, if the ones before it have taken `spent` seconds."""
        if self._answered.is_set():
            return Limits(_CONNECT_SECONDS, _ANSWER_SECONDS)
        rest = max(self._patience - spent, _FIRST_PAUSE)
        return Limits(min(_CONNECT_SECONDS, rest), min(_ANSWER_SECONDS, rest))

    def _retry_limit(self, error: Exception) -> float:
        classification = judge(error)
        if not classification.transient:
            return 0.0
        if classification.error is DbThrottledError:
            return self.retry_limits.throttled
        return self.retry_limits.failed if self._answered.is_set() else self._patience

    @cached_property
    def _answered(self) -> Event:
        """Set once the endpoint has answered. One that never has is more likely to be named wrongly than to recover."""
        return Event()

    @cached_property
    def _patience(self) -> float:
        """For how many seconds to wait for the first answer."""
        return min(self.retry_limits.failed, get_settings().aws_db_timeout)

    def _error(self, operation: str, request: Json, error: Exception) -> RequestError:
        code = code_of(error)
        kind = {NOT_FOUND: TableNotFoundError, DENIED: AccessDeniedError}.get(code or "", RequestError)
        failed = "changed" if operation.startswith(_WRITES) else "read"
        text = f"{_subject(request)} at {self.address} cannot be {failed}: {judge(error).reason}"
        text += f" ({code or type(error).__name__})"
        hint = _hint(error, operation)
        return kind(f"{text}; {hint}" if hint else text, code)

    @cached_property
    def _client(self) -> Client:
        """The client, which sends each request once. Raise botocore's exceptions if there are no credentials."""
        session, region = self._session
        with self._checked():
            return client_class()(session, region, self.host, connections=self.connections, api=self.api)

    @cached_property
    def _session(self) -> tuple[AWSSession, str]:
        """The session of botocore that knows the profile, and the region."""
        with self._checked(), silenced():
            session = AWSSession(self.profile)
            return session, self.region or region_of(get_settings(), self.profile)

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Raise `UsageError` for settings of AWS that are wrong."""
        failure = None
        try:
            yield
        except _CREDENTIALS:
            raise
        except (botocore.BotoCoreError, ConfigurationError, ValueError, OSError) as error:
            failure = UsageError(f"AWS settings: {error}")
        if failure is not None:
            raise failure


def _subject(request: Json) -> str:
    """Return what a request is about; one without a table is about a stream, whose iterator names nothing."""
    table = request.get("TableName") or ", ".join(request.get("RequestItems", ()))
    if table:
        return f"DynamoDB table {table}"
    return f"DynamoDB stream {request['StreamArn']}" if "StreamArn" in request else "DynamoDB"


def _hint(error: Exception, operation: str) -> str:
    code = code_of(error)
    if code == DENIED and operation not in _OF_A_SCAN:
        return f"the role needs dynamodb:{operation}"
    if code is not None:
        return _HINTS.get(code, "")
    return _SET_CREDENTIALS if isinstance(error, _CREDENTIALS) else ""
