"""Several calls as one transaction."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from actingweb.db.events import outcome_unknown
from actingweb.db.exceptions import DbConnectionError, DbError, DbNotSupportedError, DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.postgresql.connection import acquire, report_loss
from actingweb.db.postgresql.errors import is_lost
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import BACKEND, PooledConnection
from actingweb.db.postgresql.schema_check import with_schema_hint

__all__ = ["Transaction", "current", "transaction"]

T = TypeVar("T")

_UNKNOWN = "the connection was lost before the answer to COMMIT arrived: read what is stored, then decide"
_FORKED = "this process was forked in a transaction, which belongs to its parent: fork before the block begins"
_FAILED = "a call in the block failed, so nothing of the block is stored: let the error of a call leave the block"


class Transaction:
    """An open transaction, shared by the calls of one thread and asyncio task, its owner; it has none after its end."""

    def __init__(self, connection: PooledConnection, pool: Pool, owner: tuple[int, object] | None) -> None:
        self.connection = connection
        self.pool = pool
        self.owner = owner
        self.depth = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended; a task that was started in its block can go on after it."""
        return self.owner is not None

    def run(self, work: Callable[[PooledConnection, Pool], T]) -> T:
        """Return the result of `work` on the connection. Raise `Fault`; nothing is retried."""
        if self.owner != _caller():
            raise Fault(
                DbNotSupportedError,
                "a transaction belongs to the thread and the asyncio task that began it: begin another one in this one",
            )
        if self.connection.is_foreign:
            raise Fault(DbNotSupportedError, _FORKED)
        if self.connection.closed:
            raise Fault(
                DbConnectionError,
                "the connection of the transaction was lost, so nothing of it is stored: run the whole block again",
            )
        failure: Exception
        try:
            return work(self.connection, self.pool)
        except (psycopg.Error, UnicodeEncodeError) as error:
            failure = error
            if is_lost(error, self.connection):
                report_loss(error, self.connection)
                self.connection.close()
        # Do not wait for another connection: none may become free before this one is returned.
        raise with_schema_hint(failure, self.pool, 0.0)

    def command(self, text: bytes) -> None:
        """Run a command without result. Raise `Fault`."""
        self.run(lambda connection, _: connection.command(text))

    @property
    def failed(self) -> bool:
        """Whether a statement failed, so that the transaction can only be rolled back."""
        return self.connection.pgconn.transaction_status != TransactionStatus.INTRANS


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)
current = _current.get
"""Return the transaction in whose block this context began, which may have ended, or None."""


@contextmanager
def transaction() -> Iterator[None]:
    """See `actingweb.db.transaction`."""
    outer = _current.get()
    error: DbError
    try:
        with _outermost_block() if outer is None or not outer.is_open else _savepoint_block(outer):
            yield
        return
    except Fault as fault:
        error = fault.to_public_error("transaction", None)
        if fault.error is DbOutcomeUnknownError:
            outcome_unknown(BACKEND)
    raise error


@contextmanager
def _outermost_block() -> Iterator[None]:
    pool, connection = acquire()
    try:
        begun = Transaction(connection, pool, _caller())
        try:
            begun.command(b"BEGIN")
            token = _current.set(begun)
            try:
                yield
            except BaseException:
                _roll_back(begun, b"ROLLBACK")
                raise
            finally:
                _current.reset(token)
            _commit(begun)
        finally:
            begun.owner = None
    finally:
        pool.putconn(connection)


def _commit(begun: Transaction) -> None:
    if begun.failed:
        _roll_back(begun, b"ROLLBACK")
        raise Fault(DbError, _FAILED)
    failure: Fault
    try:
        begun.command(b"COMMIT")
        return
    except Fault as fault:
        failure = fault
    if begun.connection.closed:
        raise Fault(DbOutcomeUnknownError, _UNKNOWN, failure.cause)
    raise failure


@contextmanager
def _savepoint_block(outer: Transaction) -> Iterator[None]:
    outer.depth += 1
    name = b"actingweb_%d" % outer.depth
    try:
        outer.command(b"SAVEPOINT " + name)
        try:
            yield
        except BaseException:
            _roll_back(outer, b"ROLLBACK TO SAVEPOINT " + name)
            raise
        if outer.failed:
            _roll_back(outer, b"ROLLBACK TO SAVEPOINT " + name)
            raise Fault(DbError, _FAILED)
        outer.command(b"RELEASE SAVEPOINT " + name)
    finally:
        outer.depth -= 1


def _roll_back(begun: Transaction, command: bytes) -> None:
    """Roll back; if that fails, close the connection, which rolls back too."""
    try:
        begun.command(command)
    except Fault:
        # A generator can be left in a block of a transaction that has ended; others use its connection then.
        if begun.is_open:
            begun.connection.close()


def _caller() -> tuple[int, object]:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return get_ident(), task
