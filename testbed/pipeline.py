"""Requests to DynamoDB Local that are sent together, which takes a third of the processor time."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Pipeline"]

_SECONDS = 60
# DynamoDB Local does not check the signature. It can have other tables for each key and region.
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential={AWS_ACCESS_KEY_ID}/20260101/{AWS_DEFAULT_REGION}/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none"
)
_LENGTH = re.compile(rb"^content-length: (\d+)", re.IGNORECASE | re.MULTILINE)


class Pipeline:
    """A connection to the server that settings of `actingweb.db` and of the AWS SDK name, made at the first request."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._url = urlsplit(environment["AWS_DB_HOST"])
        self._signed = _SIGNED.format_map(environment)
        self._connection: socket.socket | None = None

    def ask(self, requests: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Send requests, each an operation and its parameters, and return as many answers, in order.

        Return an empty list if the server is another one, which does not give them.
        """
        if self._url.scheme != "http":
            return []
        message = b"".join(self._message(operation, parameters) for operation, parameters in requests)
        # The server closes a connection that was idle.
        for _ in range(2):
            try:
                return self._exchange(message, len(requests))
            except (OSError, ValueError):
                self.close()
        return []

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._reader.close()
            self._connection.close()
            self._connection = None

    def _exchange(self, message: bytes, count: int) -> list[dict[str, Any]]:
        if self._connection is None:
            address = (self._url.hostname, self._url.port or 80)
            self._connection = socket.create_connection(address, _SECONDS)
            self._reader = self._connection.makefile("rb")
        self._connection.sendall(message)
        return [self._answer() for _ in range(count)]

    def _answer(self) -> dict[str, Any]:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._reader.readline()
            if not line:
                raise ConnectionResetError
            head += line
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError("an answer without a length")
        answer: dict[str, Any] = json.loads(self._reader.read(int(length[1])))
        return answer

    def _message(self, operation: str, parameters: Mapping[str, Any]) -> bytes:
        body = json.dumps(parameters).encode()
        lines = (
            "POST / HTTP/1.1",
            "Host: localhost",
            f"X-Amz-Target: DynamoDB_20120810.{operation}",
            "Content-Type: application/x-amz-json-1.0",
            "X-Amz-Date: 20260101T000000Z",
            f"Authorization: {self._signed}",
            f"Content-Length: {len(body)}",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + body
