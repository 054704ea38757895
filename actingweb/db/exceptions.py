"""What a storage call raises. None, False and empty results always mean that the database answered."""

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
        op: the operation, as `property write`.
        actor_id: whose data it concerned, if one actor's.
        reason: a fixed phrase, perhaps with sizes, that says what to do; never a stored value or a secret. The library
            always gives one.
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
    """The database cannot be reached, refused the log-in or dropped the connection."""


class DbTimeoutError(DbError):
    """The database, or a free connection, did not come in time; nothing was written."""


class DbThrottledError(DbError):
    """The database refused for now because of too many requests, or work is left after the retries."""


class DbConflictError(DbError):
    """Another pair of key parts holds the composed key, or concurrent transactions kept colliding."""


class DbOutcomeUnknownError(DbError):
    """A write was sent and no answer came: it may or may not have happened."""


class DbNotSupportedError(DbError):
    """This backend cannot do what was asked."""


class DbSchemaError(DbError, RuntimeError):
    """A table, column or index is missing; the reason names the command that makes it."""


class DbInputError(DbError, ValueError):
    """An argument was refused. Nothing was stored, and what was stored before is intact."""


class DbUnknownActorError(DbInputError):
    """The row belongs to an actor that does not exist (PostgreSQL only)."""


class ConfigurationError(Exception):
    """A setting is wrong; the text names the variable and what it may be, never a secret."""
