"""Refused connections are mapped independently of the language of the server's messages."""

from __future__ import annotations

import shutil
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from actingweb.db import DbConnectionError, DbError, DbThrottledError, get_actor
from actingweb.db.postgresql import connecting
from actingweb.db.postgresql.connection import close_pool, get_connection
from actingweb.db.registry import Backend
from actingweb.embedded import postgres
from actingweb.embedded.postgres import PostgresServer
from actingweb.embedded.process import EmbeddedServerError, ServerProcess
from tests.conftest import SetEnv
from tests.support import conninfo_of

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

NO_CONNECTION_LEFT = "the server has no connection left"
LOG_IN = "no connection to the server: it rejected the log-in"
NOT_READY = "no connection to the server: it is starting, stopping or recovering"
WRONG_PASSWORD = "no connection to the server: the password is wrong, or there is no such user"
UNREACHABLE = "no connection to the server: check that it is running"
NO_DATABASE = "no connection to the server: it has no database of that name"

MEANINGS: dict[str, tuple[type[DbError], str]] = {
    "53300": (DbThrottledError, NO_CONNECTION_LEFT),
    "57P03": (DbConnectionError, NOT_READY),
    "57P01": (DbConnectionError, NOT_READY),
    "28P01": (DbConnectionError, WRONG_PASSWORD),
    "28000": (DbConnectionError, LOG_IN),
    "3D000": (DbConnectionError, NO_DATABASE),
    "42501": (DbConnectionError, "no connection to the server: the role may not use the database"),
    "55000": (DbConnectionError, "no connection to the server: the database allows none"),
    "53400": (DbConnectionError, UNREACHABLE),
    "XX000": (DbConnectionError, UNREACHABLE),
}


class _Refusing(socketserver.BaseRequestHandler):
    """Answers each log-in with an error in an unknown language."""

    server: _Refusals

    def handle(self) -> None:
        while len(head := self.request.recv(8, 8)) == 8:
            length, code = struct.unpack("!II", head)
            self.request.recv(length - 8, 256)
            if code in (80877103, 80877104):  # SSLRequest, GSSENCRequest
                self.request.sendall(b"N")
                continue
            fields = [b"SFATALE", b"VFATAL", b"C" + self.server.code.encode(), "Mむ:  53300: ∅".encode()]
            body = b"".join(field + b"\0" for field in fields) + b"\0"
            self.request.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)
            return


class _Refusals(socketserver.ThreadingTCPServer):
    daemon_threads = True
    code = "53300"


@contextmanager
def refusing(code: str) -> Iterator[int]:
    """Yield the port of a server that rejects every log-in with this SQLSTATE."""
    with _Refusals(("127.0.0.1", 0), _Refusing) as server:
        server.code = code
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def refusal(backend: Backend) -> DbError:
    with pytest.raises(DbError) as raised:
        get_actor(backend).get("a1")
    return raised.value


@pytest.mark.parametrize("code", MEANINGS)
def test_a_refusal_means_what_its_code_says(code: str, backend: Backend, set_env: SetEnv) -> None:
    error, reason = MEANINGS[code]
    with refusing(code) as port:
        set_env(PG_DB_URL=f"postgresql://someone:hidden@127.0.0.1:{port}/x")
        refused = refusal(backend)
        with pytest.raises(error), get_connection():
            pass
    assert type(refused) is error
    assert str(refused.reason).startswith(reason)
    assert "hidden" not in f"{refused} {refused.__cause__} {refused.__cause__!r}"


def test_of_several_servers_a_full_one_counts(backend: Backend, set_env: SetEnv) -> None:
    """For that is the server that the application would use."""
    with refusing("53300") as port:
        for hosts, ports in (("127.0.0.1,127.0.0.1", f"{port},1"), ("127.0.0.1,127.0.0.1", f"1,{port}")):
            set_env(PG_DB_URL=f"host={hosts} port={ports} user=someone dbname=x")
            assert type(refusal(backend)) is DbThrottledError


