"""Requests and answers of DynamoDB's JSON protocol as bytes, without input and output."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

from actingweb.db.dynamodb.wire.failures import GarbledAnswerError, ServiceError
from actingweb.db.dynamodb.wire.signature import Signer

__all__ = [
    "DYNAMODB",
    "STREAMS",
    "Answer",
    "Api",
    "Target",
    "content_of",
    "decoded",
    "encoded",
    "head_of",
    "headers_of",
    "unsigned_headers",
]

_CONTENT_TYPE = "application/x-amz-json-1.0"


class Api(NamedTuple):
    """One of the two services that speak this protocol.

    Attributes:
        name: by which botocore knows it.
        version: what the names of its operations begin with.
    """

    name: str
    version: str


DYNAMODB = Api("dynamodb", "DynamoDB_20120810.")
STREAMS = Api("dynamodbstreams", "DynamoDBStreams_20120810.")


class Answer(NamedTuple):
    """What came: `headers` have names in any case and are looked up by any."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Target(NamedTuple):
    """Where requests go.

    Attributes:
        host: the header, with the port if it is not the scheme's own.
        path: as it is sent; for a proxy that forwards, it is the whole URL.
        signed_path: the path as it is signed.
        extra: more header lines, each with its line end.
        version: what the names of operations begin with.
    """

    host: str
    path: str = "/"
    signed_path: str = "/"
    extra: str = ""
    version: str = DYNAMODB.version


def encoded(request: Mapping[str, Any]) -> bytes:
    """Return the body of a request; `bytes` in it become Base64."""
    return _encode(request).encode()


def _base64(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no place in a request")


# Made once, because `json.dumps` makes one for each request.
_encode = json.JSONEncoder(default=_base64, separators=(",", ":"), check_circular=False).encode


def unsigned_headers(api: Api, operation: str) -> dict[str, str]:
    """Return the headers of a request that something else signs and sends."""
    return {"content-type": _CONTENT_TYPE, "x-amz-target": api.version + operation}


def headers_of(target: Target, signer: Signer, operation: str, body: bytes, time: str) -> list[tuple[str, str]]:
    """Return the headers of a request at `time`, which is as `20260131T235959Z`: those that are signed, and how."""
    headers = [("content-type", _CONTENT_TYPE), ("host", target.host), ("x-amz-date", time)]
    if signer.token:
        headers.append(("x-amz-security-token", signer.token))
    headers.append(("x-amz-target", target.version + operation))
    headers.append(("authorization", signer.authorization(target.signed_path, headers, body, time)))
    return headers


def head_of(target: Target, headers: list[tuple[str, str]], size: int) -> bytes:
    """Return what is sent before a body of `size` bytes."""
    # Names in the case that all have, since not everything between here and there knows that it does not matter.
    lines = "".join([f"{name.title()}: {value}\r\n" for name, value in headers])
    return f"POST {target.path} HTTP/1.1\r\n{lines}Content-Length: {size}\r\n{target.extra}\r\n".encode("latin-1")


def content_of(answer: Answer) -> bytes:
    """Return the body of a success, undamaged as far as can be told. Raise `ServiceError` or `GarbledAnswerError`."""
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(crc32(answer.body)):
        raise GarbledAnswerError
    if answer.status == 200:
        return answer.body
    raise _error_of(answer)


def decoded(body: bytes) -> dict[str, Any]:
    """Return the meaning of a success's body; binary values stay Base64. Raise `GarbledAnswerError`."""
    try:
        # Decoded here, because `json.loads` would guess the encoding.
        content = json.loads(body.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise GarbledAnswerError
    return content


def _error_of(answer: Answer) -> ServiceError:
    """Return the error in an answer. An answer that names no error of DynamoDB has its status as the code."""
    try:
        facts = decoded(answer.body)
    except GarbledAnswerError:
        facts = {}
    kind = facts.get("__type") or answer.headers.get("x-amzn-errortype") or answer.status
    reasons = facts.get("CancellationReasons")
    item = facts.get("Item")
    return ServiceError(
        answer.status,
        code=str(kind).partition(":")[0].rpartition("#")[2],
        message=str(facts.get("message") or facts.get("Message") or ""),
        reasons=[reason for reason in reasons if isinstance(reason, dict)] if isinstance(reasons, list) else (),
        item=item if isinstance(item, dict) else None,
        date=answer.headers.get("date"),
    )
