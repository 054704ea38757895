"""The sides of live migrations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

from actingweb.db.settings import Settings
from actingweb.migration.live.state import State
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.live import served
from tests.live.sides import TABLES, Sides, sides_of
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def state(postgres_tables: PostgresTables) -> Iterator[State]:
    """Return the state of a migration into the session's schema, whose tables are empty."""
    yield State(Target(Settings.from_environment(postgres_tables.environment).postgresql))
    postgres_tables.wipe()


@pytest.fixture
def mappings() -> Sequence[TableMapping]:
    """Return which tables DynamoDB has. Tests that use few of them override it: each takes much time."""
    return TABLES


@pytest.fixture
def sides(
    state: State,
    mappings: Sequence[TableMapping],
    dynamodb_tables: DynamoDBTables,
    ddb: DynamoDBClient,
    set_env: SetEnv,
) -> Iterator[Sides]:
    """Return two sides of which nothing is prepared. The settings name the tables of DynamoDB."""
    prefix = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}{new_id('')[:6]}"
    environment = {**dynamodb_tables.environment, "AWS_DB_PREFIX": prefix}
    set_env(**environment)
    with sides_of(state, environment, ddb, mappings) as sides:
        yield sides


@pytest.fixture
def filled(state: State) -> Iterator[State]:
    """Return the state of a migration that has something of everything."""
    served.fill(state)
    yield state
    served.drop(state)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    """Serve the status of the migration, which need not exist yet; return the URL."""
    with served.served(state) as url:
        yield url
