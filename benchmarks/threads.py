"""PostgreSQL, many threads: throughput beside the floor, and waiting for one of too few connections."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import chain, cycle
from typing import TypeVar

from actingweb.db import DbError
from benchmarks.floor import PostgresFloor
from benchmarks.postgresql import record
from benchmarks.results import Section, figure, ratios
from testbed.machine import note
from testbed.operations.calls import Call, load_classes
from testbed.operations.timed import TIMED
from testbed.own_schemas import PostgresServer, use

__all__ = ["measure"]

T = TypeVar("T")

_THREADS = (1, 4, 16)
_THROUGHPUT = 0.85
_CROWD = 64
_CONNECTIONS = 10
_WORST = 3.0
_NAMES = ("property get", "property set")


def measure(server: PostgresServer, rounds: int, seconds: float) -> Section:
    """Measure throughput, each round for so many seconds, and what 64 threads wait for 10 connections."""
    section = Section("threads", "PostgreSQL, many threads")
    section.notes.append("Threads share Python's interpreter lock, the floor's as well as ours.")
    operations = [operation for operation in TIMED if operation.name in _NAMES]
    classes = load_classes("postgresql")
    recordings = record(operations, classes)
    for operation in operations:
        operation.store(classes, operation.count)
        ours = operation.calls(classes, operation.count)
        for threads in _THREADS:
            use({**server.environment, "PG_POOL_MIN_SIZE": "1", "PG_POOL_MAX_SIZE": str(threads)})
            with ExitStack() as stack:
                held = [PostgresFloor(stack.enter_context(server.connect())) for _ in range(threads)]
                floors = _apart([floor.calls(recordings[operation.name].calls) for floor in held])
                each = _apart([ours] * threads)
                # The first warms up.
                rates = [(_rate(floors, seconds), _rate(each, seconds)) for _ in range(-1, rounds)][1:]
            floor_rates, our_rates = zip(*rates, strict=True)
            ratio = ratios(our_rates, floor_rates)
            subject = f"{operation.name}, {threads} threads"
            section.judge(subject, "operations/s, ours / floor", ratio, least=_THROUGHPUT)
            medians = {"floor": round(statistics.median(floor_rates)), "ours": round(statistics.median(our_rates))}
            section.table.append({"operation": operation.name, "threads": threads, **medians, "ratio": ratio.median})
            note(str(section.table[-1]))
    use({**server.environment, "PG_POOL_MIN_SIZE": "", "PG_POOL_MAX_SIZE": str(_CONNECTIONS)})
    _crowd(section, operations[0].calls(classes, operations[0].count), min(5, rounds), seconds * 2)
    use({**server.environment, "PG_POOL_MAX_SIZE": ""})
    return section


def _apart(calls: Sequence[Sequence[Call]]) -> list[list[Call]]:
    """Let each begin at another row, so that they do not wait for one another's locks."""
    starts = [number * len(each) // len(calls) for number, each in enumerate(calls)]
    return [[*each[start:], *each[:start]] for each, start in zip(calls, starts, strict=True)]


def _rate(calls: Sequence[Sequence[Call]], seconds: float) -> float:
    """Return how many calls a second the threads make, each of them its own."""

    def work(each: Sequence[Call], stop: threading.Event) -> int:
        done = 0
        for call in cycle(each):
            call()
            done += 1
            if stop.is_set():
                break
        return done

    counts, took = _in_threads([partial(work, each) for each in calls], seconds)
    return sum(counts) / took


def _crowd(section: Section, calls: Sequence[Call], rounds: int, seconds: float) -> None:
    subject = f"{_CROWD} threads on {_CONNECTIONS} connections"
    worst: list[float] = []
    failed: list[DbError] = []

    def work(stop: threading.Event) -> list[float]:
        latencies = []
        for call in cycle(calls):
            began = time.perf_counter()
            try:
                call()
            except DbError as error:
                failed.append(error)
            latencies.append(time.perf_counter() - began)
            if stop.is_set():
                break
        return latencies

    for _ in range(rounds):
        latencies = list(chain.from_iterable(_in_threads([work] * _CROWD, seconds)[0]))
        worst.append(statistics.quantiles(latencies, n=100)[98] / statistics.median(latencies))
    section.judge(subject, "p99 / median of the latency", figure(worst), most=_WORST)
    section.judge(subject, "operations that failed", figure([len(failed)]), most=0)


def _in_threads(work: Sequence[Callable[[threading.Event], T]], seconds: float) -> tuple[list[T], float]:
    """Run each in a thread of its own for so long; return what they returned, and the seconds that it took."""
    stop, ready = threading.Event(), threading.Barrier(len(work) + 1)

    def run(one: Callable[[threading.Event], T]) -> T:
        ready.wait()
        return one(stop)

    with ThreadPoolExecutor(len(work)) as threads:
        results = [threads.submit(run, one) for one in work]
        ready.wait()
        began = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        took = time.perf_counter() - began
    return [result.result() for result in results], took
