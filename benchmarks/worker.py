"""A process that runs operations as it is told: one JSON object a line on stdin, one answer a line on stdout.

Runs by `python -P` in the environment of whoever is measured, so it uses the standard library and `testbed/operations`
only. `{"do": "store", "run" or "rate", "operation": name, "count": calls}`; "run" is answered with the seconds that
each call took on average, and those of processor time, "rate" with the calls a second that so many "threads" make in so
many "seconds". An operation that cannot be run is answered with its "error".
"""

import importlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], Any]


def main() -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # What a library prints must not mix with the answers.
    os.dup2(2, 1)
    # Last, so that the `actingweb` beside it is not found before the one that is installed.
    sys.path.append(str(Path(__file__).parents[1] / "testbed"))
    database, cascades, table = sys.argv[1:]
    module, _, name = table.partition(":")
    operations = {operation.name: operation for operation in getattr(importlib.import_module(module), name)}
    classes = importlib.import_module("operations.calls").load_classes(database, cascades == "cascades")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _answer(classes, operations[request.pop("operation")], **request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")


def _answer(classes: Any, operation: Any, do: str, count: int, **crowd: Any) -> dict[str, Any]:
    if do == "store":
        operation.store(classes, count)
        return {}
    calls = operation.calls(classes, count)
    if do == "rate":
        return {"rate": rate(apart([calls] * crowd["threads"]), crowd["seconds"])}
    seconds, cpu = importlib.import_module("operations.calls").timed(calls)
    return {"seconds": seconds, "cpu": cpu}


def apart(calls: Sequence[Sequence[Call]]) -> list[list[Call]]:
    """Let each begin at another row, so that they do not wait for one another's locks."""
    starts = [number * len(each) // len(calls) for number, each in enumerate(calls)]
    return [[*each[start:], *each[:start]] for each, start in zip(calls, starts, strict=True)]


def rate(calls: Sequence[Sequence[Call]], seconds: float) -> float:
    """Return how many calls a second the threads make, each of them its own."""

    def work(each: Sequence[Call], stop: threading.Event) -> int:
        for done, call in enumerate(cycle(each), 1):
            call()
            if stop.is_set():
                return done
        return 0

    counts, took = in_threads(work, calls, seconds)
    return sum(counts) / took


def in_threads(
    work: Callable[[Sequence[Call], threading.Event], T], calls: Sequence[Sequence[Call]], seconds: float
) -> tuple[list[T], float]:
    """Work on each sequence of calls in a thread for so long; return what came of it, and the seconds that it took."""
    stop, ready = threading.Event(), threading.Barrier(len(calls) + 1)

    def run(each: Sequence[Call]) -> T:
        ready.wait()
        return work(each, stop)

    with ThreadPoolExecutor(len(calls)) as threads:
        results = [threads.submit(run, each) for each in calls]
        ready.wait()
        began = time.perf_counter()
        time.sleep(seconds)
        stop.set()
        took = time.perf_counter() - began
    return [result.result() for result in results], took


if __name__ == "__main__":
    main()
