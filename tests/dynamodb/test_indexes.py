"""Tables whose keys or indexes are not those of the models: what calls, first uses and `verify_tables` say of them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db import DbError, DbSchemaError, get_actor, get_actor_list, get_property, get_trust, verify_tables
from actingweb.db import dynamodb as models
from actingweb.db.dynamodb import _ensure
from actingweb.db.dynamodb.models import TableModel
from actingweb.db.registry import Backend, load_backend
from testbed.dynamodb_proxy import Answer, Send, Spoiler, SpoilingProxy, failing
from tests.conftest import SetEnv

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.backends("dynamodb")

BACKFILLING = "Cannot read from backfilling global secondary index: it"
UNKNOWN_WORDS = "ungültig"

Call = Callable[[Backend], object]
READS: dict[str, tuple[type[TableModel], str, Call]] = {
    "creator-index": (models.Actor, "actors", lambda backend: get_actor(backend).get_by_creator("me")),
    "secret-index": (models.Trust, "trusts", lambda backend: get_trust(backend).get("a", token="t")),
    "property-index": (
        models.PropertyLegacy,
        "properties",
        lambda backend: get_property(backend).get_actor_id_from_property("email", "me@example.com"),
    ),
}
every_index = pytest.mark.parametrize("index", READS)


@pytest.fixture
def tables(aside: str, set_env: SetEnv) -> Iterator[str]:
    """Make the tables of legacy mode, where all indexes are needed; return their prefix."""
    set_env(USE_PROPERTY_LOOKUP_TABLE="0")
    for model in verify_tables.required_models():
        model.create_table(wait=True)
    yield aside
    _ensure.reset_ensure_cache()


@pytest.fixture
def legacy(tables: str) -> Backend:
    """Return the backend in legacy mode."""
    return load_backend("dynamodb")


def remake(client: DynamoDBClient, model: type[TableModel], **changes: Any) -> None:
    """Make the model's table anew without its indexes, or as `changes` say."""
    name = model.Meta.table_name
    schema: list[Any] = client.describe_table(TableName=name)["Table"]["KeySchema"]
    client.delete_table(TableName=name)
    client.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    keys = changes.pop("KeySchema", schema)
    definitions = changes.pop("AttributeDefinitions", [])
    defined = {one["AttributeName"] for one in definitions}
    missing = [key["AttributeName"] for key in keys if key["AttributeName"] not in defined]
    definitions += [{"AttributeName": name, "AttributeType": "S"} for name in missing]
    client.create_table(
        TableName=name, KeySchema=keys, AttributeDefinitions=definitions, BillingMode="PAY_PER_REQUEST", **changes
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def index_of(name: str, attribute: str, projection: str = "ALL") -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": projection},
    }


