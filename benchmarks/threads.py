"""PostgreSQL, many threads: throughput beside the floor, and waiting for one of too few connections."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain, cycle

from actingweb.db import DbError
from benchmarks.floor import PostgresFloor, record
from benchmarks.machine import note
from benchmarks.results import Section, figure, ratios
from benchmarks.servers import PostgresServer, use
from benchmarks.worker import apart, in_threads, rate
from testbed.operations.calls import Call, load_classes
from testbed.operations.timed import TIMED

__all__ = ["measure"]

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
    for operation in operations:
        recorded = record(operation, classes, operation.count).calls
        operation.store(classes, operation.count)
        ours = operation.calls(classes, operation.count)
        for threads in _THREADS:
            use({**server.environment, "PG_POOL_MIN_SIZE": "1", "PG_POOL_MAX_SIZE": str(threads)})
            with ExitStack() as stack:
                held = [PostgresFloor(stack.enter_context(server.connect())) for _ in range(threads)]
                floors = apart([floor.calls(recorded) for floor in held])
                each = apart([ours] * threads)
                # The first warms up.
                rates = [(rate(floors, seconds), rate(each, seconds)) for _ in range(-1, rounds)][1:]
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


def _crowd(section: Section, calls: Sequence[Call], rounds: int, seconds: float) -> None:
    failed: list[DbError] = []

    def work(each: Sequence[Call], stop: threading.Event) -> list[float]:
        latencies = []
        for call in cycle(each):
            began = time.perf_counter()
            try:
                call()
            except DbError as error:
                failed.append(error)
            latencies.append(time.perf_counter() - began)
            if stop.is_set():
                break
        return latencies

    worst = []
    for _ in range(rounds):
        latencies = list(chain.from_iterable(in_threads(work, [calls] * _CROWD, seconds)[0]))
        worst.append(statistics.quantiles(latencies, n=100)[98] / statistics.median(latencies))
    subject = f"{_CROWD} threads on {_CONNECTIONS} connections"
    section.judge(subject, "p99 / median of the latency", figure(worst), most=_WORST)
    section.judge(subject, "operations that failed", figure([len(failed)]), most=0)
