"""The contenders: processes that run the same operations, taking turns, so that a busy moment strikes all of them.

One of them is the baseline: the public package `actingweb`, in an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import resident_mib
from benchmarks.results import Figure, Section, figure, operands, ratio
from testbed.environments import InstallationError, cached_environment
from testbed.operations.operation import Operation

TIMED, GROWTH = "operations.timed:TIMED", "operations.timed:GROWTH"
FLOOR, BOTOCORE, FLOOR_OF_GROWTH = (f"benchmarks.floor:{name}" for name in ("FLOOR", "BOTOCORE", "GROWTH"))
"""The tables of operations that a worker may run."""

Targets = Mapping[str, Mapping[str, float]]
"""The bounds of measures, `least` and `most`, by what `Times.compared` returns."""

_BASELINE = "actingweb[postgresql]==3.15.1"
_WORKER = Path(__file__).with_name("worker.py")


class WorkerError(RuntimeError):
    """A worker cannot do what it is asked."""


class Worker:
    """A process that runs operations. Its methods raise `WorkerError` if it cannot.

    Args:
        keeper: who stores the rows that an operation needs, if not the process itself.
    """

    def __init__(self, process: subprocess.Popen[str], keeper: Worker | None) -> None:
        self._process = process
        self._keeper = keeper or self

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def store(self, operation: Operation, count: int) -> None:
        """Make the rows that so many calls need."""
        self._ask("store", operation, count)

    def run(self, operation: Operation, count: int) -> tuple[float, float]:
        """Make so many calls, and their rows before; return the wall and the processor seconds that one call took."""
        if not operation.repeats:
            self._keeper.store(operation, count)
        answer = self._ask("run", operation, count)
        return answer["seconds"], answer["cpu"]

    def crowd(self, operation: Operation, count: int, threads: int, seconds: float) -> dict[str, float]:
        """Let threads repeat so many calls for so long; return what `benchmarks.worker.crowd` does."""
        return self._ask("crowd", operation, count, threads=threads, seconds=seconds)

    def memory(self) -> dict[str, float]:
        """Return what Python allocated in the process and still holds, and its resident memory, in MiB."""
        return {"traced MiB": self._ask("memory")["traced"] / 2**20, "resident MiB": resident_mib(self.pid)}

    def _ask(self, do: str, operation: Operation | None = None, count: int = 0, **crowd: float) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"do": do, "operation": operation and operation.name, "count": count, **crowd}
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError("the process ended")
        answer: dict[str, float] = json.loads(line)
        if "error" in answer:
            raise WorkerError(str(answer["error"]))
        return answer


@contextmanager
def worker(
    database: str,
    environment: Mapping[str, str],
    table: str = TIMED,
    *,
    python: Path | None = None,
    keeper: Worker | None = None,
) -> Iterator[Worker]:
    """Yield a process that runs the operations of a table.

    Args:
        table: the module and the variable that has it.
        python: of another environment than this one, as the baseline's.
    """
    settings = {**environment, "DATABASE_BACKEND": database}
    if python is None:
        settings["PYTHONPATH"] = str(_WORKER.parents[1])
    # Only here and on PostgreSQL, `DbActor.delete` also deletes the actor's other rows.
    deletes = "cascades" if python is None and database == "postgresql" else "lists"
    command = [python or sys.executable, "-P", _WORKER, database, deletes, table]
    with subprocess.Popen(
        command,
        env=bare_environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Worker(process, keeper)
        finally:
            process.kill()


def bare_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a process of its own gets: the settings, and nothing else that could change what it does."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | dict(settings)


def baseline_python(section: Section) -> Path | None:
    """Return the Python of an environment with the baseline; None, and a note, if it cannot be installed."""
    try:
        with cached_environment("baseline-3.15.1", _BASELINE) as python:
            return python
    except InstallationError as error:
        section.notes.append(f"The baseline is left out: {error}")
        return None


def upgrade_baseline(python: Path, environment: Mapping[str, str]) -> None:
    """Make the baseline's PostgreSQL tables, by the Alembic configuration that it ships."""
    (found,) = python.parents[1].glob("lib/python*/site-packages/actingweb/db/postgresql/alembic.ini")
    command = [str(python), "-m", "alembic", "-c", str(found), "upgrade", "head"]
    settings = bare_environment(environment)
    subprocess.run(command, cwd=found.parent, env=settings, capture_output=True, check=True, timeout=120)


