"""Lends a session of the pool for the caller's own SQL, and restores it afterwards.

The caller gets a new connection object, so what it sets on the object does not outlive the block. Changes of the
session are undone in the round trip that ends the transaction. A session that cannot be restored is closed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, PGconn, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from actingweb.db.postgresql.adapters import ADAPTERS
from actingweb.db.postgresql.pooled_connection import PooledConnection

__all__ = ["Borrowed", "lent"]

Borrowed = psycopg.Connection[tuple[Any, ...]]

# The parts of DISCARD ALL, which cannot itself follow COMMIT in one message. A role set by ALTER ROLE remains.
_RESET = (
    b"CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; UNLISTEN *; "
    b"SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES"
)
_IDLE, _BLOCKS = TransactionStatus.IDLE, (TransactionStatus.INTRANS, TransactionStatus.INERROR)
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


@contextmanager
def lent(connection: PooledConnection, beginning: bytes, *, pooled: bool) -> Iterator[Borrowed]:
    """Yield a connection object for the session of `connection`, in the transaction that `beginning` begins.

    Commit on a clean exit, otherwise roll back. Afterwards `connection` is as before, or closed, and the yielded object
    cannot be used. `pooled` says that other clients may share the session. Raise `psycopg.Error`.
    """
    loan = _Loan(connection, pooled)
    try:
        loan.begin(beginning)
        yield loan.borrowed
        loan.commit()
    except BaseException:
        loan.roll_back()
        raise
    finally:
        loan.end()


class _Loan:
    def __init__(self, connection: PooledConnection, pooled: bool) -> None:
        self._connection = connection
        # In a shared session, prepared statements may belong to other clients.
        self._reset = _RESET if pooled else b"DEALLOCATE ALL; " + _RESET
        self._pooled = pooled
        self._pgconn = connection.pgconn
        self._handlers = self._pgconn.notice_handler, self._pgconn.notify_handler
        self.borrowed = psycopg.Connection(self._pgconn)
        self.borrowed._adapters = AdaptersMap(ADAPTERS)
        # With a pool set, its context manager does not close it, and deleting it while open gives no warning.
        self.borrowed._pool = connection._pool
        self.borrowed.prepare_threshold = connection.prepare_threshold

    def begin(self, command: bytes) -> None:
        for result in self._connection.script(command):
            _raise_failure(result)

    def commit(self) -> None:
        borrowed = self.borrowed
        if self._connection.is_foreign:
            raise psycopg.ProgrammingError("cannot commit: the connection belongs to the parent of this process")
        if self._is_orderly():
            self._finish(b"COMMIT")
        elif self._pgconn.transaction_status == TransactionStatus.ACTIVE and not borrowed._pipeline:
            # psycopg's commit might wait forever for a COPY or a stream that was not read to its end.
            raise psycopg.ProgrammingError("cannot commit: a command of the block has not ended")
        elif not borrowed.closed or borrowed.broken:
            # psycopg reports what is wrong, and knows how to end a pipeline.
            borrowed.commit()
            self._connection.close()

    def roll_back(self) -> None:
        if self._is_orderly() and not self._connection.is_foreign:
            with suppress(psycopg.Error):
                self._finish(b"ROLLBACK")
                return
        self._connection.close()

    def end(self) -> None:
        """Detach the lent connection object from the session."""
        self.borrowed.pgconn = PGconn()
        self.borrowed._closed = True
        self._pgconn.notice_handler, self._pgconn.notify_handler = self._handlers

    def _is_orderly(self) -> bool:
        """Tell whether the session can be reset: no command, pipeline or nested transaction is in progress."""
        borrowed = self.borrowed
        return (
            self._pgconn.transaction_status in (_IDLE, *_BLOCKS)
            and self._pgconn.pipeline_status == PipelineStatus.OFF
            and not (borrowed._pipeline or borrowed._num_transactions or borrowed._tpc)
        )

    def _finish(self, command: bytes) -> None:
        """End the transaction, if there is one, and reset the session, in one round trip."""
        in_block = self._pgconn.transaction_status in _BLOCKS
        self._pgconn.nonblocking = 1
        results = self._connection.script(command + b"; " + self._reset if in_block else self._reset)
        if in_block:
            _raise_failure(results[0])
        if self._connection.closed or results[-1].status not in _DONE:
            self._connection.close()
            return
        while self._pgconn.notifies():
            pass
        if not self._pooled:
            self._connection.forget_prepared()


def _raise_failure(result: PGresult) -> None:
    if result.status not in _DONE:
        raise error_from_result(result, "utf-8")
