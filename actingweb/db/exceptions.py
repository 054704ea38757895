"""The errors that storage calls raise. None, False and empty results always mean that the database answered."""

from collections.abc import Callable

__all__ = [
    "ConfigurationError",
    "DbConflictError",
    "DbConnectionError",
    "DbError",
    "DbInputError",
    "DbNotSupportedError",
    "DbOutcomeUnknownError",
    "DbSchemaError",
    "DbThrottledError",
    "DbTimeoutError",
    "DbUnknownActorError",
]


class DbError(Exception):
    """A storage operation failed.

    Args:
        op: the operation, for example `property write`.
        actor_id: the actor whose data the call concerned, if it was one actor's.
        reason: what happened and what to do, in fixed phrases and sizes; never a stored value or a secret. The library
            always gives a reason.
    """

    def __init__(self, op: str, actor_id: str | None = None, *, reason: str | None = None) -> None:
        self.op = op
        self.actor_id = actor_id
        self.reason = reason
        text = f"database error during {op}"
        if actor_id:
            text += f" for actor {actor_id}"
        if reason:
            text += f": {reason}"
        super().__init__(text)

    def __reduce__(self) -> tuple[Callable[..., "DbError"], tuple[type["DbError"], str, str | None, str | None]]:
        return _rebuild, (type(self), self.op, self.actor_id, self.reason)


def _rebuild(cls: type[DbError], op: str, actor_id: str | None, reason: str | None) -> DbError:
    return cls(op, actor_id, reason=reason)


class DbConnectionError(DbError):
    """The database could not be reached, rejected the log-in or dropped the connection."""


class DbTimeoutError(DbError):
    """The database did not answer in time, or no connection became free in time. Nothing was written."""


class DbThrottledError(DbError):
    """The database rejected the request because it gets too many, or retries did not complete a batch."""


class DbConflictError(DbError):
    """Other key parts with the same composed key are stored (DynamoDB), or concurrent transactions kept colliding."""


class DbOutcomeUnknownError(DbError):
    """A write was sent, but no answer came: it may or may not have happened."""


class DbNotSupportedError(DbError):
    """This backend does not support the call."""


class DbSchemaError(DbError, RuntimeError):
    """A table, column or index is missing, or the schema cannot be used; the reason says what to do."""


class DbInputError(DbError, ValueError):
    """An argument was rejected. Nothing was stored or changed."""


class DbUnknownActorError(DbInputError):
    """The row belongs to an actor that does not exist (PostgreSQL only)."""


class ConfigurationError(Exception):
    """A setting is wrong. The text names the variable and the values that it may have, and contains no secret."""
