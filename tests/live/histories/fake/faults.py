"""The errors of the service."""

from __future__ import annotations

from typing import Any

__all__ = ["ServiceError", "invalid", "no_stream", "no_table"]


class ServiceError(Exception):
    """An answer that is an error.

    Attributes:
        code: its name.
        more: what else the answer holds.
    """

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.more = more

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"__type": f"com.amazonaws.dynamodb.v20120810#{self.code}", "message": self.message, **self.more}


def invalid(message: str) -> ServiceError:
    """Return the error for a request that is malformed."""
    return ServiceError("ValidationException", message)


def no_table() -> ServiceError:
    """Return the error for a table that does not exist."""
    return ServiceError("ResourceNotFoundException", "Requested resource not found")


def no_stream(what: str) -> ServiceError:
    """Return the error for a stream or shard that does not exist."""
    return ServiceError("ResourceNotFoundException", f"Requested resource not found: {what} not found")
