"""A fault raises the right error from every method and is never an answer (1.1, 5.1)."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db.exceptions import (
    DbConnectionError,
    DbError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
)
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, failing
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import new_id, require_superuser

from .support.calls import Call, is_read, requesting
from .support.signatures import MODULES

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.aio

Outcomes = dict[str, object]
PgConnection = psycopg.Connection[tuple[Any, ...]]


OPERATIONS = {
    "DbProperty.get": "property read",
    "DbProperty.get_many": "property read",
    "DbProperty.set": "property write",
    "DbProperty.set_many": "property write",
    "DbProperty.delete": "property delete",
    "DbProperty.get_range": "property range read",
    "DbProperty.get_prefix": "property prefix read",
    "DbProperty.get_last_in_range": "property last-in-range read",
    "DbProperty.create_if_not_exists": "property conditional create",
    "DbProperty.set_if_value_equals": "property conditional set",
    "DbProperty.delete_if_value_equals": "property conditional delete",
    "DbProperty.batch_delete": "property batch delete",
    "DbProperty.get_actor_id_from_property": "property lookup read",
}
ENTITY_OF_MODULE = {
    "actor": "actor",
    "property": "property",
    "property_lookup": "property lookup",
    "trust": "trust",
    "peertrustee": "peer trustee",
    "subscription": "subscription",
    "subscription_diff": "subscription diff",
    "subscription_suspension": "subscription suspension",
    "attribute": "attribute",
}
WITHOUT_ACTOR = {
    *("DbActor.get_by_creator", "DbActorList.fetch", "DbActorList.iterate", "DbProperty.get_actor_id_from_property"),
    *("DbPropertyLookup.get", "DbPropertyLookup.get_v1", "DbPropertyLookup.delete", "DbAttribute.delete_expired"),
}


def outcome_of(call: Call) -> object:
    """Return what the call answers or raises."""
    try:
        return call()
    except DbError as error:
        return error


def outcomes(calls: dict[str, Call]) -> Outcomes:
    return {name: outcome_of(call) for name, call in calls.items()}


def others(found: Outcomes, *expected: type[DbError]) -> Outcomes:
    """Return the outcomes that are not errors of exactly these types."""
    return {name: outcome for name, outcome in found.items() if type(outcome) not in expected}


def test_an_unreachable_server_raises_a_connection_error_from_every_method(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    proxy.stop()
    assert others(outcomes(calls), DbConnectionError) == {}


def test_every_error_names_its_operation_and_actor(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    proxy.stop()
    for name, error in outcomes(calls).items():
        method = name.partition(" ")[0]
        assert isinstance(error, DbError)
        assert error.op in _operations_of(method), name
        assert method in WITHOUT_ACTOR or (error.actor_id or "").startswith(actor_id), name


def _operations_of(method: str) -> set[str]:
    entity = ENTITY_OF_MODULE[MODULES[method.partition(".")[0]]]
    general = {f"{entity} {verb}" for verb in ("read", "write", "delete", "list")}
    return {OPERATIONS[method]} if method in OPERATIONS else general


def test_connections_closed_while_idle_are_replaced_unnoticed(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    healthy = outcomes(requesting(backend, _twin(backend)))
    answers: Outcomes = {}
    for name, call in requesting(backend, actor_id).items():
        proxy.hang_up()
        answers[name] = outcome_of(call)
    assert _different(answers, healthy) == {}


def test_a_lost_answer_is_recovered_or_raised_as_unknown_outcome(
    backend: Backend, actor_id: str, proxy: TcpProxy
) -> None:
    """A read is repeated; a write is confirmed or its outcome is unknown, but it is never done or denied twice."""
    healthy = outcomes(requesting(backend, _twin(backend)))
    answers: Outcomes = {}
    for name, call in requesting(backend, actor_id).items():
        backend.DbActor.DbActor().get(actor_id)  # opens a connection
        proxy.losses = 1
        answers[name] = outcome_of(call)
        assert proxy.losses == 0, f"{name} sent nothing"
    different = _different(answers, healthy)
    assert {name: answer for name, answer in different.items() if is_read(name)} == {}
    assert others(different, DbOutcomeUnknownError) == {}


def _twin(backend: Backend) -> str:
    twin = new_id()
    assert backend.DbActor.DbActor().create(twin, "someone", "secret")
    return twin


def _different(answers: Outcomes, healthy: Outcomes) -> Outcomes:
    """Return the answers of another kind than without the fault; ids and sizes differ by nature."""
    return {
        name: answer
        for name, answer in answers.items()
        if type(answer) is not type(healthy[name]) or bool(answer) != bool(healthy[name])
    }


@pytest.mark.parametrize("turn", range(3))
def test_an_increment_is_never_applied_twice(backend: Backend, actor_id: str, proxy: TcpProxy, turn: int) -> None:
    subscription = backend.DbSubscription.DbSubscription()
    assert subscription.create(actor_id, "p", "s")
    proxy.losses = 1
    answer = outcome_of(subscription.increment_seqnr)
    assert answer == 1 or isinstance(answer, DbOutcomeUnknownError)
    stored = backend.DbSubscription.DbSubscription().get(actor_id, "p", "s")
    assert stored["sequence"] == 1


@pytest.mark.backends("dynamodb")
def test_a_silent_server_raises_a_timeout_or_an_unknown_outcome(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    calls = requesting(backend, actor_id)
    set_env(AWS_DB_TIMEOUT="2", AWS_DB_MAX_ATTEMPTS="1", AWS_DB_AUTO_CREATE_TABLES="0")
    proxy.silent = True
    began = time.monotonic()
    # As many as have a connection each, since a call that waits for one in vain has sent nothing.
    with ThreadPoolExecutor(50) as threads:
        found = dict(zip(calls, threads.map(outcome_of, calls.values()), strict=True))
    # The driver's own limit is a minute.
    assert time.monotonic() - began < 50
    assert others({name: outcome for name, outcome in found.items() if is_read(name)}, DbTimeoutError) == {}
    assert others(found, DbTimeoutError, DbOutcomeUnknownError) == {}
    for name in ("DbActor.create", "DbActor.modify", "DbTrust.create", "DbSubscription.increment_seqnr"):
        assert isinstance(found[name], DbOutcomeUnknownError), name


@pytest.mark.backends("postgresql")
def test_an_exhausted_pool_raises_a_timeout_from_every_method(backend: Backend, actor_id: str, set_env: SetEnv) -> None:
    from actingweb.db.postgresql.connection import get_connection

    calls = requesting(backend, actor_id)
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="0.02")
    with get_connection():
        found = outcomes(calls)
    assert others(found, DbTimeoutError) == {}


@pytest.mark.backends("postgresql")
@pytest.mark.parametrize("wrong", [{"PG_DB_PASSWORD": "wrong"}, {"PG_DB_NAME": "absent"}, {"PG_DB_PORT": "1"}])
def test_a_refused_log_in_raises_a_connection_error_at_once(
    wrong: dict[str, str], backend: Backend, set_env: SetEnv
) -> None:
    if os.environ.get("PG_DB_URL") or os.environ.get("DATABASE_URL"):
        pytest.skip("a URL beats the parts that this test changes")
    set_env(**wrong)
    began = time.monotonic()
    found = outcome_of(lambda: backend.DbActor.DbActor().get("a1"))
    assert type(found) is DbConnectionError
    # Half a minute is what a caller waits for a connection.
    assert time.monotonic() - began < 30


@pytest.mark.backends("postgresql")
def test_a_missing_table_raises_a_schema_error_that_names_alembic(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    calls = requesting(backend, actor_id)
    with _renamed(pg):
        found = outcomes(calls)
    assert others(found, DbSchemaError) == {}
    assert all("alembic upgrade head" in str(error) for error in found.values())


@contextmanager
def _renamed(pg: PgConnection) -> Iterator[None]:
    """Take the session's schema away for the `with` block."""
    schema = sql.Identifier(os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"])
    pg.execute(sql.SQL("ALTER SCHEMA {} RENAME TO renamed").format(schema))
    try:
        yield
    finally:
        pg.execute(sql.SQL("ALTER SCHEMA renamed RENAME TO {}").format(schema))


@pytest.mark.backends("dynamodb")
def test_a_missing_table_raises_a_schema_error_that_names_verify_tables(
    backend: Backend, set_env: SetEnv, ddb: "DynamoDBClient"
) -> None:
    prefix = f"{os.environ['AWS_DB_PREFIX']}gone"
    set_env(AWS_DB_PREFIX=prefix)
    calls = requesting(backend, _twin(backend))
    # A v1 table need not exist: asking for it is not a fault.
    del calls["DbPropertyLookup.get_v1"]
    for table in _tables(ddb, prefix):
        ddb.delete_table(TableName=table)
    found = outcomes(calls)
    assert others(found, DbSchemaError) == {}
    assert all("python -m actingweb.db.verify_tables" in str(error) for error in found.values())


def _tables(ddb: "DynamoDBClient", prefix: str) -> list[str]:
    pages = ddb.get_paginator("list_tables").paginate()
    return [name for page in pages for name in page["TableNames"] if name.startswith(prefix)]


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ProvisionedThroughputExceededException", DbThrottledError),
        ("ThrottlingException", DbThrottledError),
        ("RequestLimitExceeded", DbThrottledError),
        ("AccessDeniedException", DbError),
        ("UnrecognizedClientException", DbError),
    ],
)
def test_each_error_code_of_the_service_raises_its_error_class(
    code: str, error: type[DbError], backend: Backend, actor_id: str, request_proxy: SpoilingProxy, set_env: SetEnv
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    # A v1 table need not be readable.
    del calls["DbPropertyLookup.get_v1"]
    request_proxy.always = failing(code)
    assert others(outcomes(calls), error) == {}


@pytest.mark.backends("postgresql")
def test_a_missing_permission_is_a_plain_error(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv
) -> None:
    if os.environ.get("PG_DB_URL") or os.environ.get("DATABASE_URL"):
        pytest.skip("a URL beats the user that this test changes")
    calls = requesting(backend, actor_id)
    with _role_without_rights(pg) as role:
        set_env(PG_DB_USER=role, PG_DB_PASSWORD=role)
        found = outcomes(calls)
        set_env(PG_DB_USER=None)
    assert others(found, DbError) == {}


@contextmanager
def _role_without_rights(pg: PgConnection) -> Iterator[str]:
    require_superuser(pg)
    name = new_id("role")
    schema = sql.Identifier(os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"])
    role = sql.Identifier(name)
    pg.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(name)))
    try:
        pg.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
        yield name
    finally:
        pg.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_a_fault_raises_and_is_not_taken_for_an_answer(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    proxy.stop()
    for name in ("DbProperty.get_actor_id_from_property", "DbTrust.get", "DbTrust.is_token_in_db"):
        assert isinstance(outcome_of(calls[name]), DbError)
    assert isinstance(outcome_of(calls["DbSubscriptionSuspension.is_suspended"]), DbError)


def test_a_failed_attribute_delete_raises(backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    calls = requesting(backend, actor_id)
    proxy.stop()
    for name in ("delete_attr", "delete_attr_conditional", "delete_bucket", "delete_by_chain"):
        assert isinstance(outcome_of(calls[f"DbAttribute.{name}"]), DbError)
