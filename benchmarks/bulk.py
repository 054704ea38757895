"""PostgreSQL: all actors read in one pass, and all expired attributes purged while others write."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actingweb.db.postgresql.attribute import DbAttribute
from benchmarks.population import add_expired
from benchmarks.results import Section, figure
from benchmarks.servers import PostgresServer, use
from benchmarks.steps import step
from testbed.operations.timed import population_actor

__all__ = ["measure_bulk"]

_SAME_MEMORY = 1.1
_FEWEST_EXPIRED = 100_000
_READS = 3
_LONGEST_WAIT = 0.1
_ALONE_SECONDS = 2.0
_LIVE_SECONDS = 10**8


class PurgeError(RuntimeError):
    """Rows were left that should be gone, or gone that should be left."""


def measure_bulk(server: PostgresServer, environment: dict[str, str], actors: int) -> Section:
    """Read all actors of a schema that `populate` filled, then store expired attributes and purge them."""
    expired = max(actors, _FEWEST_EXPIRED)
    section = Section("bulk", f"PostgreSQL, {actors:,} actors in one pass, {expired:,} attributes purged")
    section.notes.append(
        "During the purge another thread renews attributes that it is about to delete; a purge in one transaction "
        "would keep such a write waiting to its end."
    )
    use(environment)
    _read(section, actors)
    with server.target.connect(f"{environment['PG_DB_PREFIX']}{environment['PG_DB_SCHEMA']}") as connection:
        add_expired(connection, actors, expired)
        _purge(section, actors, expired)
        left = connection.execute(
            "SELECT count(*) FROM attributes WHERE ttl_timestamp <= extract(epoch FROM now())"
        ).fetchone()
    if left != (0,):
        raise PurgeError(f"{left} expired attributes are left")
    return section


def _read(section: Section, actors: int) -> None:
    runs = [(step("iterate", actors // 10), step("iterate", actors)) for _ in range(_READS)]
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


def _write_until(stop: threading.Event, actors: int, rows: int) -> list[float]:
    """Renew attributes, picked at random among the expired ones, until `stop` is set; return what each write took."""
    seconds = []
    while not stop.is_set():
        number = random.randrange(rows)
        key = {"actor_id": population_actor(number % actors).id, "bucket": "expired", "name": f"n-{number}"}
        began = time.perf_counter()
        DbAttribute.set_attr(**key, data={"state": "renewed"}, ttl_seconds=_LIVE_SECONDS)
        seconds.append(time.perf_counter() - began)
    return seconds


def _purge(section: Section, actors: int, rows: int) -> None:
    alone, _ = _written(actors, rows, lambda: time.sleep(_ALONE_SECONDS))
    began = time.perf_counter()
    meanwhile, deleted = _written(actors, rows, DbAttribute.delete_expired)
    took = time.perf_counter() - began
    if deleted < rows - len(alone) - len(meanwhile):
        raise PurgeError(f"{deleted} of {rows} expired attributes were deleted")
    for name, found in (("writes before the purge", alone), ("writes during the purge", meanwhile)):
        row = {"what": name, "median ms": 1000 * statistics.median(found), "slowest ms": 1000 * max(found)}
        section.table.append({**row, "writes": len(found)})
    section.table.append({"what": "DbAttribute.delete_expired", "rows": deleted, "seconds": round(took, 2)})
    slowest = figure([max(meanwhile) / took])
    section.judge("a write during a purge", "slowest write / whole purge", slowest, most=_LONGEST_WAIT)


def _written(actors: int, rows: int, work: Callable[[], Any]) -> tuple[list[float], Any]:
    """Write in another thread while `work` runs; return what the writes took, and what `work` returned."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        seconds = threads.submit(_write_until, stop, actors, rows)
        try:
            answer = work()
        finally:
            stop.set()
        return seconds.result(), answer
