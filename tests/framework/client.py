"""A small HTTP client that insists on the answers it expects."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 30


class UnexpectedAnswerError(AssertionError):
    """The application answered something else than expected."""


def expect(what: str, found: object, wanted: object) -> None:
    """Raise `UnexpectedAnswerError` unless `found` equals `wanted`."""
    if found != wanted:
        raise UnexpectedAnswerError(f"{what}: expected {wanted!r}, found {found!r}")


def basic(user: str, password: str) -> str:
    """Return the Authorization header of a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass(frozen=True)
class Client:
    """Requests under one URL with one Authorization header."""

    url: str
    authorization: str = field(default="", repr=False)

    def get(self, path: str = "", *, status: int = 200) -> Any:
        """Return the decoded answer to a GET."""
        return self.request("GET", path, status=status)

    def post(self, path: str, body: object, *, status: int = 200) -> Any:
        """Return the decoded answer to a POST."""
        return self.request("POST", path, body, status=status)

    def put(self, path: str, body: object, *, status: int = 204) -> Any:
        """Return the decoded answer to a PUT."""
        return self.request("PUT", path, body, status=status)

    def delete(self, path: str = "", *, status: int = 204) -> Any:
        """Return the decoded answer to a DELETE."""
        return self.request("DELETE", path, status=status)

    def request(self, method: str, path: str, body: object = None, *, status: int) -> Any:
        """Return the decoded answer: JSON if it is, else text, None for an empty one.

        Raise `UnexpectedAnswerError` unless it has this status.
        """
        found, text = self._exchange(method, path, None if body is None else json.dumps(body))
        expect(f"status of {method} {path or '/'} ({text[:200]})", found, status)
        return _decode(text)

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        try:
            connection.request(method, parts.path + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def _decode(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
