"""PostgreSQL under a mixed load: sessions and servers that die, stop answering or take no more (issue 5, item 1)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from actingweb.db import get_actor, get_property
from actingweb.db.exceptions import DbError, DbOutcomeUnknownError, DbThrottledError, DbTimeoutError
from actingweb.db.postgresql.connection import close_pool, get_pool
from actingweb.db.registry import Backend
from actingweb.embedded.postgres import PostgresServer
from tests.conftest import SetEnv
from tests.support import PATIENCE, new_id

from .checking import checked
from .conftest import Amount, Figures
from .private_postgres import PgConnection, connect, fill_pool, use, wait_until
from .workload import Load, Verdict

IDLE = 10
MOST_CONNECTIONS = 20
FEW = 3
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'actingweb'"
TIMEOUT = 0.1
LARGE = 20_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Start a server that the tests of this module may ruin."""
    with PostgresServer(settings={"max_connections": str(MOST_CONNECTIONS)}) as running:
        yield running


@pytest.fixture
def own(server: PostgresServer, set_env: SetEnv) -> Backend:
    """Make that server the one of the settings."""
    return use(server, set_env)


@pytest.fixture
def admin(own: Backend, server: PostgresServer) -> Iterator[PgConnection]:
    """Connect as the superuser."""
    with connect(server) as connection:
        yield connection


def test_sessions_ended_at_random(own: Backend, admin: PgConnection, amount: Amount, figures: Figures) -> None:
    """The server says so, and each write is repeated on another connection or was answered before."""
    goal, ended, began = amount(60, 1200), 0, time.monotonic()
    with Load(own) as load:
        load.wait_for(50)
        while ended < goal:
            ended += admin.execute(
                f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS} ORDER BY random() LIMIT 2) AS chosen".encode()
            ).rowcount
            load.wait_for(5)
    checked(load.verdict(), "sessions ended at random", figures, began, faults=ended)


def test_servers_killed_and_started_again(
    own: Backend, server: PostgresServer, amount: Amount, figures: Figures
) -> None:
    """SIGKILL to the server and all its processes, in the middle of everything."""
    kills, began = amount(1, 12), time.monotonic()
    with Load(own) as load:
        for _ in range(kills):
            load.wait_for(100)
            server.kill()
            server.restart()
            load.wait_for(100)
    verdict = load.verdict()
    checked(verdict, "server killed", figures, began, faults=kills, longest_pause_seconds=load.longest_pause())
    assert verdict.unknown + verdict.failed > 0


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_the_first_call_after_a_restart_does_not_wait_for_the_idle_connections(
    end: str, own: Backend, server: PostgresServer, amount: Amount, figures: Figures
) -> None:
    actor_id, prop, slowest = new_id(), get_property(own), 0.0
    assert get_actor(own).create(actor_id=actor_id, creator="creator@example.com")
    restarts = amount(1, 8)
    for number in range(restarts):
        value = str(number)
        assert prop.set(actor_id, "color", value)
        fill_pool(IDLE)
        if end == "killed":
            server.kill()
        server.restart()
        began = time.monotonic()
        # The first call is a read at one restart, a write at the next.
        if number % 2 == (end == "killed"):
            assert prop.get(actor_id, "color") == value
        else:
            assert prop.set(actor_id, "color", "new")
        slowest = max(slowest, time.monotonic() - began)
    name = f"first call after the server was {end}, 10 idle connections"
    figures(name, tried=restarts, faults=restarts, lost=0, doubled=0, wrong=0, slowest_milliseconds=slowest * 1000)
    # What a caller waits for a connection.
    assert slowest < 30


def test_statement_timeouts(
    own: Backend, admin: PgConnection, set_env: SetEnv, amount: Amount, figures: Figures
) -> None:
    """What the server cancels has not happened."""
    set_env(PGOPTIONS=f"-c statement_timeout={TIMEOUT * 1000:g}")
    began, rounds = time.monotonic(), amount(4, 40)
    with Load(own) as load:
        for _ in range(rounds):
            load.wait_for(20)
            with admin.transaction():
                admin.execute("LOCK TABLE properties, subscriptions, actors IN EXCLUSIVE MODE")
                with pytest.raises(DbTimeoutError, match="cancelled"):
                    get_property(own).set("anybody", "color", "red")
                load.wait_for_failures(1)
    set_env(PGOPTIONS=None)
    verdict = load.verdict()
    checked(verdict, "statement_timeout", figures, began, faults=load.failed)
    assert verdict.failed >= rounds


