"""AWS Signature V4 of requests without a query.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from actingweb.db.dynamodb.wire.failures import InvalidCredentialsError

__all__ = ["Keys", "Signer"]

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """A key pair, with the session token if it is temporary and the account if that is known."""

    access_key: str
    secret_key: str
    token: str | None = None
    account: str | None = None

    def __repr__(self) -> str:
        return "Keys(...)"


class Signer:
    """Signs with one access key for one region and service. Thread-safe.

    Attributes:
        token: the session token, which must be among the signed headers as `x-amz-security-token`.
    """

    def __init__(
        self, access_key: str, secret_key: str, token: str | None, region: str, service: str = "dynamodb"
    ) -> None:
        if not _is_value(access_key) or not _is_value(token or ""):
            raise InvalidCredentialsError
        self.token = token
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._service = service
        self._derived = ("", b"", "")

    def authorization(self, path: str, headers: Sequence[tuple[str, str]], body: bytes, time: str) -> str:
        """Return the header `Authorization` of a POST request.

        Args:
            path: of the URL, normalized and quoted.
            headers: that are signed: lower-case names in order, and values without white space around them.
            time: now, in UTC, as `20260131T235959Z`.
        """
        _, key, scope = self._derived if self._derived[0] == time[:8] else self._derive(time[:8])
        names = ";".join([name for name, _ in headers])
        lines = "\n".join([f"{name}:{value}" for name, value in headers])
        request = f"POST\n{path}\n\n{lines}\n\n{names}\n{sha256(body).hexdigest()}"
        text = f"{_ALGORITHM}\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return f"{_ALGORITHM} Credential={self._access_key}/{scope}, SignedHeaders={names}, Signature={signature}"

    def _derive(self, day: str) -> tuple[str, bytes, str]:
        key = f"AWS4{self._secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        # One assignment, so that a thread never sees the key of one day with the scope of another.
        self._derived = (day, key, f"{day}/{self._region}/{self._service}/aws4_request")
        return self._derived


def _is_value(text: str) -> bool:
    """Tell whether a header can carry a text as it is."""
    return text.isascii() and text.isprintable() and text == text.strip()
