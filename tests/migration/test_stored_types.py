"""Attributes of another type than the layout's: PostgreSQL answers what DynamoDB answered, or the row is rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db import DbError
from actingweb.db.records import SubscriptionRecord
from actingweb.db.registry import Backend, load_backend
from actingweb.migration.documents import Document, document_of
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.dynamodb.foreign import CASES, ODD, create_tables
from tests.migration.loads import ACTOR, load, rejects_of, stored, write_input
from tests.migration.tables import source_of
from tests.migration.validation import validate, validate_live
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_FILES = {"subscriptiondiffs": "subscription_diffs"}
_OF_ALL = ("list", "iterate")
"""Calls that show the actors of all cases."""

SUBSCRIPTION: Document = {"id": "a1", "peer_sub_id": "p:s", "peerid": "p", "subid": "s"}
ATTRIBUTE: Document = {"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n"}


@pytest.fixture
def environment_of_both(
    dynamodb_tables: DynamoDBTables, postgres_tables: PostgresTables, ddb: DynamoDBClient, set_env: SetEnv
) -> Iterator[dict[str, str]]:
    """Use tables without indexes, and the session's schema; return the settings."""
    prefix = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}x{new_id('')[:8]}"
    environment = {**dynamodb_tables.environment, **postgres_tables.environment, "AWS_DB_PREFIX": prefix}
    set_env(**environment, AWS_DB_AUTO_CREATE_TABLES="0", INDEXED_PROPERTIES="email")
    create_tables(ddb, prefix)
    yield environment
    for name in [name for page in ddb.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        if name.startswith(prefix):
            ddb.delete_table(TableName=name)


def answers(backend: Backend, table: str, actor_id: str) -> dict[str, Any] | str:
    """Return what all calls answer, or the reason of the first one that raises."""
    reads = ODD[table].reads.items()
    try:
        return {name: read(backend, actor_id) for name, read in reads if table != "actors" or name not in _OF_ALL}
    except DbError as error:
        return str(error.reason)


def test_every_column_of_every_type(
    target: Target, tmp_path: Path, ddb: DynamoDBClient, environment_of_both: dict[str, str]
) -> None:
    prefix = environment_of_both["AWS_DB_PREFIX"]
    actors = {"-".join(case): case for case in CASES}
    for actor_id, (table, column, sample) in actors.items():
        if table != "actors":
            ddb.put_item(TableName=f"{prefix}_actors", Item={"id": {"S": actor_id}, "passphrase": {"S": "p"}})
        ddb.put_item(TableName=f"{prefix}_{table}", Item=ODD[table].stored(actor_id, column, sample))
    before = {actor_id: answers(load_backend("dynamodb"), case[0], actor_id) for actor_id, case in actors.items()}
    refused = {actor_id for actor_id, (table, *odd) in actors.items() if not ODD[table].of_layout(actor_id, *odd)}
    assert {actor_id for actor_id, answer in before.items() if isinstance(answer, str)} == refused

    directory = tmp_path / "export"
    export_tables(source_of(environment_of_both), directory)
    assert load(target, directory).rejected == len(refused)

    reasons = {
        reject["document"]["id"]: reject["reason"]
        for table in ODD
        for reject in rejects_of(directory, _FILES.get(table, table))
    }
    assert reasons.keys() == refused
    for actor_id, answer in before.items():
        if isinstance(answer, str):
            assert answer in reasons[actor_id]
        else:
            assert answers(load_backend("postgresql"), actors[actor_id][0], actor_id) == answer
    for result in (
        validate(target, directory),
        validate_live(target, environment_of_both, tmp_path, rejects=directory / "rejects"),
    ):
        assert result.differences == result.rejected == len(refused)
    assert not [row for row in stored(target)["attributes"] if '{"S"' in json.dumps(row[3])]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"M": {"a": {"S": "x"}, "n": {"N": "1.5"}}}, {"a": "x", "n": 1.5}),
        ({"L": [{"M": {"S": {"S": "x"}}}, {"L": []}]}, [{"S": "x"}, []]),
        ({"M": {}}, {}),
        ({"N": "1E+2"}, 100),
        ({"N": "0.1"}, 0.1),
        ({"S": '{"a": 1}'}, {"a": 1}),
        # Written by hand: objects that only look like DynamoDB's notation.
        ({"a": {"S": "x"}}, {"a": {"S": "x"}}),
        ({"N": 5}, {"N": 5}),
        ({"M": {"a": 1}}, {"M": {"a": 1}}),
    ],
)
def test_data_in_a_file(target: Target, tmp_path: Path, data: object, expected: object) -> None:
    documents = {"actors": [ACTOR], "attributes": [ATTRIBUTE | {"data": data}]}
    load(target, write_input(tmp_path, documents))
    assert stored(target)["attributes"][0][3] == expected
    assert validate(target, tmp_path).differences == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"SS": ["x"]}, "data: the stored attribute data has type SS, which is not a JSON value"),
        ({"M": {"a": {"B": "eA=="}}}, "data: the stored attribute data holds type B, which is not a JSON value"),
        ({"S": "x"}, "data: data is not JSON that PostgreSQL can hold"),
        ({"M": {"a": {"S": "\x00"}}}, "data: data contains U+0000"),
    ],
)
def test_data_in_a_file_that_is_no_json(target: Target, tmp_path: Path, data: object, reason: str) -> None:
    documents = {"actors": [ACTOR], "attributes": [ATTRIBUTE | {"data": data}]}
    assert load(target, write_input(tmp_path, documents)).counts["attributes"] == Counts(1, 0, 0, 1)
    assert rejects_of(tmp_path, "attributes")[0]["reason"].startswith(reason)


@pytest.mark.parametrize("seqnr", ["7", "7.0", 7.0, {"N": "7E0"}, {"S": " 7 "}])
@pytest.mark.parametrize("callback", ["true", 1, {"BOOL": True}])
def test_other_columns_in_a_file(target: Target, tmp_path: Path, seqnr: object, callback: object) -> None:
    odd = SUBSCRIPTION | {"seqnr": seqnr, "callback": callback, "target": {"S": "t"}}
    plain = SUBSCRIPTION | {"peer_sub_id": "p:t", "subid": "t"}
    load(target, write_input(tmp_path, {"actors": [ACTOR], "subscriptions": [odd, plain]}))
    unset = dict.fromkeys(SubscriptionRecord.fields) | {"id": "a1", "peerid": "p"}
    assert [SubscriptionRecord.make(row).asdict() for row in stored(target)["subscriptions"]] == [
        unset | {"subid": "s", "target": "t", "seqnr": 7, "callback": True},
        unset | {"subid": "t", "seqnr": 0, "callback": False},
    ]
    assert validate(target, tmp_path).differences == 0


def test_a_reject_with_a_number_as_text_in_its_key_is_known(target: Target, tmp_path: Path) -> None:
    diff: Document = {"id": "nobody", "subid_seqnr": "s:7", "subid": "s", "seqnr": "7", "diff": ""}
    diff["timestamp"] = "2024-01-02T03:04:05Z"
    load(target, write_input(tmp_path, {"actors": [ACTOR], "subscription_diffs": [diff]}))
    result = validate(target, tmp_path)
    assert result.differences == result.rejected == 1


def test_a_document_keeps_what_is_no_json() -> None:
    item: dict[str, dict[str, Any]] = {"data": {"SS": ["x"]}, "seqnr": {"N": "1E+2"}}
    assert document_of(item) == {"data": {"SS": ["x"]}, "seqnr": {"N": "1E+2"}}
