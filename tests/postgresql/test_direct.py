"""Connections for Alembic and the migration tool: the same log-in rules, but no limits on long work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db.postgresql.direct import DirectConnection, connect
from actingweb.db.postgresql.pooled_connection import NoAnswerError
from actingweb.db.postgresql.session import SessionError
from actingweb.db.settings import PostgresSettings, Settings
from testbed.servers import PostgresTarget
from testbed.tcp_proxy import Forward, TcpProxy, tcp_proxy
from tests.support import new_id

SILENCE, CONNECTING = "0.5", "2"
LIMITS = {
    "statement_timeout": "3600001",
    "lock_timeout": "3600002",
    "idle_in_transaction_session_timeout": "3600003",
    "idle_session_timeout": "3600004",
    "transaction_timeout": "3600005",
}
MEANINGS = {
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "quote_all_identifiers": "on",
}
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"

Made = Callable[..., PostgresSettings]


def settings_of(server: PostgresTarget, **changes: str) -> PostgresSettings:
    return Settings.from_environment({**server.environment, **changes}).postgresql


@pytest.fixture
def network(postgres_server: PostgresTarget) -> Iterator[TcpProxy]:
    """Put a network in front of the server."""
    with postgres_server.connect() as connection:
        host, port = connection.info.host, connection.info.port
    with tcp_proxy(host, port) as proxy:
        yield proxy
        proxy.silent = proxy.mute = False
        proxy.hang_up()


@pytest.fixture
def reached(postgres_server: PostgresTarget, network: TcpProxy) -> PostgresSettings:
    """Return how to reach the server over the network."""
    return settings_of(
        postgres_server,
        PG_DB_PORT=str(network.port),
        PG_DB_SSLMODE="disable",
        PG_DB_TIMEOUT=SILENCE,
        PG_CONNECT_TIMEOUT=CONNECTING,
    )


@pytest.fixture
def rescue(network: TcpProxy) -> Iterator[None]:
    """Interrupt a test that would never end, so that it fails."""
    timer = threading.Timer(60, network.hang_up)
    timer.start()
    yield
    timer.cancel()
    timer.join()


@pytest.fixture
def limited(postgres_server: PostgresTarget) -> Iterator[Callable[..., PostgresSettings]]:
    """Return a function that creates a role with these settings and returns the conninfo to log in as it."""
    name, password = new_id("role"), "secret"
    with postgres_server.connect() as admin:
        role = sql.Identifier(name)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        known = {name for (name,) in admin.execute("SELECT name FROM pg_settings")}

        def make(values: dict[str, str], **changes: str) -> PostgresSettings:
            for setting, value in values.items():
                if setting in known:
                    change = sql.SQL("ALTER ROLE {} SET {} = {}")
                    admin.execute(change.format(role, sql.Identifier(setting), sql.Literal(value)))
            return settings_of(postgres_server, PG_DB_USER=name, PG_DB_PASSWORD=password, **changes)

        yield make
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


def in_force(connection: psycopg.Connection[Any], *names: str) -> dict[str, str]:
    return dict(connection.execute(SETTINGS, [list(names)]).fetchall())


def test_the_settings_of_the_role_hold_no_longer(limited: Made) -> None:
    with connect(limited({**LIMITS, **MEANINGS})) as connection:
        assert set(in_force(connection, *LIMITS).values()) == {"0"}
        assert in_force(connection, *MEANINGS) == {
            "standard_conforming_strings": "on",
            "default_transaction_isolation": "read committed",
            "quote_all_identifiers": "off",
        }


def test_behind_a_pooler_they_hold_outside_of_transactions_only(limited: Made) -> None:
    """There the session is shared with other clients."""
    with connect(limited(LIMITS, PG_POOLER="on")) as connection:
        before = in_force(connection, *LIMITS)
        assert "0" not in before.values()
        with connection.transaction():
            connection.execute(connection.lift_timeouts_sql)
            freed = in_force(connection, *LIMITS)
            assert {name for name, value in freed.items() if value != "0"} <= {"idle_session_timeout"}
        assert in_force(connection, *LIMITS) == before


def test_a_statement_may_take_longer_than_the_role_s_may(limited: Made) -> None:
    with connect(limited({"statement_timeout": "1s", "transaction_timeout": "1s"})) as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(1.5)").fetchone() == (1,)


@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize("pooler", ["on", "off"])
def test_a_limit_that_cannot_be_lifted_is_named(
    limited: Made, network: TcpProxy, rescue: None, name: str, pooler: str
) -> None:
    def refuse(forward: Forward) -> bool:
        """Ask the server for a setting that it does not have."""
        assert isinstance(forward, partial)
        (data,) = forward.args
        forward.func(data.replace(f"{name} = '0'".encode(), f"{name[:-1]}x = '0'".encode()))
        return True

    network.spoiler = refuse
    settings = limited({name: "3600001"}, PG_DB_PORT=str(network.port), PG_DB_SSLMODE="disable", PG_POOLER=pooler)
    with pytest.raises(SessionError, match=rf"{name} is .* cannot be changed.*ALTER ROLE") as raised:
        connect(settings)
    assert "secret" not in str(raised.value)


def test_the_host_that_takes_writes_is_used(postgres_server: PostgresTarget, limited: Made) -> None:
    """A first server that takes no writes is skipped, as for the application."""
    with postgres_server.connect() as admin:
        host, port = admin.info.host, admin.info.port
    hosts = {"PG_DB_HOST": f"127.0.0.1,{host}", "PG_CONNECT_TIMEOUT": CONNECTING}
    with connect(settings_of(postgres_server, **hosts, PG_DB_PORT=f"1,{port}")) as connection:
        assert connection.info.port == port
    readers = limited({"default_transaction_read_only": "on"}, **hosts, PG_DB_PORT=f"{port},{port}")
    with pytest.raises(psycopg.OperationalError, match="read-only"):
        connect(readers)


def test_a_server_that_accepts_and_says_nothing(network: TcpProxy, reached: PostgresSettings, rescue: None) -> None:
    network.silent = True
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        connect(reached)


@pytest.mark.parametrize("fault", ["silent", "mute"])
@pytest.mark.parametrize("work", ["short", "long", "copy", "transaction"])
def test_a_server_that_falls_silent(
    network: TcpProxy, reached: PostgresSettings, rescue: None, fault: str, work: str
) -> None:
    with connect(reached) as connection:
        connection.execute("CREATE TEMP TABLE t (a text)")

        def do() -> None:
            if work == "copy":
                with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
                    setattr(network, fault, True)
                    for _ in range(1000):
                        copy.write(b"x" * 100_000 + b"\n")
            elif work == "transaction":
                with connection.transaction():
                    setattr(network, fault, True)
                    connection.execute("SELECT 1")
            else:
                setattr(network, fault, True)
                connection.execute("SELECT 1" if work == "short" else "SELECT pg_sleep(3600)")

        with pytest.raises(NoAnswerError, match="PG_DB_TIMEOUT"):
            do()
        assert connection.closed


@pytest.mark.parametrize("by_socket", [False, True])
def test_a_server_that_answers_others_may_work_in_silence(
    network: TcpProxy, reached: PostgresSettings, pg: psycopg.Connection[Any], by_socket: bool
) -> None:
    row = pg.execute("SHOW unix_socket_directories").fetchone()
    directory = str(row[0]).partition(",")[0] if row else ""
    if by_socket and not directory:
        pytest.skip("the server has no Unix socket")
    settings = reached.replace(host=directory, port=str(pg.info.port)) if by_socket else reached
    with connect(settings) as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(2.5)").fetchone() == (1,)


def test_a_connection_has_the_application_s_parameters(postgres_server: PostgresTarget) -> None:
    settings = settings_of(postgres_server, PG_TCP_USER_TIMEOUT="4", PG_CONNECT_TIMEOUT="7")
    with connect(settings) as connection:
        parameters = connection.info.get_parameters()
    assert {name: parameters[name] for name in ("tcp_user_timeout", "keepalives_idle", "connect_timeout")} == {
        "tcp_user_timeout": "4000",
        "keepalives_idle": "2",
        "connect_timeout": "7",
    }
    assert parameters["client_encoding"] == "UTF8"
    assert isinstance(connection, DirectConnection)