@contextmanager
def crowded(server: PostgresServer, free: int) -> Iterator[Callable[[], None]]:
    """Leave so few of the server's connections until the block ends, or calls what is yielded."""
    with ExitStack() as held:
        others = take_all(server, held)
        for other in others[:free]:
            other.close()
        if free:
            wait_until(lambda: is_free(server))
        yield held.close


def take_all(server: PostgresServer, held: ExitStack) -> list[PgConnection]:
    """Take all connections of the server, also those whose sessions are just ending."""
    others, refusals = list[PgConnection](), 0
    while refusals < 4:
        try:
            others.append(held.enter_context(connect(server)))
        except psycopg.OperationalError:
            refusals += 1
            time.sleep(0.05)
    return others


def is_free(server: PostgresServer) -> bool:
    """Tell whether the server takes a connection."""
    with suppress(psycopg.OperationalError):
        connect(server).close()
        return True
    return False


def test_a_server_without_a_free_connection(own: Backend, server: PostgresServer) -> None:
    with crowded(server, free=0), pytest.raises(DbThrottledError, match="no connection left"):
        get_property(own).set("anybody", "color", "red")
    assert get_property(own).get("anybody", "color") is None


def load_with_too_few_connections(backend: Backend, server: PostgresServer) -> Load:
    """Some get a connection and go on, the others are told; when there are more again, all go on."""
    close_pool()
    with crowded(server, FEW) as leave, Load(backend) as load:
        load.wait_for(100)
        load.wait_for_failures(1)
        leave()
        load.wait_for(100)
        with connect(server) as admin:
            wait_until(lambda: admin.execute(SESSIONS).rowcount > FEW)
    return load


def test_a_server_with_too_few_connections(
    own: Backend, server: PostgresServer, amount: Amount, figures: Figures
) -> None:
    began = time.monotonic()
    loads = [load_with_too_few_connections(own, server) for _ in range(amount(1, 8))]
    verdict = sum((load.verdict() for load in loads), Verdict())
    checked(verdict, "too few connections", figures, began, faults=verdict.failed)


@pytest.mark.parametrize("size", [1, LARGE], ids=["small", "large"])
def test_a_process_of_the_server_that_hangs(size: int, own: Backend, admin: PgConnection, set_env: SetEnv) -> None:
    """A large value fills what the operating system keeps for the server, so the call waits to send it."""
    set_env(PG_DB_TIMEOUT=str(TIMEOUT))
    actor_id = new_id()
    assert get_actor(own).create(actor_id=actor_id, creator="creator@example.com")
    (pid,) = fill_pool(1)
    # A call that never gives up is ended, and fails.
    rescue = threading.Timer(PATIENCE, os.kill, (pid, signal.SIGCONT))
    rescue.start()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(DbOutcomeUnknownError):
            get_property(own).set(actor_id, "color", "x" * size)
        assert rescue.is_alive()
    finally:
        rescue.cancel()
        rescue.join()
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_takes_no_writes(own: Backend, admin: PgConnection) -> None:
    """It may have become a standby: the sessions with it are given up, since another server may take the writes."""
    actor_id, prop = new_id(), get_property(own)
    assert get_actor(own).create(actor_id=actor_id, creator="creator@example.com")
    with read_only(admin):
        fill_pool(IDLE)
        with pytest.raises(DbError, match="accepts no writes"):
            prop.set(actor_id, "color", "red")
        assert get_pool().get_stats()["pool_size"] == 0
        assert prop.get(actor_id, "color") is None
    assert prop.set(actor_id, "color", "red")


@contextmanager
def read_only(admin: PgConnection) -> Iterator[None]:
    """Let the server take no writes in the transactions that begin now, until the block ends."""
    for command in (b"ALTER SYSTEM SET default_transaction_read_only = on", b"SELECT pg_reload_conf()"):
        admin.execute(command)
    try:
        wait_until(lambda: admin.execute("SHOW default_transaction_read_only").fetchone() == ("on",))
        yield
    finally:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("RESET default_transaction_read_only")
        wait_until(lambda: admin.execute("SHOW default_transaction_read_only").fetchone() == ("off",))
