"""The text of a `DbConnectionError` says what is wrong, on real servers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from actingweb.db import get_actor, stats
from actingweb.db.exceptions import DbConnectionError
from actingweb.db.registry import Backend
from actingweb.embedded.postgres import PostgresServer
from actingweb.embedded.process import free_port
from tests.conftest import SetEnv
from tests.faults.private_postgres import connect, use

from .conftest import Keeper, Lines

SECRET = "canary-secret"
NO_HOST = "no-such-host.invalid"
NO_CONNECTION = "no connection to the server: "
DYNAMODB = {
    "its name is not found": {"AWS_DB_HOST": f"http://{NO_HOST}:8000"},
    "it refuses connections": {"AWS_DB_HOST": "http://127.0.0.1:{port}"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Start a server that believes one role what it says, and wants a password of the others."""
    with PostgresServer(fsync=False) as running:
        rules = running.directory / "data" / "pg_hba.conf"
        rules.write_text(f"host all nobody 127.0.0.1/32 trust\n{rules.read_text()}")
        with connect(running) as admin:
            admin.execute("SELECT pg_reload_conf()")
        yield running


def refusal(backend: Backend) -> DbConnectionError:
    with pytest.raises(DbConnectionError) as raised:
        get_actor(backend).get("a")
    assert SECRET not in str(raised.value) + str(raised.value.__cause__)
    return raised.value


CASES = {
    "its name is not found": {"PG_DB_HOST": NO_HOST},
    "it refuses connections": {"PG_DB_PORT": "{port}"},
    "the password is wrong": {"PG_DB_PASSWORD": SECRET},
    "it has no database of that name": {"PG_DB_NAME": "missing"},
    "it has no user of that name": {"PG_DB_USER": "nobody"},
    "TLS failed": {"PG_DB_SSLMODE": "require"},
}


@pytest.mark.parametrize("reason", CASES)
def test_which_of_six_things_it_is(
    reason: str, server: PostgresServer, set_env: SetEnv, seen: Keeper, lines: Lines
) -> None:
    changes = {name: value.format(port=free_port()) for name, value in CASES[reason].items()}
    backend = use(server, set_env)
    set_env(**{**server.connection.environment(), "DATABASE_BACKEND": "postgresql", **changes})
    error = refusal(backend)
    assert str(error.reason).startswith(NO_CONNECTION + reason)
    assert seen.others[-1] == "postgresql failed DbConnectionError"
    assert stats(backend)["failed"] == 1
    assert [line for line in lines() if "slow" not in line] == []


def test_of_several_servers_the_last_one_decides(server: PostgresServer, set_env: SetEnv) -> None:
    backend = use(server, set_env)
    facts = server.connection
    set_env(PG_DB_HOST=f"{NO_HOST},{facts.host}", PG_DB_PORT=f"1,{free_port()}")
    assert "it refuses connections" in str(refusal(backend).reason)


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("reason", DYNAMODB)
def test_which_it_is_on_dynamodb(reason: str, backend: Backend, set_env: SetEnv) -> None:
    settings = {name: value.format(port=free_port()) for name, value in DYNAMODB[reason].items()}
    set_env(**settings, AWS_DB_MAX_ATTEMPTS="1")
    found = str(refusal(backend).reason)
    # botocore's session does not tell.
    assert found.startswith("the endpoint cannot be reached")
    assert reason in found or os.environ.get("AWS_DB_TRANSPORT") == "botocore"


@pytest.mark.backends("dynamodb")
def test_a_server_without_tls_is_told_on_dynamodb(backend: Backend, set_env: SetEnv) -> None:
    set_env(AWS_DB_HOST=os.environ["AWS_DB_HOST"].replace("http://", "https://"), AWS_DB_MAX_ATTEMPTS="1")
    assert str(refusal(backend).reason).startswith("TLS failed")
