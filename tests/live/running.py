"""What migrates in the background of a test: `sync` in threads, or the command line tool in processes of its own."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.live.sync import Sync, Workers
from actingweb.migration.target.connection import Connection
from tests.forked import Program
from tests.live.sides import Sides
from tests.support import PATIENCE, wait_until

__all__ = ["Done", "Tool", "at_work", "forget_leases", "quiet", "status_of", "syncing", "until_safe", "writing"]

_AT_WORK: LiteralString = "SELECT EXISTS (SELECT FROM {state}.leases WHERE name LIKE 'process %%')"

_ROOT = Path(__file__).parents[2]


def status_of(sides: Sides) -> Status:
    """Return the status."""
    with closing(sides.state.connect()) as connection:
        return read_status(sides.state, connection)


def until_safe(sides: Sides) -> None:
    """Wait until nothing speaks against a cutover, and no change is waiting."""
    wait_until(lambda: status_of(sides).gate(0).is_open)


@contextmanager
def syncing(
    sides: Sides, requests: Requests | None = None, connect: Callable[[], Connection] | None = None
) -> Iterator[Sync]:
    """Keep both sides equal, with one thread for each kind of work, while the block runs."""
    workers = Workers(scanners=1, readers=1, forward=1, backward=1)
    sync = Sync(sides.state, requests or sides.requests, connect or sides.state.connect, workers)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            sync.run()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sync
    finally:
        sync.stop.set()
        thread.join()
    if failures:
        raise failures[0]


@contextmanager
def at_work(sides: Sides) -> Iterator[None]:
    """Let a sync process run while the block runs, which begins when the process has its lease."""
    with syncing(sides) as sync:
        wait_until(lambda: sync.stop.is_set() or sides.value(_AT_WORK))
        yield


@contextmanager
def writing(*works: Callable[[], object]) -> Iterator[None]:
    """Repeat works, each in a thread, while the block runs.

    The pauses are long enough that a reader often finds nothing new in a stream, which tells up to when it was read:
    DynamoDB Local rounds the times of its records down to the minute.
    """
    stop = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not stop.wait(0.8):
            work()

    with ThreadPoolExecutor(len(works)) as threads:
        running = [threads.submit(repeat, work) for work in works]
        try:
            yield
        finally:
            stop.set()
        for one in running:
            one.result()


def quiet(sides: Sides) -> None:
    """Wait until all that was written is applied."""
    moment = sides.value("SELECT clock_timestamp() + interval '1 second'")
    read = "SELECT bool_and(caught_up_at > %(moment)s) FROM {state}.shards WHERE NOT finished"
    waiting = "SELECT count(*) FROM {state}.marks WHERE reason IS NULL"
    wait_until(lambda: sides.value(read, moment=moment) and not sides.fresh() and not sides.value(waiting))


def forget_leases(sides: Sides) -> None:
    """Let the leases of processes that were killed end at once."""
    with closing(sides.state.connect()) as connection:
        connection.execute(sides.state.sql("DELETE FROM {state}.leases"))


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    summary: Mapping[str, Any]
    errors: str


@dataclass(frozen=True)
class Tool:
    """The command line tool with settings."""

    environment: Mapping[str, str]

    def start(self, *arguments: str) -> Program:
        """Start a command of `migrate`."""
        command = ["-m", "actingweb.migration", *arguments]
        return Program(command, _ROOT, self.environment)

    def run(self, *arguments: str) -> Done:
        """Run a command of `migrate` to its end."""
        with self.start(*arguments, "--json") as program:
            output, errors = program.communicate(2 * PATIENCE)
        assert program.returncode is not None
        return Done(program.returncode, json.loads(output) if output else {}, errors)

    @contextmanager
    def sync(self) -> Iterator[Program]:
        """Run `migrate sync` while the block runs; it ends by SIGTERM, unless it has ended by then."""
        with self.start("sync", "--workers", "1") as program:
            try:
                yield program
            finally:
                program.send_signal(signal.SIGTERM)
                program.communicate(PATIENCE)
