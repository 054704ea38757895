"""PostgreSQL: all actors read in one pass, and all expired attributes purged while others write."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actingweb.db.postgresql.attribute import DbAttribute
from benchmarks.driver.growth import actor_id
from benchmarks.figures import figure
from benchmarks.places import PostgresPlaces, use
from benchmarks.population import add_expired
from benchmarks.results import Section

__all__ = ["measure_bulk"]

_SAME_MEMORY = 1.1
_FEWEST_EXPIRED = 100_000
_READS = 3
_LONGEST_WAIT = 0.1
_ALONE_SECONDS = 2.0
_LIVE_SECONDS = 10**8


class PurgeError(RuntimeError):
    """Rows were left that should be gone, or gone that should be left."""


def measure_bulk(places: PostgresPlaces, environment: dict[str, str], actors: int) -> Section:
    """Read all actors of a schema that `populate` filled, then store expired attributes and purge them."""
    expired = max(actors, _FEWEST_EXPIRED)
    section = Section("bulk", f"PostgreSQL, {actors:,} actors in one pass, {expired:,} attributes purged")
    section.notes.append(
        "During the purge another thread renews attributes that it is about to delete; a purge in one transaction "
        "would keep such a write waiting to its end."
    )
    use(environment)
    _read(section, actors)
    with places.target.connect(f"{environment['PG_DB_PREFIX']}{environment['PG_DB_SCHEMA']}") as connection:
        add_expired(connection, actors, expired)
        _purge(section, actors, expired)
        left = connection.execute(
            "SELECT count(*) FROM attributes WHERE ttl_timestamp <= extract(epoch FROM now())"
        ).fetchone()
    if left != (0,):
        raise PurgeError(f"{left} expired attributes are left")
    return section


def _read(section: Section, actors: int) -> None:
    runs = [(_iterated(actors // 10), _iterated(actors)) for _ in range(_READS)]
    for few, every in runs:
        if (few["rows"], every["rows"]) != (actors // 10, actors):
            raise PurgeError(f"{few['rows']} and {every['rows']} actors read of {actors}")
    for number, part in enumerate(("a tenth", "all")):
        found = [run[number] for run in runs]
        rate = statistics.median(one["rows"] / one["seconds"] for one in found)
        section.table.append({"what": f"DbActorList.iterate, {part} of the actors", "rows/s": round(rate)})
        section.table[-1]["peak MiB"] = round(statistics.median(one["mib"] for one in found), 1)
    memory = figure([every["mib"] / few["mib"] for few, every in runs])
    section.judge("DbActorList.iterate", "peak memory, all / a tenth", memory, most=_SAME_MEMORY)


def _iterated(count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.iterate", str(count)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@dataclass
class _Writer:
    """Renews attributes drawn by chance of those whose time is over, which a purge is about to delete."""

    actors: int
    rows: int
    stop: threading.Event

    def run(self, seconds: list[float]) -> None:
        """Write until told to stop, and note what each write took."""
        chance = random.Random(len(seconds))
        while not self.stop.is_set():
            number = chance.randrange(self.rows)
            began = time.perf_counter()
            DbAttribute.set_attr(
                actor_id=actor_id(number % self.actors),
                bucket="expired",
                name=f"n-{number}",
                data={"state": "renewed"},
                ttl_seconds=_LIVE_SECONDS,
            )
            seconds.append(time.perf_counter() - began)


def _purge(section: Section, actors: int, rows: int) -> None:
    alone, _ = _written(_Writer(actors, rows, threading.Event()), lambda: time.sleep(_ALONE_SECONDS))
    began = time.perf_counter()
    meanwhile, deleted = _written(_Writer(actors, rows, threading.Event()), DbAttribute.delete_expired)
    took = time.perf_counter() - began
    if deleted < rows - len(alone) - len(meanwhile):
        raise PurgeError(f"{deleted} of {rows} expired attributes were deleted")
    for name, found in (("writes before the purge", alone), ("writes during the purge", meanwhile)):
        row = {"what": name, "median ms": 1000 * statistics.median(found), "slowest ms": 1000 * max(found)}
        section.table.append({**row, "writes": len(found)})
    section.table.append({"what": "DbAttribute.delete_expired", "rows": deleted, "seconds": round(took, 2)})
    slowest = figure([max(meanwhile) / took])
    section.judge("a write during a purge", "slowest write / whole purge", slowest, most=_LONGEST_WAIT)


def _written(writer: _Writer, work: Callable[[], Any]) -> tuple[list[float], Any]:
    """Let the writer write while `work` runs; return what the writes took, and what `work` returned."""
    seconds: list[float] = []
    thread = threading.Thread(target=writer.run, args=(seconds,))
    thread.start()
    try:
        answer = work()
    finally:
        writer.stop.set()
        thread.join()
    return seconds, answer
