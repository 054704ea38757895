"""The baseline: the public package `actingweb`, in an environment and processes of its own, driven from outside."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.interleave import Contender
from testbed.operations.timed import Operation

__all__ = ["Baseline", "BaselineError", "Worker", "bare_environment", "baseline", "worker"]

PACKAGE = "actingweb[postgresql]==3.15.1"
_DIRECTORY = f"baseline-3.15.1-python{sys.version_info.major}.{sys.version_info.minor}"
_WORKER = Path(__file__).parent / "driver" / "worker.py"


class BaselineError(RuntimeError):
    """The baseline cannot be installed, or cannot do what it is asked."""


def baseline_python() -> Path:
    """Return the Python of an environment with the baseline, which is made if it is not there. Raise `BaselineError`.

    It is kept in `$ACTINGWEB_CACHE`, else `~/.cache/actingweb`.
    """
    cache = Path(os.environ.get("ACTINGWEB_CACHE") or Path.home() / ".cache" / "actingweb")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{_DIRECTORY}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = cache / _DIRECTORY
        if not (directory / "ready").exists():
            _install(directory)
    return directory / "bin" / "python"


def _install(directory: Path) -> None:
    try:
        venv.create(directory, clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BaselineError(f"no environment can be made for it: {error}") from None
    options = ["--quiet", "--disable-pip-version-check", "--retries=2", "--timeout=15"]
    command = [directory / "bin" / "python", "-m", "pip", "install", *options, PACKAGE]
    _run(command, f"the package registry did not give {PACKAGE}", 300)
    (directory / "ready").touch()


def upgrade(python: Path, environment: Mapping[str, str]) -> None:
    """Make the baseline's PostgreSQL tables, by the Alembic configuration that it ships. Raise `BaselineError`."""
    (found,) = python.parent.parent.glob("lib/python*/site-packages/actingweb/db/postgresql/alembic.ini")
    command = [python, "-m", "alembic", "-c", found, "upgrade", "head"]
    _run(command, "the baseline's schema cannot be made", 120, cwd=found.parent, env=bare_environment(environment))


def _run(command: Sequence[Any], failure: str, seconds: float, **options: Any) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired:
        raise BaselineError(f"{failure} within {seconds} s") from None
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise BaselineError(f"{failure}: {reason}")


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

    def _ask(self, what: str, operation: str, count: int) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": what, "operation": operation, "count": count}) + "\n")
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
    command = [str(python), str(_WORKER), database, "cascades" if cascades else "lists", operations]
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

        def run() -> tuple[float, float]:
            if not operation.repeats:
                self.near.store(operation.name, count)
            return process.run(operation.name, count)

        if operation.name in self.missing:
            return None
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
