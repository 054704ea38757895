"""Both sides of a live migration."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING

import pytest

from actingweb.db.settings import Settings
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.state import State
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.live.back.both import Both

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def both(
    postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables, ddb: DynamoDBClient, set_env: SetEnv
) -> Iterator[Both]:
    """Return both sides, which are empty; the settings name them. The engine creates the tables of DynamoDB."""
    prefix = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}back"
    environment = {**dynamodb_tables.environment, "AWS_DB_PREFIX": prefix}
    set_env(**postgres_tables.environment, **environment, INDEXED_PROPERTIES="email")
    state = State(Target(Settings.from_environment(postgres_tables.environment).postgresql))
    requests = DynamoDB(Endpoint(None, dynamodb_tables.environment["AWS_DB_HOST"], None, 16), Event())
    made = Both(state, requests, prefix, ddb)
    yield made
    for worker in made.opened:
        worker.close()
    with state.connect() as connection:
        state.drop(connection)
    postgres_tables.wipe()
    dynamodb_tables.wipe()


@pytest.fixture
def ready(both: Both) -> Both:
    """Return both sides with tables and triggers, and without marks. PostgreSQL owns everything."""
    both.prepare()
    return both
