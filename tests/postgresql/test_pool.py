"""The pool: growth, failures, other processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from psycopg_pool import ConnectionPool, PoolClosed

from actingweb.db import get_actor
from actingweb.db.exceptions import (
    ConfigurationError,
    DbConnectionError,
    DbError,
    DbThrottledError,
    DbTimeoutError,
)
from actingweb.db.postgresql import connection
from actingweb.db.postgresql.connection import close_pool, get_connection, get_pool
from actingweb.db.postgresql.password import set_password_source
from actingweb.db.postgresql.pool import Pool
from actingweb.db.registry import Backend
from actingweb.db.settings import get_settings
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.support import PATIENCE, conninfo_of, race, wait_until

from .conftest import PgConnection, end_session

pytestmark = pytest.mark.backends("postgresql")

POOL_TIMEOUT = 30.0
"""Seconds that a caller waits for a connection, unless a test says otherwise."""


def read(backend: Backend) -> object:
    return get_actor(backend).get("a1")


def fault_of(call: Callable[[], object]) -> type[DbError]:
    with pytest.raises(DbError) as raised:
        call()
    return type(raised.value)


def size() -> int:
    return get_pool().get_stats()["pool_size"]


def test_the_pool_is_one_and_has_the_sizes_set(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="3", PG_POOL_MAX_SIZE="4", PG_POOL_TIMEOUT="7.5")
    pools = race(8, get_pool)
    assert len(set(map(id, pools))) == 1
    assert isinstance(pools[0], ConnectionPool)
    assert (pools[0].min_size, pools[0].max_size, pools[0].timeout) == (3, 4, 7.5)


def test_connections_are_made_when_needed_and_kept(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MAX_SIZE="3")
    assert size() == 0
    read(backend)
    read(backend)
    assert size() == 1
    with get_connection(), get_connection(), get_connection():
        assert size() == 3
    read(backend)
    assert size() == 3


def threads_of(pool: Pool) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(f"{pool.name}-")]


def test_there_are_no_threads_before_they_have_something_to_do(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="2", PG_POOL_MAX_SIZE="3")
    with get_connection(), get_connection():
        pass
    read(backend)
    pool = get_pool()
    assert threads_of(pool) == []
    with get_connection(), get_connection(), get_connection():
        assert len(threads_of(pool)) == 2
    close_pool()
    assert threads_of(pool) == []


def test_a_closed_pool_starts_no_threads(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="3")
    pool = get_pool()
    read(backend)
    close_pool()
    pool.check()
    assert threads_of(pool) == []


def test_a_connection_opened_while_the_pool_is_closed_starts_no_threads(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="0")
    password = get_settings().postgresql.password

    def close_meanwhile() -> str:
        close_pool()
        return password

    pool = get_pool()
    set_password_source(close_meanwhile)
    try:
        held = pool.getconn()
    finally:
        set_password_source(None)
    assert threads_of(pool) == []
    pool.putconn(held)
    assert held.closed


def test_connections_that_nobody_needs_for_long_are_closed_but_for_the_fewest(
    backend: Backend, set_env: SetEnv
) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="3")
    get_pool().max_idle = 0.02
    with get_connection(), get_connection(), get_connection():
        assert size() == 3
    wait_until(lambda: size() <= 1)
    time.sleep(0.2)
    assert size() == 1


def test_a_caller_waits_for_a_connection_that_is_given_back(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    with ThreadPoolExecutor(1) as threads:
        with get_connection():
            waiting = threads.submit(read, backend)
            wait_for(1)
            assert not waiting.done()
        assert waiting.result(PATIENCE) is None


def test_waiting_ends_after_the_time_set(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="0.05")
    with get_connection():
        assert fault_of(lambda: read(backend)) is DbTimeoutError
        with pytest.raises(DbTimeoutError, match="database error during connect"), get_connection():
            pass
    assert read(backend) is None


def test_a_refused_port_fails_every_caller_at_once(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_DB_URL="postgresql://127.0.0.1:1/x")
    began = time.monotonic()
    assert race(4, lambda: fault_of(lambda: read(backend))) == [DbConnectionError] * 4
    assert time.monotonic() - began < POOL_TIMEOUT
    assert size() == 0


def test_a_full_server_throttles(backend: Backend, pg: PgConnection, role: tuple[str, str], set_env: SetEnv) -> None:
    user, password = role
    set_env(PG_DB_URL=conninfo_of(pg, user=user, password=password))
    assert fault_of(lambda: read(backend)) is DbThrottledError


def wait_for(count: int) -> None:
    """Wait until so many callers wait for a connection."""
    wait_until(lambda: get_pool().get_stats()["requests_waiting"] >= count)


def test_those_who_wait_for_a_connection_being_made_learn_at_once_that_it_failed(
    backend: Backend, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_DB_SSLMODE="disable")
    began = time.monotonic()
    proxy.silent = True
    with ThreadPoolExecutor(4) as threads:
        callers = [threads.submit(fault_of, lambda: read(backend)) for _ in range(4)]
        wait_for(3)
        while not any(caller.done() for caller in callers):
            proxy.hang_up()
            time.sleep(0.01)
        assert [caller.result(PATIENCE) for caller in callers] == [DbConnectionError] * 4
        assert time.monotonic() - began < POOL_TIMEOUT


def waiting_while(
    fault: Callable[[], None], call: Callable[[], object], threads: ThreadPoolExecutor
) -> list[Future[object]]:
    """Hold the only connection until three calls wait for it, then lose it by `fault`."""
    with suppress(psycopg.OperationalError), get_connection() as held:
        waiting = [threads.submit(call) for _ in range(3)]
        wait_for(3)
        fault()
        held.execute("SELECT 1")
    assert held.closed
    return waiting


def test_those_who_wait_learn_at_once_that_the_server_is_gone(
    backend: Backend, proxy: TcpProxy, set_env: SetEnv
) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    began = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        waiting = waiting_while(proxy.stop, lambda: fault_of(lambda: read(backend)), threads)
        assert [client.result(PATIENCE) for client in waiting] == [DbConnectionError] * 3
    assert time.monotonic() - began < POOL_TIMEOUT
    assert size() == 0


def test_those_who_wait_get_new_connections_for_lost_ones(backend: Backend, proxy: TcpProxy, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1")
    with ThreadPoolExecutor(3) as threads:
        waiting = waiting_while(proxy.hang_up, lambda: read(backend), threads)
        assert [client.result(PATIENCE) for client in waiting] == [None] * 3


def test_after_a_restart_of_the_server_the_first_call_succeeds(backend: Backend, pg: PgConnection) -> None:
    pool = get_pool()
    held = [pool.getconn() for _ in range(10)]
    for one in held:
        pool.putconn(one)
    for one in held:
        end_session(pg, one.info.backend_pid)
    began = time.monotonic()
    assert read(backend) is None
    assert time.monotonic() - began < POOL_TIMEOUT
    assert size() == 1


def test_a_connection_is_given_back_once(backend: Backend) -> None:
    pool = get_pool()
    held = pool.getconn()
    pool.putconn(held)
    with pytest.raises(ValueError, match="has not lent: "):
        pool.putconn(held)
    assert pool.getconn() is held
    assert pool.getconn() is not held


def test_the_figures_count_all_requests_and_idle_connections(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="3")
    with get_connection(), get_connection(), get_connection():
        pass
    with get_connection():
        pass
    figures = get_pool().pop_stats()
    assert {name: figures[name] for name in ("requests_num", "pool_size", "pool_available", "connections_num")} == {
        "requests_num": 4,
        "pool_size": 3,
        "pool_available": 3,
        "connections_num": 3,
    }
    assert "requests_errors" not in figures
    assert get_pool().get_stats()["requests_num"] == 0


def test_draining_closes_idle_connections_now_and_those_in_use_later(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="3")
    pool = get_pool()
    held = [pool.getconn() for _ in range(3)]
    for one in held[:2]:
        pool.putconn(one)
    pool.drain()
    assert [one.closed for one in held] == [True, True, False]
    assert size() == 1
    pool.putconn(held[2])
    assert held[2].closed
    assert size() == 0
    assert read(backend) is None
    assert size() == 1


def test_an_old_connection_is_closed_though_it_is_always_in_use(
    backend: Backend, set_env: SetEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_env(PG_POOL_MAX_SIZE="2")
    monkeypatch.setattr("actingweb.db.postgresql.pool._KEPT_SECONDS", 0.0)
    pool = get_pool()
    lasting = pool.getconn()
    pool.putconn(lasting)
    assert not lasting.closed
    lasting.close()
    pool.max_lifetime = 0.0
    old = pool.getconn()
    pool.putconn(old)
    assert old.closed
    assert size() == 0


def test_check_closes_the_idle_connections_that_do_not_answer(backend: Backend, pg: PgConnection) -> None:
    pool = get_pool()
    held = [pool.getconn() for _ in range(4)]
    for one in held:
        pool.putconn(one)
    for one in held[:3]:
        end_session(pg, one.info.backend_pid)
    pool.check()
    assert [one.closed for one in held] == [True, True, True, False]
    assert size() == 1


def test_a_notice_does_not_cost_a_connection(backend: Backend, pg: PgConnection) -> None:
    with get_connection() as one:
        one.execute("LISTEN news")
        pid = one.info.backend_pid
    pg.execute("NOTIFY news")
    time.sleep(0.05)
    with get_connection() as again:
        assert again.info.backend_pid == pid


def test_close_pool_can_be_repeated_and_the_next_use_opens_another(backend: Backend) -> None:
    read(backend)
    first = get_pool()
    close_pool()
    close_pool()
    assert first.closed
    assert read(backend) is None
    assert get_pool() is not first


def test_a_connection_in_use_outlives_close_pool(backend: Backend) -> None:
    with get_connection() as held:
        close_pool()
        assert held.execute("SELECT 1").fetchone() == (1,)
    assert held.closed


def test_calls_survive_a_concurrent_close_pool(backend: Backend) -> None:
    done = threading.Event()

    def close() -> None:
        while not done.wait(0.002):
            close_pool()

    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(close)
        try:
            assert [read(backend) for _ in range(100)] == [None] * 100
        finally:
            done.set()
        closing.result()


def test_a_closed_pool_gives_nothing(backend: Backend) -> None:
    pool = get_pool()
    close_pool()
    with pytest.raises(PoolClosed):
        pool.getconn()


def test_another_prefix_counts_after_close_pool(
    backend: Backend, actor_id: str, environment: pytest.MonkeyPatch
) -> None:
    assert get_actor(backend).get(actor_id)
    environment.setenv("PG_DB_PREFIX", "Absent-%s")
    assert get_actor(backend).get(actor_id)
    close_pool()
    with pytest.raises(DbError, match="alembic upgrade head"):
        get_actor(backend).get(actor_id)
    close_pool()


def test_a_bad_url_is_a_configuration_error(backend: Backend, set_env: SetEnv) -> None:
    set_env(PG_DB_URL="host='x")
    with pytest.raises(ConfigurationError, match="PG_DB_URL"):
        read(backend)


def test_a_child_process_has_a_pool_of_its_own(backend: Backend, actor_id: str) -> None:
    actor = get_actor(backend)
    assert actor.get(actor_id)
    parents = get_pool()
    with get_connection() as held:
        pid = held.info.backend_pid
    child = os.fork()
    if child == 0:
        right = actor.get(actor_id) is not None and get_pool() is not parents and parents.closed
        with suppress(PoolClosed):
            right = right and parents.getconn() is None
        with get_connection() as own:
            right = right and own.info.backend_pid != pid
        close_pool()
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert get_pool() is parents
    with get_connection() as held:
        assert held.info.backend_pid == pid
    assert actor.get(actor_id)


def test_parent_and_child_end_without_a_word(backend: Backend) -> None:
    program = (
        "import os, sys\n"
        "from actingweb.db.postgresql.actor import DbActor\n"
        "DbActor().get('a1')\n"
        "child = os.fork()\n"
        "DbActor().get('a1')\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fork_while_another_thread_makes_the_pool_does_not_block_the_child(backend: Backend) -> None:
    with connection._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if get_pool().max_size else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
