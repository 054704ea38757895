"""Parts of the benchmark that need a process of their own, each of which prints what it found as JSON; and memory."""

from __future__ import annotations

import gc
import importlib
import json
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import peak_mib, resident_mib
from benchmarks.results import Section, figure
from testbed.operations.calls import load_classes
from testbed.operations.timed import TIMED

if TYPE_CHECKING:
    from benchmarks.servers import PostgresServer

__all__ = ["STEPS", "measure_memory", "run_step", "step"]

STEPS = {"iterate": ("COUNT",), "memory": ("DATABASE", "CALLS"), "migrate": ("STEP", "DIRECTORY")}
"""The names of the steps, and of their arguments."""

_THREADS = 10
_EACH = 10
_PARTS = 5
_LIMITS = {"traced MiB": 1.0, "resident MiB": 5.0}
_SLOWER = 10
"""DynamoDB Local takes about so many times as long."""


def step(name: str, *arguments: object) -> Any:
    """Run a step as a process, with the settings of this one, and return what it found."""
    command = [sys.executable, "-m", "benchmarks", name, *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def run_step(name: str, *arguments: str) -> Any:
    """Do what the process of a step is for."""
    if name == "iterate":
        return _measured(lambda: _iterate(int(arguments[0])))
    if name == "memory":
        return _memory(arguments[0], int(arguments[1]))
    migration_step = importlib.import_module("benchmarks.migration_steps").STEPS[arguments[0]]
    return _measured(lambda: migration_step(Path(arguments[1])))


def _measured(work: Callable[[], int]) -> dict[str, float]:
    began = time.perf_counter()
    rows = work()
    return {"rows": rows, "seconds": time.perf_counter() - began, "mib": peak_mib()}


def _iterate(count: int) -> int:
    """Read so many actors one by one."""
    from actingweb.db.postgresql.actor import DbActorList

    return sum(1 for _ in islice(DbActorList().iterate(), count))


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
            list(threads.map(lambda mine: deque((call() for call in mine), maxlen=0), some))
            gc.collect()
            traced = tracemalloc.get_traced_memory()[0] / 2**20
            samples.append({"calls": count // _PARTS * part, "traced MiB": traced, "resident MiB": resident_mib()})
    return samples


def measure_memory(server: PostgresServer, calls: int) -> Section:
    """Make so many calls by ten threads, fewer on DynamoDB."""
    # Not in the processes of the steps, whose memory is measured.
    from benchmarks.servers import dynamodb_in_use, use

    section = Section("memory", "Memory after many calls")
    section.notes.append(
        "Ten threads on ten connections, all operations that leave as many rows as they find. Growth is from the end "
        "of the first fifth of the calls to the end of the last; traced is what Python allocated and still holds."
    )
    use(server.environment)
    _judge_memory(section, "postgresql", calls)
    with dynamodb_in_use("memory"):
        _judge_memory(section, "dynamodb", calls // _SLOWER)
    return section


def _judge_memory(section: Section, database: str, calls: int) -> None:
    samples = step("memory", database, calls)
    section.table += [{"database": database, **sample} for sample in samples]
    for measure, most in _LIMITS.items():
        growth = figure([samples[-1][measure] - samples[0][measure]])
        section.judge(f"{database}, {calls:,} calls", f"growth, {measure}", growth, most=most)
