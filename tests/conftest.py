"""Fixtures for tests on real databases.

Each test starts without any setting of `actingweb.db` in the environment and with empty tables.

* `postgres_server`, `dynamodb_server` (session): a `PostgresTarget` or `DynamoDBTarget`, which has `environment`, the
  settings that name the server, and `connect()`. Servers named by `PG_DB_HOST`, `PG_DB_URL`, `DATABASE_URL` or
  `AWS_DB_HOST` when the session starts are used and left running; otherwise the session starts its own.
* `backend`: runs the test once for each of "dynamodb", "postgresql" and "memory", or only for those named by
  `@pytest.mark.backends("dynamodb")`. Sets the environment and yields `actingweb.db.load_backend(name)`.
* `new_actor`: a function `(actor_id=None) -> str` that stores an actor on `backend`; `actor_id`: one such actor's id.
* `pg`: a psycopg autocommit connection with the session's schema as search path, for raw SQL.
* `ddb`: a boto3 client for raw requests; `tests.support.ddb_table(suffix)` names a table.
* `set_env`: `set_env(NAME="value", OTHER=None)` sets or unsets variables for the test, forgetting settings, pool and
  known tables now and after the test. Another `AWS_DB_PREFIX` should begin with the session's, so that its tables are
  cleaned up too.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import pytest

from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.db.registry import Backend, load_backend
from actingweb.db.settings import reset_settings
from testbed.servers import (
    DynamoDBTables,
    DynamoDBTarget,
    MemoryTables,
    PostgresTables,
    PostgresTarget,
    Tables,
    distribute,
    dynamodb_target,
    postgres_target,
)
from testbed.threads import threads_left
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytest_plugins = ["tests.selection", "tests.skips"]

_TABLES = {"dynamodb": "dynamodb_tables", "postgresql": "postgres_tables", "memory": "memory_tables"}

_ORIGINAL_ENVIRONMENT = dict(os.environ)
_SETTINGS = ("DATABASE_BACKEND", "DATABASE_URL", "USE_PROPERTY_LOOKUP_TABLE", "INDEXED_PROPERTIES")
_SETTING_PREFIXES = ("AWS_", "PG_")
_SESSION = new_id("")[:8]
# A schema name that has to be quoted.
_POSTGRES_PREFIX = f"Test-{_SESSION}_"
_DYNAMODB_PREFIX = f"test{_SESSION}"


class SetEnv(Protocol):
    """Set variables to texts, or unset them with None, until the test ends."""

    def __call__(self, **variables: str | None) -> None: ...


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `backend` on all backends or on those of its `backends` mark."""
    if "backend" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("backends")
        metafunc.parametrize("backend", tuple(_TABLES) if mark is None else mark.args, indirect=True)


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
        _unset_settings(patch)
        _forget_settings()
        yield patch
    _forget_settings()


@pytest.fixture
def set_env(environment: pytest.MonkeyPatch) -> Iterator[SetEnv]:
    """Change settings for the test."""

    def change(**variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                environment.delenv(name, raising=False)
            else:
                environment.setenv(name, value)
        _forget_connections()

    yield change
    _forget_connections()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresTarget]:
    """Name the session's PostgreSQL server."""
    with postgres_target(_ORIGINAL_ENVIRONMENT) as target:
        yield target


@pytest.fixture(scope="session")
def dynamodb_server() -> Iterator[DynamoDBTarget]:
    """Name the session's DynamoDB server."""
    with dynamodb_target(_ORIGINAL_ENVIRONMENT) as target:
        yield target


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: PostgresTarget) -> Iterator[PostgresTables]:
    """Migrate the session's schema, remove it and close the pool at the end."""
    with _settings({**postgres_server.environment, "PG_DB_PREFIX": _POSTGRES_PREFIX}):
        migrate()
    distribute(postgres_server, f"{_POSTGRES_PREFIX}public", _ORIGINAL_ENVIRONMENT)
    tables = PostgresTables(postgres_server, _POSTGRES_PREFIX, "public")
    yield tables
    _forget_connections()
    tables.drop()


@pytest.fixture(scope="session")
def dynamodb_tables(dynamodb_server: DynamoDBTarget) -> Iterator[DynamoDBTables]:
    """Create the session's tables, remove them at the end."""
    from actingweb.db.dynamodb._ensure import ensure_table
    from actingweb.db.verify_tables import required_models

    tables = DynamoDBTables(dynamodb_server, _DYNAMODB_PREFIX)
    with _settings(tables.environment):
        for model in required_models():
            ensure_table(model)
    yield tables
    tables.drop()


@pytest.fixture(scope="session")
def memory_tables() -> MemoryTables:
    """Return the rows of the memory backend."""
    return MemoryTables()


@pytest.fixture
def backend(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Yield `load_backend(name)` with empty tables, for each backend in turn."""
    tables: Tables = request.getfixturevalue(_TABLES[request.param])
    for name, value in tables.environment.items():
        environment.setenv(name, value)
    environment.setenv("DATABASE_BACKEND", request.param)
    reset_settings()
    yield load_backend(request.param)
    tables.wipe()


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
def ddb(dynamodb_tables: DynamoDBTables) -> Iterator[DynamoDBClient]:
    """Make a client for the session's server."""
    client = dynamodb_tables.connect()
    yield client
    client.close()


@contextmanager
def _settings(variables: Mapping[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _unset_settings(patch)
        for name, value in variables.items():
            patch.setenv(name, value)
        reset_settings()
        yield
    reset_settings()


def _unset_settings(patch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name in _SETTINGS or name.startswith(_SETTING_PREFIXES):
            patch.delenv(name)


def _forget_settings() -> None:
    reset_settings()
    tables = sys.modules.get("actingweb.db.dynamodb.tables")
    if tables is not None:
        tables.forget_names()


def _forget_connections() -> None:
    # A backend that no test has used yet is not loaded for this.
    connection = sys.modules.get("actingweb.db.postgresql.connection")
    if connection is not None:
        connection.close_pool()
    ensure = sys.modules.get("actingweb.db.dynamodb._ensure")
    if ensure is not None:
        ensure.reset_ensure_cache()
    reset_settings()
