"""The Terraform and CloudFormation files of `deploy/dynamodb/` make the tables that the library makes, with alarms."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.dynamodb.table_check import ttl_enabled
from actingweb.db.verify_tables import main as verify
from actingweb.db.verify_tables import required_models
from testbed.servers import DynamoDBTables
from tests.cli.conftest import doctor_with
from tests.conftest import SetEnv
from tests.supply.packages import ROOT
from tests.support import new_id

from .cloudformation import resources
from .terraform import Module

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DIRECTORY = ROOT / "deploy" / "dynamodb"
TEMPLATE = DIRECTORY / "tables.yaml"
PREFIX = "prod"
TOPIC = "arn:aws:sns:eu-north-1:123456789012:on-call"
TABLE = "AWS::DynamoDB::Table"
ALARM = "AWS::CloudWatch::Alarm"

Facts = dict[str, Any]


@pytest.fixture(scope="module")
def module() -> Module:
    """Return the Terraform files."""
    return Module(DIRECTORY)


def needed() -> dict[str, Facts]:
    """Return what the library needs of each table, by the name without the prefix."""
    return {
        layout.suffix: {
            "key": layout.key_names,
            "attributes": dict.fromkeys([*layout.key_names, *layout.indexes.values()], "S"),
            "indexes": {name: ([attribute], "ALL") for name, attribute in layout.indexes.items()},
            "ttl": layout.ttl,
            "billing": "PAY_PER_REQUEST",
        }
        for layout in required_layouts(use_lookup_table=True)
    }


def of_request(table: Facts) -> Facts:
    """Return the facts of a table as DynamoDB's requests, its descriptions and CloudFormation state them."""
    indexes = table.get("GlobalSecondaryIndexes", ())
    return {
        "key": key_of(table),
        "attributes": {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]},
        "indexes": {one["IndexName"]: (key_of(one), one["Projection"]["ProjectionType"]) for one in indexes},
    }


def key_of(table: Facts) -> list[str]:
    """Return the hash attribute and the range attribute."""
    return [part["AttributeName"] for part in sorted(table["KeySchema"], key=lambda part: str(part["KeyType"]))]


def of_template(prefix: str) -> dict[str, Facts]:
    """Return the properties of each table of the template, by its name without the prefix."""
    found = resources(TEMPLATE, {"Prefix": prefix, "AlarmTopicArn": TOPIC}).values()
    tables = [one["Properties"] for one in found if one["Type"] == TABLE]
    return {table["TableName"].removeprefix(f"{prefix}_"): table for table in tables}


def test_cloudformation_makes_the_tables_of_the_library() -> None:
    assert needed() == {
        name: {
            **of_request(table),
            "ttl": _attribute_of(table.get("TimeToLiveSpecification")),
            "billing": table["BillingMode"],
        }
        for name, table in of_template(PREFIX).items()
    }


def _attribute_of(ttl: Facts | None) -> str | None:
    if ttl is None:
        return None
    assert ttl["Enabled"] is True
    return str(ttl["AttributeName"])


def test_terraform_makes_the_tables_of_the_library(module: Module) -> None:
    made = module.instances("aws_dynamodb_table", "actingweb", module.locals["tables"], prefix=PREFIX)
    assert {name: table["name"] for name, table in made.items()} == {name: f"{PREFIX}_{name}" for name in needed()}
    assert needed() == {name: _of_terraform(table) for name, table in made.items()}
    assert module.resource("aws_dynamodb_table", "actingweb")["for_each"] == "${local.tables}"


def _of_terraform(table: Facts) -> Facts:
    assert [block["enabled"] for block in table["ttl"]] in ([], [True])
    return {
        "key": [name for name in (table["hash_key"], table["range_key"]) if name],
        "attributes": {one["name"]: one["type"] for one in table["attribute"]},
        "indexes": {
            one["name"]: ([one["hash_key"]], one["projection_type"]) for one in table["global_secondary_index"]
        },
        "ttl": next((block["attribute_name"] for block in table["ttl"]), None),
        "billing": table["billing_mode"],
    }


def test_every_table_is_backed_up_and_not_easily_deleted(module: Module) -> None:
    for resource in resources(TEMPLATE, {"Prefix": PREFIX, "AlarmTopicArn": TOPIC}).values():
        if resource["Type"] == TABLE:
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
            assert resource["Properties"]["DeletionProtectionEnabled"] is True
            assert resource["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    table = module.resource("aws_dynamodb_table", "actingweb")
    assert table["deletion_protection_enabled"] is True
    assert table["point_in_time_recovery"] == [{"enabled": True}]
    assert table["lifecycle"] == [
        {"prevent_destroy": True, "ignore_changes": ["stream_enabled", "stream_view_type"]},
    ]


@pytest.fixture
def stack(dynamodb_tables: DynamoDBTables, ddb: DynamoDBClient) -> str:
    """Make the tables of the template on DynamoDB Local and return their prefix; they go with the session's."""
    prefix = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}_{new_id()}"
    request = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "TableName")
    for table in of_template(prefix).values():
        ddb.create_table(**{key: value for key, value in table.items() if key in request})
        if "TimeToLiveSpecification" in table:
            ddb.update_time_to_live(
                TableName=table["TableName"], TimeToLiveSpecification=table["TimeToLiveSpecification"]
            )
    return prefix


