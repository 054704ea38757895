"""How a fault travels from a driver or a rule to the public method that gives it its name."""

from actingweb.db.exceptions import DbError, DbInputError

__all__ = ["DriverError", "Fault", "input_error"]


class DriverError(Exception):
    """Stands for a driver's exception whose own text can quote stored data.

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


class Fault(Exception):  # noqa: N818 - it is never raised to users
    """An operation failed with `error`, whose operation and actor the caller knows.

    Args:
        error: the class to raise.
        reason: see `DbError`.
        cause: what is chained to it: an exception without stored data or secrets in its text.
    """

    def __init__(self, error: type[DbError], reason: str, cause: BaseException | None = None) -> None:
        super().__init__(error.__name__, reason)
        self.error = error
        self.reason = reason
        self.cause = cause

    def named(self, op: str, actor_id: str | None) -> DbError:
        """Return the public error of operation `op`, with the cause chained."""
        error = self.error(op, actor_id, reason=self.reason)
        error.__cause__ = self.cause
        return error


def input_error(reason: str) -> Fault:
    """Return the fault of an argument that is refused for `reason`."""
    return Fault(DbInputError, reason)
