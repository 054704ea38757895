"""Both both of a live migration."""

from collections.abc import Iterator
from threading import Event

import pytest

from actingweb.db.settings import Settings
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.state import State
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.live.back.both import Both


@pytest.fixture
def both(postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables, set_env: SetEnv) -> Iterator[Both]:
    """Return both both, which are empty; the settings name them."""
    set_env(**postgres_tables.environment, **dynamodb_tables.environment, INDEXED_PROPERTIES="email")
    state = State(Target(Settings.from_environment(postgres_tables.environment).postgresql))
    requests = DynamoDB(Endpoint(None, dynamodb_tables.environment["AWS_DB_HOST"], None, 16), Event())
    yield Both(state, requests, dynamodb_tables.environment["AWS_DB_PREFIX"], dynamodb_tables.connect())
    with state.connect() as connection:
        state.drop(connection)
    postgres_tables.wipe()
    dynamodb_tables.wipe()
