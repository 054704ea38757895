"""Exceptions inside the library: a driver call or a check raises them, a public method makes them a `DbError`."""

from actingweb.db.exceptions import DbError, DbInputError

__all__ = ["DriverError", "Fault", "input_error"]


class DriverError(Exception):
    """Replaces a driver's exception, whose own text can quote stored data.

    Args:
        name: the driver's exception class.
        code: SQLSTATE or AWS error code.
        constraint: the constraint that was violated.
    """

    def __init__(self, name: str, code: str | None = None, constraint: str | None = None) -> None:
        self.name = name
        self.code = code
        self.constraint = constraint
        super().__init__(" ".join(part for part in (name, code, constraint) if part))


class Fault(Exception):  # noqa: N818 - users never see it
    """A failure. The public method, which knows the operation and the actor, raises it as the public `error`.

    Args:
        error: the class of the public error.
        reason: see `DbError`.
        cause: the exception to chain; its text holds no stored data and no secret.
    """

    def __init__(self, error: type[DbError], reason: str, cause: BaseException | None = None) -> None:
        super().__init__(error.__name__, reason)
        self.error = error
        self.reason = reason
        self.cause = cause

    def to_public_error(self, op: str, actor_id: str | None) -> DbError:
        """Return the public error of operation `op`, with the cause chained."""
        error = self.error(op, actor_id, reason=self.reason)
        error.__cause__ = self.cause
        return error


def input_error(reason: str) -> Fault:
    """Return the fault of an argument that cannot be stored for this `reason`."""
    return Fault(DbInputError, reason)