def test_a_libpq_that_tells_no_code_is_understood_by_its_words(
    backend: Backend, pg: PgConnection, role: tuple[str, str], set_env: SetEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_set_verbosity", lambda: None)
    user, password = role
    set_env(PG_DB_URL=conninfo_of(pg, user=user, password=password))
    refused = refusal(backend)
    assert "53300" not in str(refused.__cause__)
    assert type(refused) is DbThrottledError
    set_env(PG_DB_URL=conninfo_of(pg))
    assert get_actor(backend).get("a1") is None


def test_errors_of_statements_are_as_short_as_ever(backend: Backend) -> None:
    with pytest.raises(psycopg.errors.SyntaxError) as raised, get_connection() as connection:
        connection.execute("nonsense")
    assert "42601" not in str(raised.value)
    assert "LOCATION" not in str(raised.value)


class _Translated(PostgresServer):
    """A server whose messages are in German."""

    def __init__(self) -> None:
        super().__init__(fsync=False, settings={"lc_messages": "de_DE.utf8", "max_connections": "5"})

    def _prepare(self) -> None:
        locales = self.directory / "locales"
        locales.mkdir()
        command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(locales / "de_DE.utf8")]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise EmbeddedServerError(made.stderr)
        super()._prepare()

    def _make_process(self) -> ServerProcess:
        process = super()._make_process()
        process._environment = {"LOCPATH": str(self.directory / "locales")}
        return process


@pytest.fixture
def german(set_env: SetEnv) -> Iterator[PostgresServer]:
    """Return a server with German messages. Skip where there is none."""
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("no German locale can be made: install Debian's packages locales and libc-bin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "_wheel_directory", lambda: None)
        try:
            server = _Translated()
            server.start()
        except EmbeddedServerError as error:
            pytest.skip(f"no server of the system's, with translations: {error}")
    try:
        yield server
    finally:
        server.stop()


def test_a_full_server_with_german_messages(backend: Backend, german: PostgresServer, set_env: SetEnv) -> None:
    environment = german.connection.environment()
    with _connected(german) as admin:
        with pytest.raises(psycopg.Error, match="existiert nicht"):
            admin.execute("SELECT FROM missing")
        admin.execute("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        admin.execute("CREATE ROLE other LOGIN PASSWORD 'other'")
        admin.execute("REVOKE CONNECT ON DATABASE template1, postgres FROM PUBLIC")
        admin.execute("GRANT CONNECT ON DATABASE postgres TO few")
        cases = [
            ({"PG_DB_USER": "few", "PG_DB_PASSWORD": "few"}, DbThrottledError, NO_CONNECTION_LEFT),
            (
                {"PG_DB_USER": "other", "PG_DB_PASSWORD": "other"},
                DbConnectionError,
                "no connection to the server: the role may not use the database",
            ),
            ({"PG_DB_PASSWORD": "wrong"}, DbConnectionError, WRONG_PASSWORD),
            ({"PG_DB_USER": "nobody"}, DbConnectionError, WRONG_PASSWORD),
            ({"PG_DB_NAME": "missing"}, DbConnectionError, NO_DATABASE),
        ]
        for changes, error, reason in cases:
            set_env(**{**environment, **changes})
            refused = refusal(backend)
            assert type(refused) is error, changes
            assert str(refused.reason).startswith(reason)
        held = _all_connections(german)
        set_env(**environment)
        assert type(refusal(backend)) is DbThrottledError
        for connection in held:
            connection.close()
    close_pool()


def _all_connections(server: PostgresServer) -> list[PgConnection]:
    held = []
    with suppress(psycopg.OperationalError):
        while True:
            held.append(_connected(server))
    return held


def _connected(server: PostgresServer) -> PgConnection:
    facts = server.connection
    return psycopg.connect(
        host=facts.host,
        port=facts.port,
        user=facts.user,
        password=facts.password,
        dbname=facts.dbname,
        autocommit=True,
    )
