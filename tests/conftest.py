"""Fixtures for tests on real databases; `actingweb.db.conformance` has more.

Each test starts without any setting of `actingweb.db` in the environment and with empty tables.

* `backend`: runs the test once on each of "dynamodb", "postgresql" and "memory" that has what the test's marks ask for.
  Sets the environment and yields `actingweb.db.load_backend(name)`. tests/harnesses.py prepares the backends.
* `postgres_server`, `dynamodb_server` (session): a `PostgresTarget` or `DynamoDBTarget`, which has `environment`, the
  settings that name the server, and `connect()`.
* `new_actor`: a function `(actor_id=None) -> str` that stores an actor on `backend`; `actor_id`: one such actor's id.
* `pg`: a psycopg autocommit connection with the session's schema as search path, for raw SQL.
* `ddb`: the session's boto3 client, for raw requests; `tests.support.ddb_table(suffix)` names a table.
* `set_env`: `set_env(NAME="value", OTHER=None)` sets or unsets variables for the test, forgetting settings, pool and
  known tables now and after the test. Another `AWS_DB_PREFIX` should begin with the session's, so that its tables are
  cleaned up too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest

from actingweb.db.conformance import Harnesses
from actingweb.db.registry import Backend
from testbed.servers import DynamoDBTables, DynamoDBTarget, MemoryTables, PostgresTables, PostgresTarget
from testbed.threads import threads_left
from tests.harnesses import (
    DynamoDBHarness,
    MemoryHarness,
    PostgresHarness,
    forget_connections,
    forget_settings,
    unset_settings,
)
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytest_plugins = ["tests.temporary", "tests.reports", "tests.rewriting", "tests.selection", "tests.skips"]


class SetEnv(Protocol):
    """Set variables to texts, or unset them with None, until the test ends."""

    def __call__(self, **variables: str | None) -> None: ...


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail if a thread outlives the test and the fixtures that are its own."""
    before = set(threading.enumerate())
    yield
    assert threads_left(before) == []


@pytest.fixture(autouse=True)
def environment(no_thread_left: None) -> Iterator[pytest.MonkeyPatch]:
    """Unset all settings for the test; what is changed through the result is undone after it."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        # On a busy machine any call can be slow.
        patch.setenv("DB_SLOW_CALL_SECONDS", "0")
        forget_settings()
        yield patch
    forget_settings()


@pytest.fixture
def set_env(environment: pytest.MonkeyPatch) -> Iterator[SetEnv]:
    """Change settings for the test."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                environment.delenv(name, raising=False)
            else:
                environment.setenv(name, value)
        forget_connections()

    yield change
    forget_connections()


@pytest.fixture(scope="session")
def postgres_harness(harnesses: Harnesses) -> PostgresHarness:
    """Return what prepares PostgreSQL."""
    return harnesses.of_class(PostgresHarness)


@pytest.fixture(scope="session")
def dynamodb_harness(harnesses: Harnesses) -> DynamoDBHarness:
    """Return what prepares DynamoDB."""
    return harnesses.of_class(DynamoDBHarness)


@pytest.fixture(scope="session")
def postgres_server(postgres_harness: PostgresHarness) -> PostgresTarget:
    """Name the session's PostgreSQL server."""
    return postgres_harness.server


@pytest.fixture(scope="session")
def dynamodb_server(dynamodb_harness: DynamoDBHarness) -> DynamoDBTarget:
    """Name the session's DynamoDB server."""
    return dynamodb_harness.server


@pytest.fixture(scope="session")
def postgres_tables(postgres_harness: PostgresHarness) -> PostgresTables:
    """Return the session's tables in PostgreSQL."""
    return postgres_harness.tables


@pytest.fixture(scope="session")
def dynamodb_tables(dynamodb_harness: DynamoDBHarness) -> DynamoDBTables:
    """Return the session's tables in DynamoDB."""
    return dynamodb_harness.tables


@pytest.fixture(scope="session")
def memory_tables(harnesses: Harnesses) -> MemoryTables:
    """Return the rows of the memory backend."""
    return harnesses.of_class(MemoryHarness).tables


@pytest.fixture
def new_actor(backend: Backend) -> Callable[..., str]:
    """Return a function that stores an actor and returns its id."""

    def create(actor_id: str | None = None) -> str:
        chosen = new_id() if actor_id is None else actor_id
        assert backend.DbActor.DbActor().create(creator="creator@example.com", passphrase="secret", actor_id=chosen)
        return chosen

    return create


@pytest.fixture
def actor_id(new_actor: Callable[..., str]) -> str:
    """Return the id of a stored actor."""
    return new_actor()


@pytest.fixture
def pg(postgres_tables: PostgresTables) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Connect to the session's schema."""
    with postgres_tables.connect() as connection:
        yield connection


@pytest.fixture
def ddb(dynamodb_tables: DynamoDBTables) -> DynamoDBClient:
    """Return the session's client."""
    return dynamodb_tables.client
