"""Parts of the benchmark that need a process of their own; each prints what it found as JSON."""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from testbed.machine import peak_mib, resident_mib
from testbed.operations.calls import Call, load_classes
from testbed.operations.timed import TIMED

__all__ = ["STEPS", "run_step", "step"]

STEPS = {"iterate": ("COUNT",), "memory": ("DATABASE", "CALLS"), "migrate": ("STEP", "DIRECTORY")}
"""The names of the steps, and of their arguments."""


_THREADS = 10
_EACH = 10
_PARTS = 5


def step(name: str, *arguments: object) -> Any:
    """Run a step as a process, with the settings of this one, and return what it found."""
    command = [sys.executable, "-m", "benchmarks", name, *map(str, arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=os.environ)
    return json.loads(result.stdout)


def run_step(name: str, *arguments: str) -> Any:
    """Do what the process of a step is for."""
    if name == "iterate":
        return _iterate(int(arguments[0]))
    if name == "memory":
        return _memory(arguments[0], int(arguments[1]))
    migration_step = importlib.import_module("benchmarks.migration_steps").STEPS[arguments[0]]
    return _measured(lambda: migration_step(Path(arguments[1])))


def _iterate(count: int) -> dict[str, float]:
    """Read so many actors one by one."""
    from actingweb.db.postgresql.actor import DbActorList

    return _measured(lambda: sum(1 for _ in islice(DbActorList().iterate(), count)))


def _measured(work: Callable[[], int]) -> dict[str, float]:
    began = time.perf_counter()
    rows = work()
    return {"rows": rows, "seconds": time.perf_counter() - began, "mib": peak_mib()}


def _memory(database: str, count: int) -> list[dict[str, float]]:
    """Make so many calls of the operations that leave as many rows as they find; return the memory after each fifth.

    As many threads as the pool has connections make them.
    """
    tracemalloc.start()
    classes = load_classes(database)
    lasting = [operation for operation in TIMED if operation.repeats]
    for operation in lasting:
        operation.store(classes, _EACH)
    # An object belongs to one thread.
    calls = [
        cycle([call for operation in lasting for call in operation.calls(classes, _EACH)]) for _ in range(_THREADS)
    ]
    samples = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for part in range(1, _PARTS + 1):
            some = [list(islice(mine, count // _PARTS // _THREADS)) for mine in calls]
            list(threads.map(_make, some))
            gc.collect()
            traced = tracemalloc.get_traced_memory()[0] / 2**20
            samples.append({"calls": count // _PARTS * part, "traced MiB": traced, "resident MiB": resident_mib()})
    return samples


def _make(calls: Iterable[Call]) -> None:
    for call in calls:
        call()
