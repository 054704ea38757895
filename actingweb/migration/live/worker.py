"""What all workers have in common: a connection that is replaced, and transactions that wake no trigger."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["Worker"]

T = TypeVar("T")

# Writes of the engine itself leave no marks for the way back. A commit that is lost takes its checkpoints and marks
# with it, so none waits for the disk.
_SESSION = b"; SET LOCAL actingweb.sync = 'on'; SET LOCAL synchronous_commit = off"
_COLLISIONS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.UniqueViolation,
)
_ATTEMPTS = 5


@dataclass
class Worker:
    """Does one bounded piece of work at a time. What it keeps in memory it can lose.

    Attributes:
        connect: opens a connection; one is kept, and replaced after an error.
        has_more: whether there may be more to do at once, although the last piece of work found nothing new.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    has_more: bool = field(default=False, init=False)
    _connection: Connection | None = field(default=None, init=False, repr=False)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Yield the connection, in autocommit mode. Raise `TargetError` for what psycopg raises."""
        try:
            with target_errors():
                if self._connection is None:
                    self._connection = self.connect()
                yield self._connection
        except BaseException:
            # Whatever state it is in.
            self.close()
            raise

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction of the engine, without time limits."""
        with connection.transaction():
            connection.execute(connection.lift_timeouts_sql + _SESSION)
            yield

    def repeated(self, work: Callable[[], T]) -> T:
        """Return the result of a transaction, which is repeated when it collides with another one."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return work()
            except _COLLISIONS:
                continue
        return work()
