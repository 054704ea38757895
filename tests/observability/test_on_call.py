"""The lines for those on call (1.7), and `stats()`."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from actingweb.db import events, get_actor, get_property, stats
from actingweb.db.exceptions import ConfigurationError, DbTimeoutError
from actingweb.db.postgresql import connection as pools
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import failing, spoiling_proxy
from testbed.tcp_proxy import tcp_proxy
from testbed.threads import HelperThreads
from tests.conftest import SetEnv
from tests.contract.support.calls import ready
from tests.postgresql.conftest import PgConnection, end_session
from tests.support import conninfo_of, race

from .conftest import Keeper, Lines

on_postgresql = pytest.mark.backends("postgresql")
on_dynamodb = pytest.mark.backends("dynamodb")
on_servers = pytest.mark.backends("dynamodb", "postgresql")


@on_servers
def test_a_healthy_run_says_nothing(backend: Backend, actor_id: str, set_env: SetEnv, lines: Lines) -> None:
    # A busy machine makes calls slow.
    set_env(DB_SLOW_CALL_SECONDS="0")
    for call in ready(backend, actor_id).values():
        call()
    assert lines() == []


@on_postgresql
def test_an_ended_session_is_one_line(backend: Backend, actor_id: str, pg: PgConnection, lines: Lines) -> None:
    get_actor(backend).get(actor_id)
    with get_connection() as connection:
        pid = connection.info.backend_pid
    end_session(pg, pid)
    assert get_actor(backend).get(actor_id) is not None
    assert lines() == ["WARNING postgresql: connections lost, which are replaced when they are needed: 1"]
    assert stats(backend)["lost"] == 1


@on_postgresql
def test_many_losses_are_one_line(backend: Backend, actor_id: str, pg: PgConnection, lines: Lines) -> None:
    for _ in range(5):
        get_actor(backend).get(actor_id)
        with get_connection() as connection:
            pid = connection.info.backend_pid
        end_session(pg, pid)
    get_actor(backend).get(actor_id)
    assert len(lines()) == 1
    assert stats(backend)["lost"] == 5


@contextmanager
def locked(pg: PgConnection, actor_id: str, seconds: float) -> Iterator[None]:
    """Hold the lock of an actor's properties for so long, from the beginning of the block on."""
    began = threading.Event()

    def hold() -> None:
        with pg.transaction(force_rollback=True):
            pg.execute("UPDATE properties SET value = value WHERE id = %s", [actor_id])
            began.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    began.wait()
    yield
    thread.join()


@on_postgresql
def test_a_wait_of_three_seconds_for_a_lock_is_one_line(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv, lines: Lines
) -> None:
    set_env(DB_SLOW_CALL_SECONDS="2")
    get_property(backend).set(actor_id, "n", "old-secret")
    with locked(pg, actor_id, 3.0):
        get_property(backend).set(actor_id, "n", "new-secret")
    (line,) = lines()
    assert line.startswith("WARNING postgresql: slow calls: 1, at most ")
    assert line.endswith("the last was DbProperty.set")
    assert "secret" not in line
    assert stats(backend)["slow_calls"] == 1


@on_postgresql
def test_no_call_is_slow_with_0(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv, lines: Lines
) -> None:
    set_env(DB_SLOW_CALL_SECONDS="0")
    get_property(backend).set(actor_id, "n", "v")
    with locked(pg, actor_id, 0.1):
        get_property(backend).set(actor_id, "n", "v")
    assert lines() == []


@on_postgresql
def test_a_wait_for_the_pool_is_one_line(
    backend: Backend, actor_id: str, set_env: SetEnv, seen: Keeper, lines: Lines
) -> None:
    set_env(PG_POOL_MAX_SIZE="1", DB_SLOW_CALL_SECONDS="0")
    with get_connection():
        waiting = threading.Thread(target=get_actor(backend).get, args=(actor_id,))
        waiting.start()
        while not stats(backend)["waiting"]:
            time.sleep(0.01)
        time.sleep(0.3)
    waiting.join()
    (line,) = lines()
    assert line.startswith("INFO postgresql: calls that waited for a free connection: 1, at most 0.")
    assert "postgresql waited" in seen.others


@on_postgresql
def test_a_pool_that_is_used_up_is_one_line(
    backend: Backend, actor_id: str, set_env: SetEnv, seen: Keeper, lines: Lines
) -> None:
    set_env(PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="0.1", DB_SLOW_CALL_SECONDS="0")
    with get_connection():
        for _ in range(2):
            with pytest.raises(DbTimeoutError):
                get_actor(backend).get(actor_id)
    assert lines() == ["WARNING postgresql: calls that found no free connection in time: 1"]
    assert (seen.others.count("postgresql timeout"), stats(backend)["timeouts"]) == (2, 2)


