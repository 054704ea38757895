"""`migrate plan`: what it finds on both sides, what it estimates, and that it writes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.migration.errors import ExitCode
from actingweb.migration.target.connection import Target
from testbed.dynamodb_proxy import spoiling_proxy
from tests.migration.cli_tool import Tool
from tests.support import ddb_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("deployment")


@pytest.fixture
def stored(deployment: None, ddb: DynamoDBClient) -> None:
    """Store two actors, and rows of every kind that deserves a finding."""
    for actor in ("a", "b"):
        put(ddb, "actors", id=actor, creator="c", passphrase="secret-canary")
        put(ddb, "properties", id=actor, name="email", value="both@example.com")
    put(ddb, "properties", id="a", name="nul", value="canary\x00")
    put(ddb, "properties", id="nobody", name="n", value="v")
    put(ddb, "properties", id="a", name="strange", value="v", colour="canary")


def put(ddb: DynamoDBClient, table: str, **attributes: str) -> None:
    """Store an item of texts."""
    ddb.put_item(TableName=ddb_table(table), Item={name: {"S": value} for name, value in attributes.items()})


def planned(tool: Tool, *options: str) -> dict[str, Any]:
    """Run the command and return what it prints as JSON."""
    run = tool.run("plan", "--json", *options)
    assert not run.stderr, run.stderr
    summary: dict[str, Any] = json.loads(run.stdout)
    assert summary["exit_code"] == run.returncode
    return summary


def texts(summary: dict[str, Any], check: str, level: str) -> list[str]:
    """Return the texts of the findings of a check that have this level."""
    return [found["text"] for found in summary["findings"] if found["check"] == check and found["level"] == level]


@pytest.mark.usefixtures("stored")
class TestContent:
    """What the sample shows."""

    def test_rows_that_cannot_be_moved_as_they_are(self, tool: Tool) -> None:
        summary = planned(tool.having(INDEXED_PROPERTIES="email"))
        assert summary["exit_code"] == ExitCode.OK
        assert texts(summary, "content of properties", "warning") == [
            "1 of 5 rows cannot be held by PostgreSQL: value contains U+0000 (1)",
            "1 of 5 rows without their actor",
            "1 of 5 rows with 'colour', for which PostgreSQL has no column",
            "1 values of indexed properties with several holders, in 5 rows",
        ]
        assert texts(summary, "content of actors", "ok") == ["each of 2 rows can be moved"]

    def test_no_stored_value_is_shown(self, tool: Tool) -> None:
        run = tool.run("plan")
        assert "canary" not in run.stdout + run.stderr
        assert "example.com" not in run.stdout + run.stderr

    def test_the_estimate_of_a_sample_is_near_the_whole(self, tool: Tool, ddb: DynamoDBClient) -> None:
        table = ddb_table("properties")
        for number in range(400):
            put(ddb, "properties", id=f"a{number % 50}", name=f"n{number}", value="x" * 1500)
        units = ddb.scan(TableName=table, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
        whole = float(units["ConsumedCapacity"]["CapacityUnits"])
        found = planned(tool, "--sample-rows", "64")["tables"]["properties"]
        assert not found["whole"]
        assert found["sampled"] <= 64
        assert found["read_units"] == pytest.approx(whole, rel=0.2)


class TestSides:
    """What is found out about the servers."""

    def test_streams_and_capacity(self, tool: Tool) -> None:
        summary = planned(tool, "--rcu", "100")
        assert texts(summary, f"stream of {ddb_table('actors')}", "warning") == ["off"]
        assert texts(summary, "clock", "ok")

    def test_only_attempts_that_change_nothing_are_sent(self, tool: Tool, ddb: DynamoDBClient) -> None:
        with spoiling_proxy(tool.environment["AWS_DB_HOST"]) as proxy:
            planned(tool.having(AWS_DB_HOST=proxy.url), "--way-back")
            sent = list(proxy.seen)
        writes = [seen.body for seen in sent if seen.operation in ("UpdateItem", "DeleteItem")]
        assert writes
        assert all(body["ConditionExpression"] == "attribute_exists(#h)" for body in writes)
        assert {seen.operation for seen in sent} <= {
            *("DescribeTable", "DescribeTimeToLive", "ListTables", "Scan", "GetItem", "BatchGetItem"),
            *("UpdateItem", "DeleteItem"),
        }
        assert ddb.scan(TableName=ddb_table("actors"))["Count"] == 0

    def test_a_role_that_may_not_create_the_schema_of_the_migration(self, tool: Tool, target: Target) -> None:
        with target.connect() as connection:
            connection.execute("CREATE ROLE plan_reader LOGIN PASSWORD 'plan'")
            connection.execute(target.sql("GRANT USAGE ON SCHEMA {schema} TO plan_reader"))
            connection.execute(target.sql("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO plan_reader"))
        try:
            summary = planned(tool.having(PG_DB_USER="plan_reader", PG_DB_PASSWORD="plan"))
        finally:
            with target.connect() as connection:
                connection.execute("DROP OWNED BY plan_reader; DROP ROLE plan_reader")
        assert summary["exit_code"] == ExitCode.TARGET
        stops = texts(summary, "rights", "stops you")
        assert any("plan_reader lacks CREATE" in text for text in stops)
        assert any("INSERT" in text and "properties" in text for text in stops)

    def test_what_cannot_be_reached(self, tool: Tool) -> None:
        summary = planned(tool.having(AWS_DB_HOST="http://127.0.0.1:9", PG_DB_PORT="9"))
        assert summary["exit_code"] == ExitCode.SOURCE
        assert {found["side"] for found in summary["findings"] if found["level"] == "stops you"} == {
            "dynamodb",
            "postgresql",
        }
