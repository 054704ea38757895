"""Processes and writers that run while a test looks at both sides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import LiteralString

from actingweb.migration.live.sync import Sync
from tests.live.sides import Sides
from tests.support import wait_until

_AT_WORK: LiteralString = "SELECT EXISTS (SELECT FROM {state}.leases WHERE name LIKE 'process %%')"


@contextmanager
def syncing(sides: Sides) -> Iterator[None]:
    """Let a sync process run while the block runs."""
    sync = Sync(sides.state, sides.requests, sides.state.connect)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(sync.run)
        try:
            wait_until(lambda: running.done() or sides.value(_AT_WORK))
            yield
        finally:
            sync.stop.set()
        running.result()


@contextmanager
def writing(*works: Callable[[], object]) -> Iterator[None]:
    """Repeat works, each in a thread, while the block runs."""
    stop = threading.Event()

    def repeat(work: Callable[[], object]) -> None:
        while not stop.wait(0.05):
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
