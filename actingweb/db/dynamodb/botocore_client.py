"""Sends a request once, by botocore's client. What is repeated, and for how long, is decided by `transport`."""

import json
import threading
from typing import Any, cast
from zlib import crc32

from botocore.config import Config
from botocore.configprovider import ConstantProvider
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.parsers import ResponseParserError
from botocore.session import Session, get_session

from actingweb.db.dynamodb.driver_logging import silenced

__all__ = ["BotocoreClient"]

_CONNECTIONS = 50


class _Wait(threading.local):
    """How many seconds this thread's request may wait for its answer."""

    seconds: float | None = None


class BotocoreClient:
    """botocore's client of one endpoint. Thread-safe.

    Raise what botocore raises, or `OSError`, `ValueError` or `KeyError`, if there are no credentials or the AWS
    settings are wrong.

    Args:
        region: the AWS region.
        host: the URL of the endpoint, None for AWS itself.
        connect_seconds: how long a connection may take.
        read_seconds: how long any answer may take.
    """

    def __init__(self, region: str, host: str | None, connect_seconds: float, read_seconds: float) -> None:
        self._wait = _Wait()
        config = Config(
            parameter_validation=False,
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            max_pool_connections=_CONNECTIONS,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        with silenced():
            session = get_session()
            _limit_metadata_timeout(session, read_seconds / 2)
            client = session.create_client("dynamodb", region, endpoint_url=host, config=config)
        self._client = cast(Any, client)
        if self._client._request_signer._credentials is None:
            raise NoCredentialsError
        self._client.meta.events.register("before-call.dynamodb", self._limit_wait)
        self._client.meta.events.register("before-parse.dynamodb", _check_answer)

    def send(self, operation: str, request: dict[str, Any], seconds: float) -> dict[str, Any] | Exception:
        """Return the answer, or why there is none; `seconds` is how long it may take."""
        self._wait.seconds = seconds
        try:
            with silenced():
                answer: dict[str, Any] = self._client._make_api_call(operation, request)
        except (BotoCoreError, ClientError, ResponseParserError, OSError) as error:
            return error
        return answer

    def _limit_wait(self, params: dict[str, Any], **_: Any) -> None:
        params["context"]["read_timeout"] = self._wait.seconds

    @property
    def endpoint_url(self) -> str:
        """The URL that requests are sent to."""
        return str(self._client.meta.endpoint_url)

    @property
    def credentials_method(self) -> str:
        """Which of botocore's providers found the credentials: `env`, `shared-credentials-file`, `iam-role` ..."""
        return str(getattr(self._client._request_signer._credentials, "method", "unknown"))


def _limit_metadata_timeout(session: Session, seconds: float) -> None:
    """Bound by `seconds` the two requests that fetch the credentials of the host's role."""
    attempts = session.get_config_variable("metadata_service_num_attempts")
    wait = min(session.get_config_variable("metadata_service_timeout"), seconds / 2 / attempts)
    # `set_config_variable` would make it an integer.
    session.get_component("config_store").set_config_provider("metadata_service_timeout", ConstantProvider(wait))


def _check_answer(response_dict: dict[str, Any], **_: Any) -> None:
    """Raise if an answer is cut short or garbled; botocore would take it for an empty one."""
    body: bytes = response_dict["body"]
    headers = response_dict["headers"]
    size = int(headers.get("content-length", len(body)))
    if len(body) < size:
        raise ConnectionClosedError(endpoint_url="")
    checksum = headers.get("x-amz-crc32")
    if checksum is None:
        # DynamoDB always sends the checksum; servers that stand in for it may not.
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
