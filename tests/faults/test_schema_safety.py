"""Upgrades of the schema that meet one another, are killed, or meet applications at work."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from actingweb.db import DbError, DbSchemaError, get_property, load_backend
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.postgresql.revision import EARLIER, HEAD
from actingweb.db.postgresql.schema_state import COMMAND
from actingweb.db.utils import compute_lookup_key
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.forked import CONTEXT, use_only
from tests.schema.alembic_process import finish, start
from tests.schema.conftest import BASELINE, Place, open_place
from tests.schema.databases import settings_of
from tests.schema.rows import fill
from tests.support import new_id, wait_until

from .conftest import Amount, Figures
from .former_application import READS, WRITES, former_outcome

NOON = datetime(2024, 7, 1, 12)


@pytest.fixture
def place(postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Place]:
    """Return a place whose schema is missing."""
    schema = new_id()
    with open_place(postgres_server, schema) as opened:
        # The layout changes under its statements.
        opened.connection.prepare_threshold = None
        set_env(**settings_of(opened.connection), PG_DB_SCHEMA=schema, DATABASE_BACKEND="postgresql")
        yield opened


def begin(place: Place) -> None:
    """Make the layout of ActingWeb 3.15 anew, with rows in all tables."""
    place.execute("RESET search_path")
    place.connection.execute(f'DROP SCHEMA IF EXISTS "{place.schema}" CASCADE'.encode())
    place.upgrade(BASELINE)
    place.connection.execute(f'SET search_path TO "{place.schema}"'.encode())
    fill(place.connection)


def state(place: Place) -> tuple[Any, Any]:
    """Return all rows and the layout."""
    return place.contents(), place.layout()


def upgraded_state(place: Place) -> tuple[Any, Any]:
    """Return what a lone upgrade makes."""
    begin(place)
    place.upgrade()
    return state(place)


@pytest.mark.parametrize("filled", [False, True], ids=["missing schema", "rows of ActingWeb 3.15"])
def test_upgrades_at_the_same_time(place: Place, filled: bool, amount: Amount) -> None:
    expected = upgraded_state(place)
    begin(place)
    if not filled:
        place.connection.execute(f'DROP SCHEMA "{place.schema}" CASCADE'.encode())
    results = [finish(process) for process in [start("upgrade", "head") for _ in range(amount(2, 8))]]
    assert {code for code, _ in results} == {0}, results
    steps = len(EARLIER) + (not filled)
    assert sorted(output.count("Running upgrade") for _, output in results)[-2:] == [0, steps]
    assert place.layout() == expected[1]
    assert not filled or place.contents() == expected[0]


@pytest.mark.timeout(900)  # Upgrades are begun again as often as it takes on the machine.
def test_upgrades_killed_at_random_moments(place: Place, amount: Amount, figures: Figures) -> None:
    """Whenever it is killed, all is as before or all is done, and the next one goes on from there."""
    chance = random.Random(14)
    environment = dict(os.environ)
    after = upgraded_state(place)
    began = time.monotonic()
    kills, upgrades, seconds = 0, 0, 0.5
    while kills < amount(5, 60):
        begin(place)
        before = state(place)
        while place.rows("SELECT version_num FROM alembic_version") == [(BASELINE,)]:
            assert state(place) == before
            process = CONTEXT.Process(target=upgrade_alone, args=(environment,))
            process.start()
            process.join(chance.uniform(0, seconds))
            assert process.exitcode in (None, 0)
            kills += process.exitcode is None
            # On a machine that has become slower, no upgrade might ever end.
            seconds *= 1.1 if process.exitcode is None else 0.7
            process.kill()
            process.join()
            wait_until_alone(place)
        assert state(place) == after
        upgrades += 1
    figures("upgrades killed", seconds=time.monotonic() - began, tried=upgrades, faults=kills, lost=0, wrong=0)


def upgrade_alone(environment: Mapping[str, str]) -> None:
    """Be the tool."""
    use_only(environment)
    upgrade()


def wait_until_alone(place: Place) -> None:
    """Wait until the server has undone what a killed client began."""
    locks = "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND relation = 'alembic_version'::regclass"
    wait_until(lambda: place.connection.execute(locks.encode()).fetchone() == (0,))


@contextmanager
def former_application(server: PostgresTarget, place: Place, zone: str = "UTC") -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection of an application on the layout of ActingWeb 3.15."""
    with server.connect(place.schema) as connection:
        connection.prepare_threshold = None
        connection.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        yield connection


FAILING = {
    "subscriptions": ("UndefinedColumn", "UndefinedColumn"),
    "subscription_diffs": ("UndefinedColumn", "UndefinedColumn"),
    "attributes": ("GeneratedAlways", None),
    "property_lookup": ("UndefinedColumn", "UndefinedColumn"),
}
"""What writes and reads of the former layout get on the present one; all others work."""

SINCE = {"4c0d81e27a95": ("subscriptions", "subscription_diffs", "attributes"), "93f5c6a8104e": ("property_lookup",)}


