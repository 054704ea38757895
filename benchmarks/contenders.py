"""The contenders: processes that run the same operations, taking turns, so that a busy moment strikes all of them.

One of them is the baseline: the public package `actingweb`, in an environment of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.machine import note, resident_mib
from benchmarks.results import Figure, Section, figure, operands, ratio
from testbed.environments import InstallationError, cached_environment
from testbed.operations.operation import Operation

T = TypeVar("T")

TIMED, GROWTH = "operations.timed:TIMED", "operations.timed:GROWTH"
FLOOR, BOTOCORE, FLOOR_OF_GROWTH = (f"benchmarks.floor:{name}" for name in ("FLOOR", "BOTOCORE", "GROWTH"))
"""The tables of operations that a worker may run."""

Targets = Mapping[str, Mapping[str, float]]
"""The bounds of measures, `least` and `most`, by what `Times.compared` returns."""

_BASELINE = "actingweb[postgresql]==3.15.1"
_WORKER, _PROGRAMS = (Path(__file__).with_name(name) for name in ("worker.py", "programs.py"))


class WorkerError(RuntimeError):
    """A worker cannot do what it is asked."""


class Program(subprocess.Popen[str]):
    """A process that answers lines on its stdin by lines on its stdout. The end of a `with` block kills it."""

    def __init__(self, *command: object, environment: Mapping[str, str] | None = None, stderr: int | None = None):
        arguments, pipe = list(map(str, command)), subprocess.PIPE
        super().__init__(arguments, env=environment, stdin=pipe, stdout=pipe, stderr=stderr, text=True)

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)

    def line(self) -> str:
        """Return the next line of its answers, or "" if it ended."""
        assert self.stdout is not None
        return self.stdout.readline().rstrip("\n")

    def ask(self, **request: object) -> dict[str, float]:
        """Send a JSON object and return the one that it answers. Raise `WorkerError` for an "error", or if it ended."""
        assert self.stdin is not None
        with suppress(BrokenPipeError):
            print(json.dumps(request), file=self.stdin, flush=True)
        answer: dict[str, float] = json.loads(self.line() or '{"error": "the process ended"}')
        if "error" in answer:
            raise WorkerError(str(answer["error"]))
        return answer


def one_of_programs(name: str, environment: Mapping[str, str]) -> Program:
    """Start a program of `benchmarks/programs.py`."""
    return Program(sys.executable, "-P", _PROGRAMS, name, environment=environment)


def figure_of(tree: Path | str, name: str) -> float:
    """Return the number that a program of `benchmarks/programs.py` prints with the library of a tree."""
    with one_of_programs(name, {**os.environ, "PYTHONPATH": str(tree)}) as process:
        return float(process.line())


class Worker(Program):
    """A process that runs the operations of a table. Its methods raise `WorkerError` if it cannot.

    Args:
        table: the module and the variable that has it.
        python: of another environment than this one, as the baseline's.
        keeper: who stores the rows that an operation needs, if not the process itself.
    """

    def __init__(
        self,
        database: str,
        environment: Mapping[str, str],
        table: str = TIMED,
        *,
        python: Path | None = None,
        keeper: Worker | None = None,
    ) -> None:
        settings = {**environment, "DATABASE_BACKEND": database}
        if python is None:
            settings["PYTHONPATH"] = str(_WORKER.parents[1])
        # Only here and on PostgreSQL, `DbActor.delete` also deletes the actor's other rows.
        deletes = "cascades" if python is None and database == "postgresql" else "lists"
        command = python or sys.executable, "-P", _WORKER, database, deletes, table
        super().__init__(*command, environment=bare_environment(settings), stderr=subprocess.DEVNULL)
        self._keeper = keeper or self

    def store(self, operation: Operation, count: int) -> None:
        """Make the rows that so many calls need."""
        self._do("store", operation, count)

    def run(self, operation: Operation, count: int) -> tuple[float, float]:
        """Make so many calls, and their rows before; return the wall and the processor seconds that one call took."""
        if not operation.repeats:
            self._keeper.store(operation, count)
        answer = self._do("run", operation, count)
        return answer["seconds"], answer["cpu"]

    def crowd(self, operation: Operation, count: int, threads: int, seconds: float) -> dict[str, float]:
        """Let threads repeat so many calls for so long; return what `benchmarks.worker.crowd` does."""
        return self._do("crowd", operation, count, threads=threads, seconds=seconds)

    def memory(self) -> dict[str, float]:
        """Return what Python allocated in the process and still holds, and its resident memory, in MiB."""
        return {"traced MiB": self.ask(do="memory")["traced"] / 2**20, "resident MiB": resident_mib(self.pid)}

    def _do(self, what: str, operation: Operation, count: int, **crowd: float) -> dict[str, float]:
        return self.ask(do=what, operation=operation.name, count=count, **crowd)


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


class Times:
    """What each contender took in each round, in seconds a call, by the clock on the `wall` and of the processor.

    Args:
        runs: the wall and the processor seconds of each round of each contender.
    """

    def __init__(self, runs: Mapping[str, Iterable[tuple[float, float]]]) -> None:
        self.wall, self.cpu = ({name: [run[part] for run in each] for name, each in runs.items()} for part in (0, 1))

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


def interleave(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Let contenders take turns, each round in another order, and return what each returned in each round.

    One round before the others warms them up.
    """
    found: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names:
            found[name].append(contenders[name]())
        names = names[::-1] if number % 2 else [*names[1:], names[0]]
    return {name: each[1:] for name, each in found.items()}


def calls_far(operation: Operation) -> int:
    """Return how many calls a round over the network has."""
    return min(20, operation.count)


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
    failed = []
    for operation in operations:
        count, contenders = calls(operation), {}
        for name, one in workers.items():
            try:
                one.store(operation, count)
                one.run(operation, count)
            except WorkerError as error:
                if name != "baseline":
                    raise
                note(f"the baseline did not do “{operation.name}”: {error}")
                failed.append(f"“{operation.name}”")
                continue
            contenders[name] = partial(one.run, operation, count)
        ready()
        # An operation on a thousand rows takes long.
        yield operation, Times(interleave(contenders, rounds if operation.count > 1 else max(3, rounds // 3)))
    if failed:
        section.notes.append(f"The baseline has no figures for {', '.join(failed)}: it raised an error.")


def crowd_rates(
    workers: Mapping[str, Worker], operation: Operation, threads: int, seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Let threads of each worker repeat an operation, in turn; return the calls a second of each, round by round."""

    def rate(one: Worker) -> float:
        return one.crowd(operation, operation.count, threads, seconds)["rate"]

    for one in workers.values():
        one.store(operation, operation.count)
    return interleave({name: partial(rate, one) for name, one in workers.items()}, rounds)