@on_postgresql
def test_repeated_transactions_are_one_line(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv, lines: Lines
) -> None:
    set_env(PG_DB_URL=conninfo_of(pg, options="-c default_transaction_isolation=serializable"))
    race(8, lambda: get_property(backend).set(actor_id, "email", "a@example.com"))
    if stats(backend)["retries"]:
        assert [line for line in lines() if "repeated" in line] == [
            "INFO postgresql: requests repeated: 1, the last after DbConflictError"
        ]


@on_postgresql
def test_a_server_that_becomes_read_only_is_one_line(
    backend: Backend, actor_id: str, pg: PgConnection, seen: Keeper, lines: Lines
) -> None:
    get_property(backend).set(actor_id, "n", "v")
    # Then it answers to a write as a standby does.
    session = get_pool().getconn()
    session.command(b"SET default_transaction_read_only = on")
    get_pool().putconn(session)
    assert get_property(backend).set(actor_id, "n", "w")
    assert [line.split(":")[1].strip() for line in lines()] == [
        "requests refused by a server that has become a standby",
        "requests repeated",
    ]
    assert "postgresql standby" in seen.others


@on_dynamodb
def test_throttling_is_told_and_its_repetitions_are_one_line(
    backend: Backend, actor_id: str, set_env: SetEnv, seen: Keeper, lines: Lines
) -> None:
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        set_env(AWS_DB_HOST=proxy.url, AWS_DB_AUTO_CREATE_TABLES="0", DB_SLOW_CALL_SECONDS="0")
        proxy.spoilers.extend([failing("ProvisionedThroughputExceededException")] * 2)
        assert get_actor(backend).get(actor_id) is not None
    assert lines() == ["INFO dynamodb: requests repeated: 1, the last after DbThrottledError"]
    assert (seen.others.count("dynamodb throttled"), stats(backend)["throttles"]) == (2, 2)
    assert [request.attempt for request in seen.requests] == [1, 2, 3]


@on_servers
def test_stats_make_nothing(backend: Backend, set_env: SetEnv) -> None:
    set_env()
    found = stats()
    assert json.loads(json.dumps(found)) == found
    assert (found["backend"], found["used"], found["waiting"]) == (backend.database, 0, 0)
    assert pools._pool is None


@on_servers
def test_stats_tell_of_the_connections(backend: Backend, actor_id: str) -> None:
    get_actor(backend).get(actor_id)
    found = stats(backend)
    assert (found["size"] - found["idle"], found["used"]) == (0, 0)
    assert found["opened"] >= 1
    assert found["size"] >= 1
    assert found["max"] == (10 if backend.database == "postgresql" else found["max"])


@on_postgresql
def test_a_lent_connection_is_in_use(backend: Backend) -> None:
    with get_connection():
        assert stats(backend)["used"] == 1
    assert stats(backend)["used"] == 0


@pytest.mark.backends("memory")
def test_a_backend_without_connections_has_the_counters(backend: Backend, new_actor: Callable[..., str]) -> None:
    for actor in (new_actor(), new_actor()):
        get_property(backend).set(actor, "email", "joe@example.com")
    assert stats(backend)["backend"] == "memory"
    assert "size" not in stats(backend)


@on_postgresql
def test_a_fail_over_is_one_line_with_both_addresses(
    backend: Backend, actor_id: str, pg: PgConnection, set_env: SetEnv, seen: Keeper, lines: Lines
) -> None:
    with tcp_proxy(pg.info.host, pg.info.port) as first, tcp_proxy(pg.info.host, pg.info.port) as second:
        ports = f"{first.port},{second.port}"
        set_env(PG_DB_HOST="127.0.0.1,127.0.0.1", PG_DB_PORT=ports, DB_SLOW_CALL_SECONDS="0")
        get_actor(backend).get(actor_id)
        first.stop()
        assert get_actor(backend).get(actor_id) is not None
    assert [line for line in lines() if "another server" in line] == [
        "WARNING postgresql: connections to another server than before: 1; "
        f"it was 127.0.0.1:{first.port} and is 127.0.0.1:{second.port}"
    ]
    assert "postgresql changed" in seen.others
    assert stats(backend)["server_changes"] == 1


def test_stats_name_a_backend_that_does_not_exist(set_env: SetEnv) -> None:
    set_env(DATABASE_BACKEND="nonsense")
    with pytest.raises(ConfigurationError, match="DATABASE_BACKEND"):
        stats()


@on_postgresql
def test_stats_can_be_told_while_an_event_is_counted(backend: Backend) -> None:
    """As by the handler of a signal, which runs anywhere."""
    told: list[int] = []

    def handle() -> None:
        with events._lock:
            told.append(stats(backend)["opened"])

    threads = HelperThreads()
    threads.start(handle)
    threads.join()
    assert len(told) == 1
