"""The baseline: the public package `actingweb`, in an environment and processes of its own, driven from outside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.interleave import Contender
from testbed.environments import cached_environment
from testbed.operations.timed import Operation

__all__ = ["Baseline", "BaselineError", "Worker", "bare_environment", "baseline", "worker"]

PACKAGE = "actingweb[postgresql]==3.15.1"
_WORKER = Path(__file__).with_name("worker.py")


class BaselineError(RuntimeError):
    """The baseline cannot do what it is asked."""


def baseline_python() -> Path:
    """Return the Python of an environment with the baseline. Raise `InstallationError`."""
    with cached_environment("baseline-3.15.1", PACKAGE) as python:
        return python


def upgrade(python: Path, environment: Mapping[str, str]) -> None:
    """Make the baseline's PostgreSQL tables, by the Alembic configuration that it ships. Raise `BaselineError`."""
    (found,) = python.parents[1].glob("lib/python*/site-packages/actingweb/db/postgresql/alembic.ini")
    command = [str(python), "-m", "alembic", "-c", str(found), "upgrade", "head"]
    settings = bare_environment(environment)
    result = subprocess.run(command, cwd=found.parent, env=settings, capture_output=True, text=True, timeout=120)
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise BaselineError(f"the baseline's schema cannot be made: {reason}")


class Worker:
    """A process that runs operations. Its methods raise `BaselineError` if it cannot."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def store(self, operation: str, count: int) -> None:
        """Make the rows that so many calls need."""
        self._ask("store", operation, count)

    def run(self, operation: str, count: int) -> tuple[float, float]:
        """Make so many calls; return the seconds and the seconds of processor time that one took."""
        answer = self._ask("run", operation, count)
        return answer["seconds"], answer["cpu"]

    def contender(self, operation: Operation, count: int, keeper: Worker | None = None) -> Contender:
        """Return what runs a round; the rows that it needs are stored by this process or another."""

        def run() -> tuple[float, float]:
            if not operation.repeats:
                (keeper or self).store(operation.name, count)
            return self.run(operation.name, count)

        return run

    def rate(self, operation: str, count: int, threads: int, seconds: float) -> float:
        """Let threads repeat so many calls for so long; return how many they made a second."""
        return self._ask("rate", operation, count, threads=threads, seconds=seconds)["rate"]

    def _ask(self, do: str, operation: str, count: int, **crowd: float) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, "operation": operation, "count": count, **crowd}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BaselineError("the process ended")
        answer: dict[str, float] = json.loads(line)
        if "error" in answer:
            raise BaselineError(str(answer["error"]))
        return answer


@contextmanager
def worker(
    python: Path | str,
    environment: Mapping[str, str],
    database: str,
    *,
    cascades: bool = False,
    operations: str = "operations.timed:TIMED",
) -> Iterator[Worker]:
    """Yield a process of this Python that runs the operations of a table, named by module and variable."""
    command = [str(python), "-P", str(_WORKER), database, "cascades" if cascades else "lists", operations]
    with subprocess.Popen(
        command,
        env=bare_environment({**environment, "DATABASE_BACKEND": database}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()


def bare_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a process of its own gets: the settings, and nothing else that could change what it does."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return inherited | dict(settings)


@dataclass
class Baseline:
    """The baseline's processes, one behind a network or the same twice, and what it could not do."""

    near: Worker
    far: Worker
    missing: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return a sentence for each operation that it could not do."""
        return [f"The baseline did not do “{name}”: {why}" for name, why in self.missing.items()]

    def contender(self, operation: Operation, count: int, process: Worker) -> Contender | None:
        """Return what runs a round, or None if the baseline cannot run the operation."""
        if operation.name in self.missing:
            return None
        run = process.contender(operation, count, self.near)
        try:
            self.near.store(operation.name, count)
            run()
        except BaselineError as error:
            self.missing[operation.name] = str(error)
            return None
        return run


@contextmanager
def baseline(
    python: Path | None, database: str, environment: Mapping[str, str], far: Mapping[str, str] | None = None
) -> Iterator[Baseline | None]:
    """Yield the baseline on these settings, and on others for the network; None without a Python that has it."""
    with ExitStack() as stack:
        if python is None:
            yield None
            return
        near = stack.enter_context(worker(python, environment, database))
        yield Baseline(near, near if far is None else stack.enter_context(worker(python, far, database)))
