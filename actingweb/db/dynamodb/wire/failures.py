"""How one attempt to have a request executed can fail, whatever sends it.

Their texts quote neither requests nor answers.
"""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any

__all__ = [
    "ConnectTimeoutError",
    "ConnectionLostError",
    "GarbledAnswerError",
    "InvalidCredentialsError",
    "NameNotFoundError",
    "NoAnswerError",
    "NotConnectedError",
    "ProxyError",
    "ProxyRefusedError",
    "ProxyUrlError",
    "RefusedError",
    "ServiceError",
    "TlsError",
    "WireError",
    "sent_at",
]


class WireError(Exception):
    """An attempt failed.

    Attributes:
        executed: whether the server may have executed the request.
    """

    executed = False


class InvalidCredentialsError(WireError):
    """An access key or a session token has characters that no header can carry."""


class NotConnectedError(WireError):
    """No connection came about: the host cannot be reached, or it hangs up."""


class NameNotFoundError(NotConnectedError):
    """The name of the host has no address."""


class RefusedError(NotConnectedError):
    """Nothing listens at the port."""


class ConnectTimeoutError(WireError):
    """No connection came about, or became free, in time."""


class TlsError(WireError):
    """The server's certificate is not trusted or is another host's, or the server does not speak TLS."""


class ProxyError(WireError):
    """The proxy cannot be reached, hangs up or cannot reach the server. Its text says which."""


class ProxyRefusedError(ProxyError):
    """The proxy refuses; repeating the request cannot help."""


class ProxyUrlError(ProxyRefusedError):
    """The URL of the proxy is none that can be used."""


class NoAnswerError(WireError):
    """The request could not be sent as a whole, or its answer did not come as a whole, in time."""

    executed = True


class ConnectionLostError(WireError):
    """The connection was lost after it came about and before the whole answer came."""

    executed = True


class GarbledAnswerError(WireError):
    """The answer is not what the server sent, or no answer of DynamoDB."""

    executed = True


class ServiceError(WireError):
    """The service answered with an error, after executing the request or not: its code and status tell.

    Attributes:
        status: of HTTP.
        code: as `ConditionalCheckFailedException`; the status, if the answer names none.
        message: the service's text, which can quote the request.
        reasons: why each action of a cancelled transaction failed: `Code`, and perhaps `Message` and `Item`.
        item: what is stored where a condition failed, if the request wanted to know.
        date: when the service answered, by its own clock, as in the header.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str = "",
        reasons: Sequence[dict[str, Any]] = (),
        item: dict[str, Any] | None = None,
        date: str | None = None,
    ) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.message = message
        self.reasons = list(reasons)
        self.item = item
        self.date = date


def sent_at(error: object) -> float | None:
    """Return when the service sent an error, in epoch seconds by its own clock; None if it does not tell.

    The date has whole seconds.
    """
    try:
        return parsedate_to_datetime(getattr(error, "date", None) or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
