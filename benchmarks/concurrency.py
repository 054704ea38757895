"""PostgreSQL, many threads: throughput beside the floor, and waiting for one of too few connections."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle

from actingweb.db import DbError
from benchmarks.driver.workload import OPERATIONS, Call, load_classes
from benchmarks.figures import figure, ratios
from benchmarks.floor_postgresql import Floor
from benchmarks.places import PostgresPlaces, use
from benchmarks.postgresql import connected, record
from benchmarks.results import Section

__all__ = ["measure"]

_THREADS = (1, 4, 16)
_THROUGHPUT = 0.85
_CROWD = 64
_CONNECTIONS = 10
_WORST = 3.0
_NAMES = ("property get", "property set")


def measure(places: PostgresPlaces, rounds: int, seconds: float) -> Section:
    """Measure throughput, each round for so many seconds, and what 64 threads wait for 10 connections."""
    section = Section("threads", "PostgreSQL, many threads")
    section.notes.append("Threads share Python's interpreter lock, the floor's as well as ours.")
    operations = [operation for operation in OPERATIONS if operation.name in _NAMES]
    classes = load_classes("postgresql", cascades=True)
    recordings = record(places, operations, classes)
    for operation in operations:
        operation.store(classes, operation.count)
        ours = operation.calls(classes, operation.count)
        for threads in _THREADS:
            use({**places.environment, "PG_POOL_MIN_SIZE": "1", "PG_POOL_MAX_SIZE": str(threads)})
            with ExitStack() as stack:
                held = [Floor(stack.enter_context(connected(places))) for _ in range(threads)]
                floors = _apart([floor.calls(recordings[operation.name].calls) for floor in held])
                each = _apart([ours] * threads)
                rates: dict[str, list[float]] = {"floor": [], "ours": []}
                for number in range(-1, rounds):
                    found = {
                        "floor": _rate(floors, seconds),
                        "ours": _rate(each, seconds),
                    }
                    if number >= 0:
                        for name, rate in found.items():
                            rates[name].append(rate)
            ratio = ratios(rates["ours"], rates["floor"])
            section.judge(
                f"{operation.name}, {threads} threads", "operations/s, ours / floor", ratio, least=_THROUGHPUT
            )
            medians = {name: round(statistics.median(values)) for name, values in rates.items()}
            row = {"operation": operation.name, "threads": threads, **medians, "ratio": round(ratio.median, 3)}
            section.table.append(row)
            print(f"  {row}", file=sys.stderr, flush=True)
    _crowd(section, places, ours=operations[0].calls(classes, operations[0].count), rounds=rounds, seconds=seconds * 2)
    use({**places.environment, "PG_POOL_MIN_SIZE": "", "PG_POOL_MAX_SIZE": ""})
    return section


def _apart(calls: Sequence[Sequence[Call]]) -> list[list[Call]]:
    """Let each begin at another row, so that they do not wait for one another's locks."""
    starts = [number * len(each) // len(calls) for number, each in enumerate(calls)]
    return [[*each[start:], *each[:start]] for each, start in zip(calls, starts, strict=True)]


def _rate(calls: Sequence[Sequence[Call]], seconds: float) -> float:
    """Return how many calls a second the threads make, each of them its own."""
    counts, took = _in_threads([_counting(each) for each in calls], seconds)
    return sum(counts) / took


def _crowd(section: Section, places: PostgresPlaces, *, ours: Sequence[Call], rounds: int, seconds: float) -> None:
    use({**places.environment, "PG_POOL_MAX_SIZE": str(_CONNECTIONS)})
    subject = f"{_CROWD} threads on {_CONNECTIONS} connections"
    worst, failures = [], 0
    for _ in range(min(5, rounds)):
        latencies: list[float] = []
        failed: list[DbError] = []
        _in_threads([_watching(ours, latencies, failed)] * _CROWD, seconds)
        worst.append(statistics.quantiles(latencies, n=100)[98] / statistics.median(latencies))
        failures += len(failed)
    section.judge(subject, "p99 / median of the latency", figure(worst), most=_WORST)
    section.judge(subject, "operations that failed", figure([failures]), most=0)


Work = Callable[[threading.Event], int]


def _counting(calls: Sequence[Call]) -> Work:
    def work(stop: threading.Event) -> int:
        done = 0
        for call in cycle(calls):
            call()
            done += 1
            if stop.is_set():
                break
        return done

    return work


def _watching(calls: Sequence[Call], latencies: list[float], failed: list[DbError]) -> Work:
    def work(stop: threading.Event) -> int:
        mine = []
        for call in cycle(calls):
            began = time.perf_counter()
            try:
                call()
            except DbError as error:
                failed.append(error)
            mine.append(time.perf_counter() - began)
            if stop.is_set():
                break
        latencies.extend(mine)
        return len(mine)

    return work


def _in_threads(work: Sequence[Work], seconds: float) -> tuple[list[int], float]:
    """Run each in a thread of its own for so long; return what they returned, and the seconds that it took."""
    stop, results = threading.Event(), [0] * len(work)
    ready = threading.Barrier(len(work) + 1)

    def run(number: int) -> None:
        ready.wait()
        results[number] = work[number](stop)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    took = time.perf_counter() - began
    for thread in threads:
        thread.join()
    return results, took
