"""How the tables of a test in DynamoDB are emptied."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from actingweb.db.registry import Backend
from testbed.pipeline import Pipeline
from testbed.servers import DynamoDBTables, DynamoDBTarget
from tests.conftest import SetEnv
from tests.dynamodb.wire.servers import CLOSE, ScriptedServer, reply, scripted
from tests.support import new_id

LIST = ("ListTables", {"Limit": 1})
pytestmark = pytest.mark.backends("dynamodb")


@pytest.fixture
def pipeline(dynamodb_server: DynamoDBTarget) -> Iterator[Pipeline]:
    """Return a pipeline to the session's server."""
    with closing(Pipeline(dynamodb_server.environment)) as made:
        yield made


@pytest.fixture
def another_server() -> Iterator[ScriptedServer]:
    """Start a server that refuses the first request of each connection, and closes it."""
    with scripted(lambda _: [reply(status=403), CLOSE]) as server:
        yield server


def settings_of(url: str) -> dict[str, str]:
    """Return the settings that name a server."""
    return {"AWS_DB_HOST": url, "AWS_ACCESS_KEY_ID": "AKTEST", "AWS_DEFAULT_REGION": "eu-north-1"}


def test_each_request_has_its_answer(dynamodb_tables: DynamoDBTables, pipeline: Pipeline) -> None:
    table = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}_actors"
    described, listed, unknown = pipeline.ask([("DescribeTable", {"TableName": table}), LIST, ("Unknown", {})])
    assert described["Table"]["TableName"] == table
    assert len(listed["TableNames"]) == 1
    assert "UnknownOperation" in unknown["__type"]


def test_a_connection_that_the_server_closed_is_replaced(pipeline: Pipeline) -> None:
    answers = pipeline.ask([LIST])
    assert pipeline._connection is not None
    pipeline._connection.shutdown(socket.SHUT_RDWR)
    assert pipeline.ask([LIST]) == answers


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://dynamodb.eu-west-1.amazonaws.com"])
def test_no_server_of_the_kind_is_no_answer(url: str) -> None:
    assert Pipeline(settings_of(url)).ask([LIST]) == []


def test_another_server_is_no_answer(another_server: ScriptedServer) -> None:
    assert Pipeline(settings_of(another_server.url)).ask([LIST, LIST]) == []
    sent = {seen.headers["authorization"].partition("Credential=")[2].partition(",")[0] for seen in another_server.seen}
    assert sent == {"AKTEST/20260101/eu-north-1/dynamodb/aws4_request"}


@pytest.fixture
def tables(backend: Backend, dynamodb_server: DynamoDBTarget, set_env: SetEnv) -> Iterator[DynamoDBTables]:
    """Yield tables that no other test has. The library creates them."""
    prefix = f"{os.environ['AWS_DB_PREFIX']}{new_id('')[:6]}"
    set_env(AWS_DB_PREFIX=prefix)
    made = DynamoDBTables(dynamodb_server, prefix)
    yield made
    made.drop()


@pytest.mark.parametrize("local", [True, False])
def test_tables_with_items_are_emptied(
    local: bool, tables: DynamoDBTables, backend: Backend, another_server: ScriptedServer, new_actor: Callable[..., str]
) -> None:
    if not local:
        tables._pipeline = Pipeline(settings_of(another_server.url))
    for _ in range(2):
        new_actor()
        tables.wipe()
        assert not backend.DbActor.DbActorList().fetch()
    # Of a server that does not say which tables are empty, all are looked at.
    assert len(tables._tables_in_use()) == (0 if local else 1)