@pytest.mark.parametrize("revision", [*EARLIER, HEAD])
def test_what_a_former_application_gets_after_each_step(
    place: Place, postgres_server: PostgresTarget, revision: str
) -> None:
    """A clear error or the right answer. docs/schema.md has the table."""
    place.upgrade(BASELINE)
    steps = [*EARLIER, HEAD]
    failing = {table for step in steps[: steps.index(revision) + 1] for table in SINCE.get(step, ())}
    with former_application(postgres_server, place) as connection:
        connection.execute("INSERT INTO actors VALUES ('a1', '', '')")
        for write in WRITES.values():
            assert former_outcome(connection, write, {"key": "before", "time": NOON}) == []
        values = {table: instants(former_outcome(connection, READS[table], {"key": "before"})) for table in READS}
        place.upgrade(revision)
        for table, write in WRITES.items():
            on_write, on_read = FAILING[table] if table in failing else (None, None)
            assert former_outcome(connection, write, {"key": "after", "time": NOON}) == (on_write or []), table
            for key in ("before", "after"):
                found = former_outcome(connection, READS[table], {"key": key})
                stored = key == "before" or on_write is None
                assert instants(found) == (on_read or (values[table] if stored else [])), (table, key)


def instants(found: list[Any] | str) -> list[Any] | str:
    """Return an outcome whose times are UTC without saying so."""
    if isinstance(found, str):
        return found
    return [
        value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
        for value in found
    ]


def test_times_that_a_former_application_writes_outside_utc_are_wrong(
    place: Place, postgres_server: PostgresTarget
) -> None:
    """This is why it has to be stopped: no error shows it."""
    place.upgrade()
    with former_application(postgres_server, place, "America/New_York") as connection:
        assert former_outcome(connection, WRITES["actors"], {"key": "a1", "time": NOON}) == []
    ((stored,),) = place.rows("SELECT created_at FROM actors")
    assert stored - NOON.replace(tzinfo=UTC) == timedelta(hours=4)


class Writer:
    """A former application that writes and reads until it is told to stop."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.acknowledged: list[tuple[str, str]] = []
        self.failed: Counter[tuple[str, str]] = Counter()
        self.wrong: list[Any] = []

    def work(self, connection: psycopg.Connection[Any], stop: threading.Event) -> None:
        for serial in count():
            if stop.is_set():
                return
            table = [*WRITES][serial % len(WRITES)]
            key = f"{self.number} {serial}"
            written = former_outcome(connection, WRITES[table], {"key": key, "time": NOON})
            if isinstance(written, str):
                self.failed[table, written] += 1
                continue
            self.acknowledged.append((table, key))
            found = former_outcome(connection, READS[table], {"key": key})
            if isinstance(found, str):
                self.failed[table, found] += 1
            elif len(found) != 1:
                self.wrong.append((table, key, found))


def test_applications_at_work_during_an_upgrade(
    place: Place, postgres_server: PostgresTarget, amount: Amount, figures: Figures
) -> None:
    """A former one loses no acknowledged write and gets clear errors; one of this release waits for the new layout."""
    began, tried, failed = time.monotonic(), 0, 0
    for _ in range(amount(1, 4)):
        begin(place)
        writers, present = [Writer(number) for number in range(3)], list[str]()
        stop = threading.Event()
        with ThreadPoolExecutor(4) as threads:
            running = [threads.submit(write_as_former, postgres_server, place, writer, stop) for writer in writers]
            running.append(threads.submit(write_as_present, present, stop))
            process = start("upgrade", "head")
            code, output = finish(process)
            time.sleep(0.2)
            stop.set()
            for thread in running:
                thread.result()
        assert code == 0, output
        for writer in writers:
            assert writer.wrong == []
            assert missing(place, writer) == []
            assert {(table, error) for table, error in writer.failed if error not in FAILING[table]} == set()
            tried += len(writer.acknowledged)
            failed += writer.failed.total()
        assert present == sorted(present), present
        assert {"1 refused", "2 stored"} == set(present)
    figures(
        "applications during upgrades", seconds=time.monotonic() - began, tried=tried, failed=failed, lost=0, wrong=0
    )


def write_as_former(server: PostgresTarget, place: Place, writer: Writer, stop: threading.Event) -> None:
    """Write on the former layout."""
    with former_application(server, place) as connection:
        writer.work(connection, stop)


def write_as_present(outcomes: list[str], stop: threading.Event) -> None:
    """Write with the library."""
    backend = load_backend()
    while not stop.is_set():
        try:
            assert get_property(backend).set("B2", "email", "me@example.com")
            outcomes.append("2 stored")
        except DbSchemaError as error:
            outcomes.append("1 refused" if COMMAND in str(error) else repr(error))
        except DbError as error:
            outcomes.append(repr(error))


KEYS = {
    "actors": "id",
    "properties": "name",
    "property_lookup": "lookup_key",
    "trusts": "peerid",
    "peertrustees": "peerid",
    "subscriptions": "subid",
    "subscription_diffs": "subid",
    "subscription_suspensions": "target",
    "attributes": "name",
}


def missing(place: Place, writer: Writer) -> list[tuple[str, str]]:
    """Return what was acknowledged and is not there."""
    stored = {
        table: {key for (key,) in place.connection.execute(f"SELECT {column} FROM {table}".encode())}
        for table, column in KEYS.items()
    }
    return [(table, key) for table, key in writer.acknowledged if stored_key(table, key) not in stored[table]]


def stored_key(table: str, key: str) -> str:
    """Return the key of a row on the present layout."""
    return compute_lookup_key("email", key) if table == "property_lookup" else key