@dataclass(frozen=True)
class Times:
    """What each contender took in each round, in seconds a call."""

    wall: Mapping[str, list[float]]
    cpu: Mapping[str, list[float]]

    def compared(self, measure: str) -> Figure | None:
        """Return the ratio or the difference that a measure names, None if one of the contenders is missing."""
        prefix, one, sign, other = operands(measure)
        times = self.cpu if prefix else self.wall
        if one not in times or other not in times:
            return None
        if sign == "/":
            return ratio(times[one], times[other])
        return figure([(more - less) * 1e6 for more, less in zip(times[one], times[other], strict=True)])

    def report(self, section: Section, operation: Operation, targets: Targets) -> None:
        """Add a row to the section, and judge the measures by their targets: the `least` or `most` of each."""
        row: dict[str, Any] = {"µs a call": operation.name, **_microseconds(self.wall)}
        compared = {measure: self.compared(measure) for measure in ("ours / floor", "baseline / ours")}
        row |= {measure: found for measure, found in compared.items() if found is not None}
        section.add(row | {f"CPU {name}": found for name, found in _microseconds(self.cpu).items()})
        for measure, bounds in targets.items():
            section.judge(operation.name, measure, self.compared(measure), **bounds)


def _microseconds(times: Mapping[str, list[float]]) -> dict[str, Figure]:
    return {name: figure([seconds * 1e6 for seconds in each]) for name, each in times.items()}


def interleave(contenders: Mapping[str, Callable[[], tuple[float, float]]], rounds: int) -> Times:
    """Let contenders take turns, each round in another order; one round before that warms them up.

    A contender returns the wall and the processor seconds that a call took.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1, rounds):
        for name in names:
            took = contenders[name]()
            if number >= 0:
                found[name].append(took)
        names = [*names[1:], names[0]] if number % 2 else names[::-1]
    wall, cpu = ({name: [took[part] for took in each] for name, each in found.items()} for part in (0, 1))
    return Times(wall, cpu)


def compare(
    section: Section,
    operations: Iterable[Operation],
    workers: Mapping[str, Worker],
    rounds: int,
    *,
    calls: Callable[[Operation], int] = lambda operation: operation.count,
    ready: Callable[[], Any] = bool,
) -> Iterator[tuple[Operation, Times]]:
    """Let workers run each operation in turn, and yield it with their times.

    Args:
        section: notes what the baseline cannot do.
        calls: how many calls of an operation a round has.
        ready: is called when the workers have run an operation once.
    """
    for operation in operations:
        count, contenders = calls(operation), {}
        for name, one in workers.items():
            try:
                one.store(operation, count)
                one.run(operation, count)
            except WorkerError as error:
                if name != "baseline":
                    raise
                section.notes.append(f"The baseline did not do “{operation.name}”: {error}")
                continue
            contenders[name] = partial(one.run, operation, count)
        ready()
        # An operation on a thousand rows takes long.
        yield operation, interleave(contenders, rounds if operation.count > 1 else max(3, rounds // 3))


def crowd_rates(
    workers: Mapping[str, Worker], operation: Operation, threads: int, seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Let threads of each worker repeat an operation, in turn; return the calls a second of each, round by round.

    One round before the others warms up.
    """
    for one in workers.values():
        one.store(operation, operation.count)
    runs = [
        {name: one.crowd(operation, operation.count, threads, seconds)["rate"] for name, one in workers.items()}
        for _ in range(-1, rounds)
    ][1:]
    return {name: [run[name] for run in runs] for name in workers}