def reported(capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of the command."""
    capsys.readouterr()
    code = verify_tables.main([])
    return code, *capsys.readouterr()


@every_index
def test_a_lost_index_is_named(
    tables: str, legacy: Backend, ddb: DynamoDBClient, capsys: pytest.CaptureFixture[str], index: str
) -> None:
    model, suffix, read = READS[index]
    read(legacy)
    remake(ddb, model)
    with pytest.raises(DbSchemaError) as raised:
        read(legacy)
    assert index in str(raised.value.reason)
    assert index == "property-index" or f"{index} of table {tables}_{suffix}; python -m" in str(raised.value.reason)
    expected = f"NO INDEX  {tables}_{suffix}  {index}\n"
    assert reported(capsys) == (1, "All 8 required tables exist.\n", expected)


@every_index
@pytest.mark.parametrize("message", [BACKFILLING, UNKNOWN_WORDS])
def test_an_index_that_cannot_be_read_is_named_whatever_the_words(
    tables: str, legacy: Backend, proxy: SpoilingProxy, index: str, message: str
) -> None:
    _, suffix, read = READS[index]
    proxy.always = failing("ValidationException", message=message)
    for _ in range(2):
        with pytest.raises(DbSchemaError) as raised:
            read(legacy)
        assert f"{index} of table {tables}_{suffix}; python -m" in str(raised.value.reason)


def test_an_index_that_is_being_made_is_no_absent_fallback(backend: Backend, proxy: SpoilingProxy) -> None:
    """What it will hold is not known, so the look-up cannot say that nobody has the value."""
    prop = get_property(backend)
    for _ in range(2):
        proxy.spoilers.extend([None, None, failing("ValidationException", message=BACKFILLING)])
        with pytest.raises(DbSchemaError, match="property-index of table"):
            prop.get_actor_id_from_property("email", "x@y")
        proxy.spoilers.clear()
        _ensure.reset_ensure_cache()


def changed(change: Callable[[dict[str, Any]], None]) -> Spoiler:
    """Change what the server says of a table with an index."""

    def spoil(send: Send) -> Answer:
        answer = send()
        if send.request.operation != "DescribeTable":
            return answer
        body = answer.json()
        if body.get("Table", {}).get("GlobalSecondaryIndexes"):
            change(body["Table"])
        return Answer(answer.status, json.dumps(body).encode())

    return spoil


def building(table: dict[str, Any]) -> None:
    table["GlobalSecondaryIndexes"][0] |= {"IndexStatus": "CREATING", "Backfilling": True}


def removing(table: dict[str, Any]) -> None:
    table["GlobalSecondaryIndexes"][0]["IndexStatus"] = "DELETING"


def going(table: dict[str, Any]) -> None:
    table["TableStatus"] = "DELETING"


def growing(table: dict[str, Any]) -> None:
    table["TableStatus"] = "UPDATING"
    table["GlobalSecondaryIndexes"][0]["IndexStatus"] = "UPDATING"


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (building, ["INDEX CREATING  {0}_actors  creator-index", "INDEX CREATING  {0}_trusts  secret-index"]),
        (removing, ["INDEX DELETING  {0}_actors  creator-index", "INDEX DELETING  {0}_trusts  secret-index"]),
        (going, ["TABLE DELETING  {0}_actors", "TABLE DELETING  {0}_trusts"]),
        (growing, []),
    ],
)
def test_states(
    backend: Backend,
    proxy: SpoilingProxy,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
    lines: list[str],
) -> None:
    proxy.always = changed(change)
    prefix = os.environ["AWS_DB_PREFIX"]
    expected = [line.format(prefix) for line in lines]
    code, out, err = reported(capsys)
    assert (code, out) == (1 if lines else 0, "All 9 required tables exist.\n")
    assert err.splitlines() == expected


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another hash": (
        {"KeySchema": [{"AttributeName": "actor", "KeyType": "HASH"}]},
        "WRONG KEY  {0}_actors  it is actor (S), needed is id (S)",
    ),
    "a range too many": (
        {
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "name", "KeyType": "RANGE"},
            ]
        },
        "WRONG KEY  {0}_actors  it is id (S), name (S), needed is id (S)",
    ),
    "another type": (
        {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
        },
        "WRONG KEY  {0}_actors  it is id (N), needed is id (S)",
    ),
}
WRONG_INDEX: dict[str, tuple[dict[str, Any], str]] = {
    "another attribute": (
        {
            "AttributeDefinitions": [{"AttributeName": "owner", "AttributeType": "S"}],
            "GlobalSecondaryIndexes": [index_of("creator-index", "owner")],
        },
        "WRONG INDEX  {0}_actors  creator-index: its key is owner (S), needed is creator (S)",
    ),
    "another type": (
        {
            "AttributeDefinitions": [{"AttributeName": "creator", "AttributeType": "B"}],
            "GlobalSecondaryIndexes": [index_of("creator-index", "creator")],
        },
        "WRONG INDEX  {0}_actors  creator-index: its key is creator (B), needed is creator (S)",
    ),
    "keys only": (
        {
            "AttributeDefinitions": [{"AttributeName": "creator", "AttributeType": "S"}],
            "GlobalSecondaryIndexes": [index_of("creator-index", "creator", "KEYS_ONLY")],
        },
        "WRONG INDEX  {0}_actors  creator-index: it does not hold all attributes",
    ),
    "another name": (
        {
            "AttributeDefinitions": [{"AttributeName": "creator", "AttributeType": "S"}],
            "GlobalSecondaryIndexes": [index_of("creator_index", "creator")],
        },
        "NO INDEX  {0}_actors  creator-index",
    ),
}


@pytest.mark.parametrize(("changes", "line"), WRONG.values(), ids=list(WRONG))
def test_a_table_with_other_keys(
    tables: str,
    legacy: Backend,
    ddb: DynamoDBClient,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    line: str,
) -> None:
    remake(ddb, models.Actor, **json.loads(json.dumps(changes)))
    code, _, err = reported(capsys)
    assert (code, err.splitlines()[0]) == (1, line.format(tables))
    for _ in range(2):
        with pytest.raises(DbSchemaError, match=f"table {tables}_actors is not ActingWeb's"):
            get_actor(legacy)


def test_a_table_with_other_keys_that_is_not_looked_at(
    tables: str, legacy: Backend, ddb: DynamoDBClient, set_env: SetEnv
) -> None:
    remake(ddb, models.Actor, KeySchema=[{"AttributeName": "actor", "KeyType": "HASH"}])
    set_env(AWS_DB_AUTO_CREATE_TABLES="0")
    for call in (get_actor(legacy).get, get_actor(legacy).create):
        with pytest.raises(DbError, match=f"table {tables}_actors: python -m actingweb.db.verify_tables"):
            call("a")


@pytest.mark.parametrize(("changes", "line"), WRONG_INDEX.values(), ids=list(WRONG_INDEX))
def test_a_table_with_another_index(
    tables: str,
    legacy: Backend,
    ddb: DynamoDBClient,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    line: str,
) -> None:
    """It is reported, and everything works that does not need it."""
    remake(ddb, models.Actor, **json.loads(json.dumps(changes)))
    assert reported(capsys) == (1, "All 8 required tables exist.\n", line.format(tables) + "\n")
    with caplog.at_level(logging.WARNING):
        assert get_actor(legacy).create("a")
        assert [row["id"] for row in get_actor_list(legacy).fetch()] == ["a"]
    assert [record.getMessage() for record in caplog.records] == [f"table check: {line.format(tables)}"]


def test_a_first_use_asks_no_more_than_before(backend: Backend, proxy: SpoilingProxy, set_env: SetEnv) -> None:
    set_env(AWS_DB_AUTO_CREATE_TABLES="1")
    assert proxy.operations(lambda: get_actor(backend).get("a")) == ["DescribeTable", "GetItem"]


def test_a_missing_right_and_a_missing_table_are_named(backend: Backend, proxy: SpoilingProxy) -> None:
    prefix = os.environ["AWS_DB_PREFIX"]
    denied = "access denied: the IAM policy lacks a permission: "
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: get_actor(backend).get("a"), f"dynamodb:GetItem on table {prefix}_actors"),
        (
            lambda: get_actor(backend).get_by_creator("me"),
            f"dynamodb:Query on creator-index of table {prefix}_actors",
        ),
        (lambda: get_property(backend).set("a", "color", "red"), f"dynamodb:PutItem on table {prefix}_properties"),
        (
            lambda: get_property(backend).set("a", "email", "me@example.com"),
            f"dynamodb:PutItem on table {prefix}_properties or {prefix}_property_lookup_v2",
        ),
    ]
    for call, place in calls:
        proxy.always = failing("AccessDeniedException")
        with pytest.raises(DbError) as raised:
            call()
        assert raised.value.reason == denied + place
        proxy.always = failing("ResourceNotFoundException")
        with pytest.raises(DbSchemaError) as missing:
            call()
        assert str(missing.value.reason).endswith(place.partition(" on ")[2])