def test_the_library_takes_the_tables_of_the_template(
    stack: str, dynamodb_tables: DynamoDBTables, set_env: SetEnv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        **dynamodb_tables.environment,
        "DATABASE_BACKEND": "dynamodb",
        "AWS_DB_PREFIX": stack,
        "AWS_DB_AUTO_CREATE_TABLES": "false",
    }
    set_env(**settings)
    assert verify([]) == 0
    assert capsys.readouterr() == (f"All {len(needed())} required tables exist.\n", "")
    report = doctor_with(tmp_path, settings).report("--backend", "dynamodb")
    assert (report.exit_code, report.stopping()) == (0, [])
    tables = [finding for finding in report.findings if finding["check"].startswith("table ")]
    assert {finding["level"] for finding in tables} == {"ok"}
    assert len(tables) == len(needed())
    assert report.level("time to live") == "ok"


def test_the_tables_of_the_library_and_those_of_the_template_are_described_alike(
    stack: str, dynamodb_tables: DynamoDBTables, set_env: SetEnv, ddb: DynamoDBClient
) -> None:
    own = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}_{new_id()}"
    set_env(**{**dynamodb_tables.environment, "AWS_DB_PREFIX": own})
    for model in required_models(use_lookup_table=True):
        model.create_table(wait=True)
    for layout in required_layouts(use_lookup_table=True):
        tables = [ddb.describe_table(TableName=f"{prefix}_{layout.suffix}")["Table"] for prefix in (own, stack)]
        first, second = map(of_request, tables)  # type: ignore[arg-type]
        assert first == second
        assert ttl_enabled(layout) is (layout.ttl is not None)


def operations() -> set[str]:
    """Return the operations of an application: those that its policy allows, and their transactions."""
    policy = json.loads((DIRECTORY / "iam-policy-application.json").read_text())
    actions = {action.partition(":")[2] for statement in policy["Statement"] for action in statement["Action"]}
    # A right that `TransactWriteItems` needs, which has none of its own.
    return (actions - {"ConditionCheckItem", "DescribeTable"}) | {"TransactWriteItems"}


def test_both_have_the_same_alarms_on_every_table_and_operation(module: Module) -> None:
    each = {
        f"{table}-{metric}": {**alarm, "table": f"{PREFIX}_{table}", "metric": metric}
        for (table, (metric, alarm)) in product(module.locals["tables"], module.locals["alarms"].items())
    }
    terraform = module.instances("aws_cloudwatch_metric_alarm", "table", each, prefix=PREFIX, alarm_topic_arn=TOPIC)
    found = resources(TEMPLATE, {"Prefix": PREFIX, "AlarmTopicArn": TOPIC})
    cloudformation = [one["Properties"] for name, one in found.items() if one["Type"] == ALARM and name != "UserErrors"]
    assert len(terraform) == len(cloudformation) == 3 * len(needed())
    alarms = {alarm["alarm_name"]: _in_the_other_words(alarm) for alarm in terraform.values()}
    assert alarms == {alarm["AlarmName"]: alarm for alarm in cloudformation}


def test_an_alarm_watches_every_operation_of_its_table() -> None:
    found = resources(TEMPLATE, {"Prefix": PREFIX, "AlarmTopicArn": TOPIC}).values()
    for alarm in (one["Properties"] for one in found if "Metrics" in one["Properties"]):
        watched = [_dimensions(query) for query in alarm["Metrics"] if "MetricStat" in query]
        assert {one["Operation"] for one in watched} == operations()
        (table,) = {one["TableName"] for one in watched}
        assert alarm["AlarmName"].startswith(f"{PREFIX}-{table.removeprefix(f'{PREFIX}_')}-")


def _dimensions(query: Facts) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in query["MetricStat"]["Metric"]["Dimensions"]}


def test_both_have_the_same_alarm_on_refused_requests(module: Module) -> None:
    (terraform,) = module.instances(
        "aws_cloudwatch_metric_alarm", "user_errors", {"": {}}, prefix=PREFIX, alarm_topic_arn=TOPIC
    ).values()
    assert (
        _in_the_other_words(terraform)
        == (resources(TEMPLATE, {"Prefix": PREFIX, "AlarmTopicArn": TOPIC})["UserErrors"]["Properties"])
    )


def _in_the_other_words(alarm: Facts) -> Facts:
    """Return an alarm of Terraform as CloudFormation has it."""
    words = {"ok_actions": "OKActions"}
    named = {words.get(key, key.title().replace("_", "")): value for key, value in alarm.items()}
    if "MetricQuery" in named:
        named["Metrics"] = [_query(query) for query in named.pop("MetricQuery")]
    return named


def _query(query: Facts) -> Facts:
    if "metric" not in query:
        return {key.title().replace("_", ""): value for key, value in query.items()}
    (metric,) = query["metric"]
    dimensions = [{"Name": name, "Value": value} for name, value in metric["dimensions"].items()]
    return {
        "Id": query["id"],
        "ReturnData": False,
        "MetricStat": {
            "Metric": {
                "Namespace": metric["namespace"],
                "MetricName": metric["metric_name"],
                "Dimensions": dimensions,
            },
            "Period": metric["period"],
            "Stat": metric["stat"],
        },
    }
