"""`actingweb.db.health` says whether the database answers, and with `ready` whether calls can be served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

import actingweb.db
from actingweb.db import health
from actingweb.db.capabilities import Capability
from actingweb.db.postgresql.connection import get_pool
from actingweb.db.postgresql.pooled_connection import NoAnswerError
from actingweb.db.registry import Backend
from actingweb.db.settings import get_settings
from testbed.dynamodb_proxy import Answer, Send, SpoilingProxy, failing
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import ddb_table, new_id, wait_until

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from testbed.servers import PostgresTables

PgConnection = psycopg.Connection[tuple[Any, ...]]
real_backends = pytest.mark.backends("dynamodb", "postgresql")
on_dynamodb = pytest.mark.backends("dynamodb")
on_postgresql = pytest.mark.backends("postgresql")

CANARY = "Canary7351"
ALWAYS = {"status", "backend", "milliseconds"}
BASELINE = "e5f6a7b8c9d0"
NOWHERE = {
    "AWS_DB_HOST": "http://127.0.0.1:1",
    "AWS_DB_MAX_ATTEMPTS": "1",
    "PG_DB_HOST": "127.0.0.1",
    "PG_DB_PORT": "1",
    "PG_DB_URL": None,
    "DATABASE_URL": None,
}


def told(*, ready: bool = False, config: Any = None) -> dict[str, Any]:
    """Return what `health` returns, having gone through JSON."""
    found = health(config, ready=ready)
    assert found.keys() >= ALWAYS
    assert isinstance(found["milliseconds"], float)
    assert found["milliseconds"] >= 0
    assert ({"error", "reason"} <= found.keys()) == (found["status"] == "error")
    again: dict[str, Any] = json.loads(json.dumps(found))
    return again


@pytest.fixture
def other_schema(backend: Backend, set_env: SetEnv, pg: PgConnection) -> Iterator[str]:
    """Name a schema that does not exist yet."""
    assert backend.database == "postgresql"
    prefix = f"{new_id()[:12]}_"
    set_env(PG_DB_PREFIX=prefix)
    name = get_settings().postgresql.schema
    yield name
    pg.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.mark.parametrize("ready", [False, True])
def test_a_good_database_is_ok(backend: Backend, ready: bool) -> None:
    for config in (None, backend, SimpleNamespace(database=backend.database)):
        found = told(ready=ready, config=config)
        assert (found["status"], found["backend"]) == ("ok", backend.database)


def test_a_backend_without_a_check_says_so(backend: Backend) -> None:
    assert (told().get("checked") is False) == (Capability.HEALTH_CHECK not in backend.capabilities)


def test_the_public_name_is_a_function_beside_the_contract_s() -> None:
    assert callable(actingweb.db.health)
    assert "health" not in actingweb.db.__all__


@real_backends
@pytest.mark.parametrize("ready", [False, True])
def test_no_server(backend: Backend, set_env: SetEnv, ready: bool) -> None:
    set_env(**NOWHERE)
    found = told(ready=ready)
    assert (found["status"], found["error"]) == ("error", "DbConnectionError")
    assert found["backend"] == backend.database
    assert "check" in found["reason"]


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_BACKEND": "none such"},
        {"DATABASE_BACKEND": "postgresql", "PG_DB_PORT": "none"},
        {"DATABASE_BACKEND": "dynamodb", "AWS_DB_TIMEOUT": "none"},
    ],
    ids=["backend", "postgresql", "dynamodb"],
)
def test_a_wrong_setting_is_no_exception(variables: dict[str, str], set_env: SetEnv) -> None:
    set_env(**variables)
    found = told()
    assert found["error"] == "ConfigurationError"
    assert list(variables)[-1] in found["reason"]


def test_a_wrong_configuration_object_is_no_exception() -> None:
    found = told(config=object())
    assert (found["status"], found["backend"], found["error"]) == ("error", None, "AttributeError")


@on_postgresql
def test_a_wrong_password_is_not_shown(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_DB_USER=f"nobody{new_id()}", PG_DB_PASSWORD=CANARY)
    found = told()
    assert found["error"] == "DbConnectionError"
    assert "the password is wrong, or there is no such user" in found["reason"]
    assert CANARY not in str(found)


@on_dynamodb
def test_unknown_texts_of_the_server_are_not_shown(backend: Backend, request_proxy: SpoilingProxy) -> None:
    request_proxy.always = failing("ValidationException", message=CANARY)
    assert told()["error"] == "DbError"
    assert CANARY not in str(told()) + str(told(ready=True))


@on_dynamodb
def test_it_is_one_request_and_creates_nothing(backend: Backend, request_proxy: SpoilingProxy, set_env: SetEnv) -> None:
    assert request_proxy.operations(health) == ["GetItem"]
    set_env(AWS_DB_PREFIX=f"absent{new_id()}")
    assert request_proxy.operations(health) == ["GetItem"]
    assert set(request_proxy.operations(lambda: health(ready=True))) == {"DescribeTable"}


@on_dynamodb
def test_tables_that_are_made_at_first_use_are_named(backend: Backend, set_env: SetEnv) -> None:
    set_env(AWS_DB_PREFIX=f"absent{new_id()}")
    assert told()["missing"] == [ddb_table("actors")]
    found = told(ready=True)
    assert found["status"] == "ok"
    assert {ddb_table("actors"), ddb_table("trusts"), ddb_table("property_lookup_v2")} <= set(found["missing"])


@on_dynamodb
@pytest.mark.parametrize("ready", [False, True])
def test_tables_that_nobody_makes_are_an_error(backend: Backend, set_env: SetEnv, ready: bool) -> None:
    set_env(AWS_DB_PREFIX=f"absent{new_id()}", AWS_DB_AUTO_CREATE_TABLES="false")
    found = told(ready=ready)
    assert found["error"] == "DbSchemaError"
    assert ddb_table("actors") in found["reason"]


@on_dynamodb
def test_a_table_without_its_index_is_alive_and_not_ready(
    backend: Backend, ddb: DynamoDBClient, set_env: SetEnv
) -> None:
    set_env(AWS_DB_PREFIX=f"{ddb_table('x')}{new_id()[:8]}")
    name = ddb_table("actors")
    ddb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        assert told()["status"] == "ok"
        found = told(ready=True)
        assert found["error"] == "DbSchemaError"
        assert f"NO INDEX  {name}  creator-index" in found["reason"]
    finally:
        ddb.delete_table(TableName=name)


@on_dynamodb
def test_a_role_that_may_not_describe_tables_is_ready(backend: Backend, request_proxy: SpoilingProxy) -> None:
    """Existence is found out by reads; what was not looked at is said."""
    request_proxy.always = _denying_descriptions
    found = told(ready=True)
    assert (found["status"], found["missing"]) == ("ok", [])
    assert any("dynamodb:DescribeTable" in text and ddb_table("actors") in text for text in found["unchecked"])


def _denying_descriptions(send: Send) -> Answer | None:
    return failing("AccessDeniedException")(send) if send.request.operation == "DescribeTable" else send()


@on_dynamodb
def test_a_role_that_may_not_read_is_not_alive(backend: Backend, request_proxy: SpoilingProxy) -> None:
    request_proxy.always = failing("AccessDeniedException")
    assert "dynamodb:GetItem" in told()["reason"]


@on_dynamodb
def test_missing_credentials(backend: Backend, set_env: SetEnv) -> None:
    set_env(
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE="/nowhere",
        AWS_SHARED_CREDENTIALS_FILE="/nowhere",
    )
    assert "no AWS credentials were found" in told()["reason"]


@on_postgresql
def test_it_is_alive_without_a_schema_and_not_ready(other_schema: str) -> None:
    assert told()["status"] == "ok"
    found = told(ready=True)
    assert found["error"] == "DbSchemaError"
    assert "the schema is missing: run" in found["reason"]


@on_postgresql
def test_an_older_schema_is_not_ready(other_schema: str) -> None:
    from actingweb.db.postgresql.migrate import upgrade

    upgrade(BASELINE)
    assert told()["status"] == "ok"
    found = told(ready=True)
    assert found["error"] == "DbSchemaError"
    assert BASELINE in found["reason"]


@on_postgresql
def test_a_schema_without_one_of_its_tables_is_not_ready(other_schema: str, pg: PgConnection) -> None:
    from actingweb.db.postgresql.migrate import upgrade

    upgrade()
    assert told(ready=True)["status"] == "ok"
    pg.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(other_schema, "trusts")))
    assert "a table or column is missing" in told(ready=True)["reason"]


@on_postgresql
def test_a_server_that_takes_no_writes_is_named(backend: Backend, postgres_tables: PostgresTables) -> None:
    assert told(ready=True)["read_only"] is False
    connection = get_pool().getconn()
    connection.execute("SET default_transaction_read_only = on")
    get_pool().putconn(connection)
    found = told(ready=True)
    assert (found["status"], found["read_only"]) == ("ok", True)


@on_postgresql
@pytest.mark.parametrize("ready", [False, True])
def test_a_lost_connection_is_replaced(backend: Backend, pg: PgConnection, ready: bool) -> None:
    assert told()["status"] == "ok"
    pool = get_pool()
    held = [pool.getconn() for _ in range(3)]
    sessions = [connection.info.backend_pid for connection in held]
    for connection in held:
        pool.putconn(connection)
    pg.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [sessions])
    left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    wait_until(lambda: pg.execute(left, [sessions]).fetchone() == (0,))
    assert told(ready=ready)["status"] == "ok"


@on_postgresql
def test_a_crowded_pool_is_an_error(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="0.1")
    connection = get_pool().getconn()
    found = told()
    get_pool().putconn(connection)
    assert found["error"] == "DbTimeoutError"
    assert "PG_POOL_TIMEOUT" in found["reason"]


@on_postgresql
@pytest.mark.parametrize("ready", [False, True])
def test_a_server_that_falls_silent_is_not_waited_for(
    backend: Backend, proxy: TcpProxy, set_env: SetEnv, ready: bool
) -> None:
    set_env(PG_DB_TIMEOUT="0.5")
    assert told(ready=True)["status"] == "ok"
    proxy.mute = True
    found = told(ready=ready)
    assert found["error"] == "DbTimeoutError"
    assert "PG_DB_TIMEOUT" in found["reason"]


@on_postgresql
def test_no_statement_of_a_pooled_connection_waits_for_ever(backend: Backend, set_env: SetEnv) -> None:
    """Not those about the schema either, which go another way than those of calls."""
    set_env(PG_DB_TIMEOUT="0.2")
    connection = get_pool().getconn()
    try:
        with pytest.raises(NoAnswerError):
            connection.execute("SELECT pg_sleep(30)")
        assert connection.closed
    finally:
        get_pool().putconn(connection)
    assert told()["status"] == "ok"


@on_postgresql
def test_a_lost_answer_is_asked_for_again(backend: Backend, proxy: TcpProxy) -> None:
    assert told()["status"] == "ok"
    proxy.losses = 1
    assert told()["status"] == "ok"
    assert proxy.losses == 0
