"""Every error of the driver is mapped."""

import psycopg
import psycopg_pool
import pytest
from psycopg import errors

from actingweb.db.exceptions import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
)
from actingweb.db.faults import DriverError
from actingweb.db.postgresql.errors import BY_CLASS, connect_fault, fault_of


def subclasses(kind: type[psycopg.Error]) -> set[type[psycopg.Error]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


DRIVERS = {kind for kind in subclasses(psycopg.Error) if kind.__module__.startswith("psycopg")}
WITH_CODE = sorted((kind for kind in DRIVERS if kind.sqlstate), key=lambda kind: str(kind.sqlstate))
MEANINGS = {
    "08": DbConnectionError,
    "57P": DbConnectionError,
    "57014": DbTimeoutError,
    "55P03": DbTimeoutError,
    "53300": DbThrottledError,
    "42P01": DbSchemaError,
    "42703": DbSchemaError,
    "3F000": DbSchemaError,
    "40001": DbConflictError,
    "40P01": DbConflictError,
    "40003": DbOutcomeUnknownError,
    "22": DbInputError,
    "54000": DbInputError,
}
WITHOUT_CODE: dict[type[psycopg.Error], type[DbError]] = {
    psycopg.Error: DbError,
    psycopg.InterfaceError: DbError,
    psycopg.DatabaseError: DbError,
    psycopg.DataError: DbInputError,
    psycopg.OperationalError: DbConnectionError,
    psycopg.IntegrityError: DbError,
    psycopg.InternalError: DbError,
    psycopg.ProgrammingError: DbError,
    psycopg.NotSupportedError: DbError,
    psycopg.transaction.OutOfOrderTransactionNesting: DbError,
    errors.ConnectionTimeout: DbConnectionError,
    errors.CancellationTimeout: DbConnectionError,
    errors.PipelineAborted: DbConnectionError,
    psycopg_pool.PoolTimeout: DbTimeoutError,
    psycopg_pool.PoolClosed: DbConnectionError,
    psycopg_pool.TooManyRequests: DbThrottledError,
}


@pytest.mark.parametrize("kind", WITH_CODE, ids=lambda kind: f"{kind.sqlstate} {kind.__name__}")
def test_an_sqlstate_means_what_the_longest_known_beginning_of_it_means(kind: type[psycopg.Error]) -> None:
    code = str(kind.sqlstate)
    expected = next((MEANINGS[code[:size]] for size in (5, 3, 2) if code[:size] in MEANINGS), DbError)
    fault = fault_of(kind("DETAIL: secret"))
    assert fault.error is expected
    assert isinstance(fault.cause, DriverError)
    assert str(fault.cause) == f"{kind.__name__} {code}"


@pytest.mark.parametrize("kind", WITHOUT_CODE)
def test_an_error_without_sqlstate_means_what_its_class_means(kind: type[psycopg.Error]) -> None:
    fault = fault_of(kind("secret"))
    assert fault.error is WITHOUT_CODE[kind]
    assert "secret" not in str(fault.cause)


def test_the_classes_without_sqlstate_are_all_tested() -> None:
    public = {kind for kind in DRIVERS if not kind.__name__.startswith("_")}
    assert public - set(WITH_CODE) == set(WITHOUT_CODE)


def test_the_most_specific_class_comes_first() -> None:
    kinds = [kind for kind, _ in BY_CLASS]
    assert not [(one, two) for at, one in enumerate(kinds) for two in kinds[at + 1 :] if issubclass(two, one)]


@pytest.mark.parametrize(
    "text",
    [
        'FATAL:  too many connections for role "x"',
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_a_server_without_a_free_connection_throttles(text: str) -> None:
    assert connect_fault(psycopg.OperationalError(text)).error is DbThrottledError


def test_a_foreign_key_that_is_not_an_actors_is_no_unknown_actor() -> None:
    assert fault_of(errors.ForeignKeyViolation("secret")).error is DbError
