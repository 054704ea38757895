"""Runs the statements of a call in one round trip, retries them if that is safe, and maps errors."""

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from actingweb.db.events import retried
from actingweb.db.exceptions import DbConflictError, DbError, DbOutcomeUnknownError
from actingweb.db.faults import Fault
from actingweb.db.observe import observable
from actingweb.db.postgresql.connection import acquire, report_loss
from actingweb.db.postgresql.errors import concerns_others, fault_of, is_conflict, is_lost, is_rolled_back
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import BACKEND, NoAnswerError, Parameters, PooledConnection, Result
from actingweb.db.postgresql.schema_check import with_schema_hint
from actingweb.db.postgresql.statement import Statement
from actingweb.db.postgresql.transaction import current

__all__ = ["BoundStatement", "Result", "execute_pipeline", "read", "with_retries", "write", "write_row"]

T = TypeVar("T")
Row = tuple[Any, ...]
BoundStatement = tuple[Statement, Parameters]

_UNKNOWN = "the connection was lost before the answer arrived: read what is stored, then decide"
_CHECK_SECONDS = 1.0
_CONNECTIONS = 3
_TRIES = 5
_BACK_OFF = 0.005
_SLOWEST_BACK_OFF = 0.1


def read(statement: Statement, parameters: Parameters) -> list[Row]:
    """Return the rows of a query, which is retried if its connection is lost. Raise `Fault`."""
    return _run(lambda connection, pool: connection.run(statement.query(pool.schema), parameters), True).rows


def write(statement: Statement, parameters: Parameters) -> Result:
    """Run one statement as a transaction. Raise `Fault`."""
    return _run(lambda connection, pool: connection.run(statement.query(pool.schema), parameters), False)


def write_row(statement: Statement, parameters: Parameters) -> Row:
    """Run one statement that stores one row, as a transaction, and return the row that it returns. Raise `Fault`."""
    rows = write(statement, parameters).rows
    if not rows:
        raise Fault(DbError, "the server stored no row: look for a trigger or a rule on the table")
    return rows[0]


def execute_pipeline(*steps: BoundStatement) -> list[Result]:
    """Run statements as one transaction, each with a new snapshot. Raise `Fault`, with nothing changed."""

    def change(connection: PooledConnection, pool: Pool) -> list[Result]:
        queries = [(statement.query(pool.schema), parameters) for statement, parameters in steps]
        return connection.run_all(queries, pool.distributed is not False)

    return _run(change, False)


def with_retries(
    take: Callable[[], tuple[Pool, PooledConnection]], work: Callable[[PooledConnection, Pool], T], repeatable: bool
) -> T:
    """Return the result of `work` on a connection that `take` takes out of the pool. Raise `Fault`.

    `work` is retried if it may succeed and the failed attempt certainly had no effect. If it is `repeatable`, it is
    also retried if the attempt may have had an effect.
    """
    attempt = 0
    while True:
        attempt += 1
        pool, connection = take()
        try:
            return work(connection, pool)
        except (psycopg.Error, UnicodeEncodeError) as error:
            failure: Exception = error
            lost = is_lost(error, connection)
            if lost:
                report_loss(error, connection)
                connection.close()
        finally:
            pool.putconn(connection)
        # Outside the handler, so that the driver's error, whose text can quote data, is not the context of the fault.
        if lost:
            _require_retry(failure, pool, repeatable, attempt)
        elif is_conflict(failure) and attempt < _TRIES:
            retried(BACKEND, DbConflictError.__name__)
            time.sleep(random.uniform(0, min(_SLOWEST_BACK_OFF, _BACK_OFF * 2**attempt)))
        else:
            raise with_schema_hint(failure, pool, _CHECK_SECONDS)


def _run(work: Callable[[PooledConnection, Pool], T], repeatable: bool) -> T:
    """Return the result of `work`, in the open transaction if there is one."""
    if (transaction := current()) is not None and transaction.is_open:
        return transaction.run(work)
    return with_retries(acquire, work, repeatable)


def _require_retry(failure: Exception, pool: Pool, repeatable: bool, attempt: int) -> None:
    """Raise `Fault` unless work that lost its connection may be retried on another one."""
    if concerns_others(failure):
        pool.drain()
    fault = fault_of(failure)
    was_rolled_back = pool.pooled is False and is_rolled_back(failure, pool.distributed is False)
    if not repeatable and not was_rolled_back:
        raise Fault(DbOutcomeUnknownError, _UNKNOWN, fault.cause)
    if attempt >= _CONNECTIONS or isinstance(failure, NoAnswerError):
        raise fault
    retried(BACKEND, fault.error.__name__)


observable("actingweb.db.postgresql.observed")
