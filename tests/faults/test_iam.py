"""The IAM policies of `deploy/dynamodb/` allow what the library asks of DynamoDB, and nothing else.

DynamoDB Local checks no permissions; what a policy allows is compared with the requests that are sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from actingweb.db import DbError, get_property
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.registry import Backend, load_backend
from actingweb.db.verify_tables import main as verify
from actingweb.db.verify_tables import required_models
from actingweb.migration.jobs.export import export_tables
from testbed.dynamodb_proxy import Seen, SpoilingProxy, lost, spoiling_proxy
from tests.conftest import SetEnv
from tests.contract.support.calls import Call, ready
from tests.migration.tables import first_table_of_claims, source_of
from tests.support import ddb_table, new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.backends("dynamodb")

Right = tuple[str, str]
"""An action, and the resource on which it is done."""

DIRECTORY = Path(__file__).parents[2] / "deploy" / "dynamodb"
POLICIES = (
    "application",
    "application-creating-tables",
    "export",
    "migrate-plan",
    "migrate-prepare",
    "migrate-sync",
    "migrate-way-back",
)


def policy(name: str) -> list[dict[str, Any]]:
    """Return the statements of a policy."""
    document = json.loads((DIRECTORY / f"iam-policy-{name}.json").read_text())
    assert document["Version"] == "2012-10-17"
    statements: list[dict[str, Any]] = document["Statement"]
    return statements


def allowed(statements: list[dict[str, Any]]) -> set[Right]:
    """Return what statements allow. They name no table by a pattern, since PREFIX_* matches PREFIX_other_* too.

    A stream has the time of its creation in its name, and ListTables is about no table.
    """
    parts = [part for statement in statements for part in statement["Action"] + statement["Resource"]]
    assert not any("*" in part.removesuffix("/stream/*") for part in parts if part != "*")
    assert all(
        statement["Resource"] != ["*"] or statement["Action"] == ["dynamodb:ListTables"] for statement in statements
    )
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {
        (action, resource)
        for statement in statements
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def rights(request: Seen) -> set[Right]:
    """Return the rights that a request needs; a transaction needs those of its parts."""
    body = request.body
    if request.operation == "TransactWriteItems":
        parts = [part for item in body["TransactItems"] for part in item.items()]
        return {(f"dynamodb:{kind}Item", resource(arguments["TableName"])) for kind, arguments in parts}
    action = f"dynamodb:{request.operation}"
    if "RequestItems" in body:
        return {(action, resource(table)) for table in body["RequestItems"]}
    return {(action, resource(body["TableName"], body.get("IndexName")))}


def resource(table: str, index: str | None = None) -> str:
    """Return the name of a table or an index in the policies."""
    suffix = table.removeprefix(os.environ["AWS_DB_PREFIX"])
    assert suffix != table
    arn = f"arn:aws:dynamodb:REGION:ACCOUNT:table/PREFIX{suffix}"
    return f"{arn}/index/{index}" if index else arn


def needed(proxy: SpoilingProxy) -> set[Right]:
    """Return the rights that all requests need."""
    return {right for request in proxy.seen for right in rights(request)}


@contextmanager
def recording(set_env: SetEnv, **settings: str) -> Iterator[SpoilingProxy]:
    """Put a proxy before DynamoDB."""
    host = os.environ["AWS_DB_HOST"]
    with spoiling_proxy(host) as proxy:
        set_env(AWS_DB_HOST=proxy.url, **settings)
        yield proxy
    set_env(AWS_DB_HOST=host)


@pytest.fixture
def elsewhere(backend: Backend, ddb: DynamoDBClient, set_env: SetEnv) -> Iterator[Callable[[], None]]:
    """Return a function that lets the settings name another prefix, under which there is no table yet."""
    session = os.environ["AWS_DB_PREFIX"]

    def move() -> None:
        set_env(AWS_DB_PREFIX=f"{session}x{new_id('')[:8]}")

    yield move
    for name in [name for page in ddb.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        if name.startswith(f"{session}x"):
            ddb.delete_table(TableName=name)


def do_everything(proxy: SpoilingProxy) -> None:
    """Call every public method, once undisturbed and once without an answer to its first request."""
    backend = load_backend("dynamodb")
    for spoiler in (None, lost):
        # Of two holders the index of earlier releases answers the lesser, the look-up table the first.
        one, other = sorted((new_id(), new_id()))
        for actor_id in (one, other):
            assert backend.DbActor.DbActor().create(actor_id=actor_id, creator=f"{actor_id}@example.com")
        calls: list[Call] = [partial(share_a_value, backend, one, other), *ready(backend, one, "mark").values()]
        for call in calls:
            proxy.spoilers.append(spoiler)
            with suppress(DbError):
                call()
            proxy.spoilers.clear()


def share_a_value(backend: Backend, one: str, other: str) -> None:
    """Let two actors hold one value of an indexed property, of whom the second gives it up."""
    value = f"{one}@example.com"
    for actor_id in (one, other):
        assert get_property(backend).set(actor_id, "email", value)
    assert get_property(backend).get_actor_id_from_property("email", value) == one
    assert get_property(backend).set(other, "email", f"{other}@example.com")
    assert get_property(backend).get_actor_id_from_property("email", value.upper()) is None


def test_an_application(backend: Backend, set_env: SetEnv) -> None:
    with recording(set_env, AWS_DB_AUTO_CREATE_TABLES="0") as proxy:
        do_everything(proxy)
        sent = needed(proxy)
    assert sent == allowed(policy("application"))


def test_an_application_in_legacy_mode(elsewhere: Callable[[], None], set_env: SetEnv) -> None:
    elsewhere()
    set_env(USE_PROPERTY_LOOKUP_TABLE="0")
    for model in (*required_models(), *required_models(use_lookup_table=True)):
        ensure_table(model)
    with recording(set_env, AWS_DB_AUTO_CREATE_TABLES="0") as proxy:
        do_everything(proxy)
        sent = needed(proxy)
    assert sent <= allowed(policy("application"))
    assert ("dynamodb:Query", resource(ddb_table("properties"), "property-index")) in sent


def test_an_application_that_creates_its_tables(elsewhere: Callable[[], None], set_env: SetEnv) -> None:
    elsewhere()
    with recording(set_env, DATABASE_BACKEND="dynamodb") as proxy:
        do_everything(proxy)
        assert verify([]) == 0
        sent = needed(proxy)
    assert sent == allowed(policy("application-creating-tables"))


def test_an_export(backend: Backend, ddb: DynamoDBClient, tmp_path: Path, set_env: SetEnv) -> None:
    with first_table_of_claims(ddb, os.environ["AWS_DB_PREFIX"]), recording(set_env) as proxy:
        export_tables(source_of(os.environ), tmp_path / "files")
        sent = needed(proxy)
    assert sent == allowed(policy("export"))


@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_written_as_aws_knows_them(name: str, ddb: DynamoDBClient) -> None:
    actions = {action for action, _ in allowed(policy(name))}
    streams = boto3.client("dynamodbstreams", region_name="eu-north-1")
    models = ddb.meta.service_model, streams.meta.service_model
    known = {f"dynamodb:{operation}" for model in models for operation in model.operation_names}
    assert actions <= known | {"dynamodb:ConditionCheckItem"}
