"""A process that runs operations as it is told: one JSON object a line on stdin, one answer a line on stdout.

Runs by `python -P` in the environment of whoever is measured, so it uses the standard library and `testbed/operations`
only. `{"do": "store", "run" or "crowd", "operation": name, "count": calls}`; "run" is answered with the seconds and the
seconds of processor time that a call took on average, "crowd" with what `crowd` returns for so many "threads" and
"seconds". `{"do": "memory"}` is answered with the bytes that are "traced", which needs PYTHONTRACEMALLOC. What cannot
be done is answered with its "error".
"""

import gc
import importlib
import json
import logging
import os
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, cycle
from pathlib import Path
from typing import Any

Call = Callable[[], Any]


def main(database: str, cascades: str, table: str) -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What a library prints must not mix with the answers.
    os.dup2(2, 1)
    # Last, so that the `actingweb` beside it is not found before the one that is installed.
    sys.path.append(str(Path(__file__).parents[1] / "testbed"))
    module, _, name = table.partition(":")
    operations = {operation.name: operation for operation in getattr(importlib.import_module(module), name)}
    classes = importlib.import_module("operations.calls").load_classes(database, cascades == "cascades")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(classes, operations, **request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")


def _answer(
    classes: Any, operations: dict[str, Any], do: str, operation: str = "", count: int = 0, **more: Any
) -> dict[str, Any]:
    if do == "memory":
        gc.collect()
        return {"traced": tracemalloc.get_traced_memory()[0]}
    if do == "store":
        operations[operation].store(classes, count)
        return {}
    calls = operations[operation].calls(classes, count)
    if do == "crowd":
        return crowd(calls, **more)
    wall, cpu = importlib.import_module("operations.calls").timed(calls)
    return {"seconds": wall, "cpu": cpu}


def crowd(calls: Sequence[Call], threads: int, seconds: float) -> dict[str, Any]:
    """Let threads repeat the calls for so long.

    Returns:
        The successful calls a second as "rate", the 99th percentile of the latency by the median as "p99 / median", and
        how many calls "failed".
    """
    stop, ready = threading.Event(), threading.Barrier(threads + 1)
    failed: list[Exception] = []

    def work(number: int) -> list[float]:
        # Each begins at another row, so that they do not wait for one another's locks.
        start = number * len(calls) // threads
        own, latencies = [*calls[start:], *calls[:start]], []
        with suppress(Exception):
            own[0]()  # connects
        ready.wait()
        for call in cycle(own):
            began = time.perf_counter()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - it is counted
                failed.append(error)
            latencies.append(time.perf_counter() - began)
            if stop.is_set():
                break
        return latencies

    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(work, range(threads))
        ready.wait()
        began = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        took = time.perf_counter() - began
        latencies = list(chain.from_iterable(results))
    worst = statistics.quantiles(latencies, n=100)[98] / statistics.median(latencies)
    return {"rate": (len(latencies) - len(failed)) / took, "p99 / median": worst, "failed": len(failed)}


if __name__ == "__main__":
    main(*sys.argv[1:])
