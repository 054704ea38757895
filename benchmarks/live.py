"""The live migration from DynamoDB to PostgreSQL and back: catch-up, lag under load, pause of writes and memory."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event
from typing import Any

import psycopg

from actingweb.db import get_actor, get_property, load_backend
from actingweb.migration.cli.live import Session, finish_migration, prepare_migration
from actingweb.migration.cli.live_switch import Commands, Switching, switch
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.cli.sources import DynamoDBFlags
from benchmarks.machine import peak_mib
from benchmarks.migration_data import fill_tables
from benchmarks.results import Section, Sizes
from testbed.provisioning import dynamodb_server, new_schema, new_tables, postgres_server

_WRITES_A_SECOND, _LAG_SECONDS, _PAUSE_SECONDS, _MEMORY_MIB = 500, 10, 10, 256
_THREADS, _VALUE_BYTES, _CHANGED = 8, 200, 0.2
_POLL_SECONDS, _QUIET_SECONDS = 0.05, 2.0
_CHANGE = "UPDATE properties SET value = value || ' ' WHERE ctid = ANY (ARRAY(SELECT ctid FROM properties LIMIT %s))"
_PROBE = "SELECT FROM properties WHERE (id, name, value) = ('live', 'probe', %s)"


@dataclass(frozen=True)
class _Load(Commands):
    """An application that writes to DynamoDB at a steady rate, until the cutover stops it."""

    writes: list[int] = field(default_factory=list)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS))
    end: Event = field(default_factory=Event)

    def write(self, thread: int) -> None:
        """Set properties, one after the other, until the end."""
        began = time.monotonic()
        for number in count():
            if self.end.wait(began + number * _THREADS / _WRITES_A_SECOND - time.monotonic()):
                return
            _set(f"{thread}-{number % 500}", str(number))
            self.writes.append(number)

    def stop_writes(self, _what: str, _split: str = "") -> None:
        self.end.set()
        self.threads.shutdown()


def measure(sizes: Sizes) -> Iterator[Section]:
    """Load rows, change a fifth while `sync` is stopped, write for a while, cut over, change a fifth in PostgreSQL."""
    rows = sizes.followed
    section = Section("live", f"Live migration of {rows:,} rows, and back")
    section.notes += [
        "A fifth of the rows changes on one side while `migrate sync` is stopped, then it catches up.",
        f"Before the cutover threads aim at {_WRITES_A_SECOND} writes a second. Its pause has a comparison of changes.",
        "DynamoDB Local and its streams stand in for those of AWS.",
        f"The load average of the machine was {os.getloadavg()[0]:.0f} before.",
    ]
    with postgres_server() as server, dynamodb_server() as other, new_schema(server) as made, new_tables(other):
        session, peaks = Session(PostgresFlags()), list[float]()
        fill_tables(rows, _VALUE_BYTES)
        prepare_migration(DynamoDBFlags(None, None, None, 4, None), session.flags, enable_streams=True)
        with made.connect() as connection:
            with _sync(peaks):
                _follow(section, session, "rows scanned", "read")
            fill_tables(rows, _VALUE_BYTES, letter="y", share=_CHANGED)
            with _sync(peaks):
                _follow(section, session, "keys applied, forward", "applied", _WRITES_A_SECOND)
                _write_and_cut_over(section, session, connection, sizes.load_seconds)
            connection.execute(_CHANGE, [int(rows * _CHANGED)])
            with _sync(peaks):
                _follow(section, session, "keys applied, backward", "applied_back", _WRITES_A_SECOND)
        finish_migration(None, session.flags, disable_streams=False, confirmed=True)
    section.judge("migrate sync", "peak MiB", max(peaks), most=_MEMORY_MIB)
    yield section


@contextmanager
def _sync(peaks: list[float]) -> Iterator[None]:
    """Run the process `migrate sync` during the block, and add its peak memory."""
    command = [sys.executable, "-m", "actingweb.migration", "sync"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
            peaks.append(peak_mib(process.pid))
        finally:
            process.terminate()


def _follow(section: Section, session: Session, what: str, counter: str, least: float | None = None) -> None:
    """Wait until all is done, and record what was done a second, from the last poll before the first of it."""
    polls, is_done = list[tuple[float, int]](), False
    while not is_done:
        time.sleep(_POLL_SECONDS)
        status = session.status()
        polls.append((time.monotonic(), sum(getattr(table, counter) for table in status.tables)))
        (_, before), (now, after) = polls[0], polls[-1]
        ended = min(moment for moment, done in polls if done == after)
        is_done = status.gate(max_dirty=0).is_open and not any(table.lag for table in status.tables)
        is_done = is_done and after > before and now > ended + _QUIET_SECONDS
    took = ended - max(moment for moment, done in polls if done == before)
    section.add({"what": what, "count": after - before, "seconds": took, "a second": (after - before) / took})
    section.judge(what, "keys/s", (after - before) / took if least else None, least=least)


def _write_and_cut_over(
    section: Section, session: Session, connection: psycopg.Connection[Any], seconds: float
) -> None:
    load, lags = _Load(None, None, None, fenced=True), list[float]()
    get_actor(load_backend("dynamodb")).create(actor_id="live", creator="live@example.com", passphrase="a passphrase")
    began = time.monotonic()
    try:
        writers = load.threads.map(load.write, range(_THREADS))
        while (now := time.monotonic()) < began + seconds:
            _set("probe", str(now))
            while not connection.execute(_PROBE, [str(now)]).rowcount:
                time.sleep(_POLL_SECONDS)
            lags.append(time.monotonic() - now)
        rate = len(load.writes) / (time.monotonic() - began)
        facts = switch(session, load, Switching(False, 10_000, 600), None, back=False).facts
        list(writers)  # raises what one of them raised
    finally:
        load.stop_writes("")
    pause, compared = facts["pause"], facts["steps"]["compare again"]
    section.add({"what": "writes", "count": len(load.writes), "a second": rate})
    section.add({"what": "lag of a write, median", "seconds": statistics.median(lags), "at most": max(lags)})
    section.add({"what": "pause of writes", "seconds": pause, "of it comparing": compared})
    section.judge("a write under load", "longest lag, seconds", max(lags), most=_LAG_SECONDS)
    section.judge("cutover", "pause of writes, seconds", pause, most=_PAUSE_SECONDS)


def _set(name: str, value: str) -> None:
    get_property(load_backend("dynamodb")).set(actor_id="live", name=name, value=value)
