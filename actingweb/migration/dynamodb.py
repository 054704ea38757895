"""The DynamoDB endpoint that is read: one client, the rule by which a request is repeated, and what its faults say."""

import random
import time
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

from botocore import exceptions as botocore
from botocore.client import BaseClient
from botocore.config import Config
from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.session import Session

from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.errors import DENIED, NOT_FOUND, code_of, judge
from actingweb.db.dynamodb.region import region_of
from actingweb.db.exceptions import ConfigurationError, DbThrottledError
from actingweb.db.settings import get_settings
from actingweb.migration.errors import SourceError, UsageError

__all__ = ["AccessDeniedError", "Endpoint", "Patience", "TableNotFoundError"]

Answer = dict[str, Any]

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0

_HINTS = {
    DENIED: "the role needs dynamodb:DescribeTable and dynamodb:Scan on the table",
    "ExpiredTokenException": "log in again and go on with --resume",
}
_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
)
_SET_CREDENTIALS = "or name a profile with --aws-profile, or log in again"


class TableNotFoundError(SourceError):
    """There is no such table."""


class AccessDeniedError(SourceError):
    """The table may not be read."""


@dataclass(frozen=True)
class Patience:
    """For how many seconds a request is repeated that fails in a way which may pass."""

    throttled: float = 600.0
    failed: float = 30.0


@dataclass(frozen=True)
class Endpoint:
    """An endpoint. Thread-safe once `address` has been read.

    Attributes:
        region: None is the one that the application would use with this profile.
        host: a URL; None is AWS.
        profile: of the AWS configuration; None is the default.
        connections: how many requests may run at once.
    """

    region: str | None
    host: str | None
    profile: str | None
    connections: int
    patience: Patience = Patience()

    @cached_property
    def address(self) -> str:
        """The URL, without user and password."""
        parts = urlsplit(self._client.meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def describe(self, table: str) -> Answer:
        """Return the description of a table. Raise `SourceError`, see `call`."""
        answer: Answer | None = self.call("DescribeTable", {"TableName": table}).get("Table")
        if answer is None:
            raise SourceError(f"DynamoDB table {table} cannot be read: an answer is no description of a table")
        return answer

    def call(self, operation: str, request: Answer, stop: Event | None = None) -> Answer:
        """Return the answer to a read; that to a Scan is not decoded: `Body` is its JSON text.

        Raise `TableNotFoundError`, `AccessDeniedError` or another `SourceError` once repeating it is no help, or when
        `stop` is set.
        """
        stop = stop or Event()
        started = time.monotonic()
        attempt = 0
        while True:
            outcome = self._try(operation, request)
            if isinstance(outcome, dict):
                return outcome
            pause = random.uniform(0.5, 1.0) * min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            if time.monotonic() - started + pause > self._patience_with(outcome) or stop.wait(pause):
                raise self._error(request["TableName"], outcome)
            attempt = min(attempt + 1, 10)

    def _try(self, operation: str, request: Answer) -> Answer | Exception:
        try:
            with silenced():
                answer: Answer = self._client._make_api_call(operation, request)  # type: ignore[attr-defined]
        except (botocore.BotoCoreError, botocore.ClientError, ResponseParserError) as error:
            return error
        return answer

    def _patience_with(self, error: Exception) -> float:
        verdict = judge(error)
        if not verdict.transient:
            return 0.0
        return self.patience.throttled if verdict.error is DbThrottledError else self.patience.failed

    def _error(self, table: str, error: Exception) -> SourceError:
        code = code_of(error)
        kind = {NOT_FOUND: TableNotFoundError, DENIED: AccessDeniedError}.get(code or "", SourceError)
        text = f"DynamoDB table {table} at {self.address} cannot be read: {judge(error).reason}"
        text += f" ({code or type(error).__name__})"
        hint = _hint(error)
        return kind(f"{text}; {hint}" if hint else text)

    @cached_property
    def _client(self) -> BaseClient:
        """The client, which sends each request once."""
        config = Config(
            parameter_validation=False,
            max_pool_connections=self.connections,
            connect_timeout=10,
            read_timeout=30,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        try:
            with silenced():
                session = Session(profile=self.profile)
                session.register_component("response_parser_factory", _Parsers())
                region = self.region or region_of(get_settings(), self.profile)
                return session.create_client("dynamodb", region, endpoint_url=self.host, config=config)
        except (botocore.BotoCoreError, ConfigurationError, ValueError) as error:
            failure = UsageError(f"AWS settings: {error}")
        raise failure


def _hint(error: Exception) -> str:
    code = code_of(error)
    if code is not None:
        return _HINTS.get(code, "")
    return _SET_CREDENTIALS if isinstance(error, _CREDENTIALS) else ""


class _Parsers(ResponseParserFactory):
    """Makes parsers that leave the answer to a Scan as it is, since the driver's way costs ten times the rest."""

    def create_parser(self, protocol_name: str) -> Any:
        return _Parser(super().create_parser(protocol_name))


class _Parser:
    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Answer, shape: Any) -> Any:
        body = response["body"]
        checksum = response["headers"].get("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(body):
            raise ResponseParserError("the answer was damaged on its way")
        if shape is not None and shape.name == "ScanOutput" and response["status_code"] == 200:
            return {"Body": body, "ResponseMetadata": {"HTTPStatusCode": 200}}
        return self._parser.parse(response, shape)
