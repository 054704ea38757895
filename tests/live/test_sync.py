"""The process that keeps both sides equal: what it survives, what ends it, and who goes on with its work."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing, suppress
from threading import Event

import psycopg
import pytest

from actingweb.db import load_backend
from actingweb.migration.errors import SourceError, TargetError
from actingweb.migration.live.items import Json
from actingweb.migration.live.leases import SECONDS
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.state import StateError
from actingweb.migration.live.sync import Sync, Workers
from actingweb.migration.target.connection import Connection
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.running import Tool, status_of, syncing
from tests.live.sides import Sides
from tests.support import PATIENCE, wait_until


@pytest.fixture
def prepared(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Sides:
    """Return two sides of a migration that was prepared."""
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    write("before")
    sides.prepare(region=sides.environment["AWS_DEFAULT_REGION"], endpoint=sides.environment["AWS_DB_HOST"])
    return sides


def write(value: str) -> None:
    """Write to DynamoDB."""
    library = load_backend("dynamodb")
    if library.DbActor.DbActor().get("actor") is None:
        library.DbActor.DbActor().create(actor_id="actor", creator="c", passphrase="p")
    library.DbProperty.DbProperty().set("actor", "name", value)


def arrives(value: str) -> None:
    """Wait until PostgreSQL has what was written."""
    library = load_backend("postgresql").DbProperty
    wait_until(lambda: library.DbProperty().get("actor", "name") == value)


class Unreliable:
    """Requests that fail while there is an `error`."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.error: Exception | None = None
        self.failed = 0

    def call(self, operation: str, request: Json) -> Json:
        self._fail()
        return self._sides.requests.call(operation, request)

    def streams_call(self, operation: str, request: Json) -> Json:
        self._fail()
        return self._sides.requests.streams_call(operation, request)

    def _fail(self) -> None:
        if self.error is not None:
            self.failed += 1
            raise self.error


def test_servers_that_go_away_and_come_back(prepared: Sides) -> None:
    requests = Unreliable(prepared)
    unreachable = Event()
    opened: list[int] = []

    def connect() -> Connection:
        if unreachable.is_set():
            raise TargetError("PostgreSQL is away")
        connection = prepared.state.connect()
        opened.append(connection.info.backend_pid)
        return connection

    with syncing(prepared, requests, connect) as sync:
        arrives("before")
        requests.error = SourceError("DynamoDB is away")
        write("while DynamoDB is away")
        wait_until(lambda: requests.failed > 5)
        requests.error = None
        arrives("while DynamoDB is away")
        unreachable.set()
        prepared.select("SELECT pg_terminate_backend(pid) FROM unnest(%(opened)s::int[]) AS pid", opened=opened)
        write("while PostgreSQL is away")
        unreachable.clear()
        arrives("while PostgreSQL is away")
        assert not sync.stop.is_set()
        assert status_of(prepared).processes == 1
    assert status_of(prepared).processes == 0


def test_a_thread_that_fails_ends_the_process(prepared: Sides) -> None:
    requests = Unreliable(prepared)

    def work() -> None:
        with syncing(prepared, requests) as sync:
            arrives("before")
            requests.error = ZeroDivisionError("a bug")
            assert sync.stop.wait(PATIENCE)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        work()
    assert status_of(prepared).processes == 0


def drop(sides: Sides) -> None:
    """Drop the state while others use it, whatever order they lock its tables in."""
    for _ in range(100):
        with suppress(psycopg.errors.DeadlockDetected), closing(sides.state.connect()) as connection:
            sides.state.drop(connection)
            return
    raise AssertionError


def test_the_end_of_the_migration_ends_the_process(prepared: Sides) -> None:
    def work() -> None:
        with syncing(prepared) as sync:
            arrives("before")
            drop(prepared)
            assert sync.stop.wait(PATIENCE)

    with pytest.raises(StateError, match="there is no live migration"):
        work()


class Pauses(Event):
    """An event that notes for how long each thread has waited for it, and is set when a reader has waited."""

    def __init__(self) -> None:
        super().__init__()
        self.reader: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        caller = sys._getframe(1).f_locals.get("worker")
        if isinstance(caller, ShardReader):
            self.reader.append(timeout or 0.0)
            if timeout:
                self.set()
        return super().wait(timeout)


def test_a_reader_waits_only_when_no_shard_is_due(prepared: Sides) -> None:
    shards = prepared.value("SELECT count(*) FROM {state}.shards")
    assert shards > 1
    pauses = Pauses()
    only_a_reader = Workers(scanners=0, readers=1, forward=0, backward=0)
    Sync(prepared.state, prepared.requests, prepared.state.connect, only_a_reader, stop=pauses).run()
    assert len(pauses.reader) > shards
    assert not any(pauses.reader[:-1])


def test_another_process_goes_on(prepared: Sides) -> None:
    tool = Tool(dict(os.environ))
    with tool.start("sync", "--workers", "1") as first, tool.sync() as second:
        wait_until(lambda: status_of(prepared).processes == 2)
        arrives("before")
        first.kill()
        first.communicate(PATIENCE)
        # What it had leased is free that many seconds later, by the server's clock.
        ((longest,),) = prepared.select(
            "SELECT extract(epoch FROM max(expires_at - clock_timestamp()))::float FROM {state}.leases"
        )
        assert longest <= SECONDS
        write("after the kill")
        arrives("after the kill")
        wait_until(lambda: status_of(prepared).processes == 1)
        second.send_signal(signal.SIGTERM)
        _, errors = second.communicate(PATIENCE)
        assert (second.returncode, status_of(prepared).processes) == (0, 0), errors
        # What the killed one leased last may end later than its own lease.
        left = "SELECT name FROM {state}.leases WHERE expires_at > now() AND holder LIKE %(holder)s"
        assert prepared.select(left, holder=f"% {second.pid} %") == []
    done = tool.run("sync", "--until-caught-up")
    assert (done.code, done.summary["status"]["processes"]) == (0, 0)
    assert status_of(prepared).gate(0).reasons == ("no `migrate sync` is running",)
