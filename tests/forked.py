"""Python programs in processes that are forked from one that has imported their packages.

A fork takes a few milliseconds of processor time, a fresh interpreter half a second. Where a test is about the start
of a program, or its place in the list of processes, use `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from tests.support import PATIENCE

__all__ = ["CONTEXT", "Program", "become", "run", "use_only"]

CONTEXT = multiprocessing.get_context("forkserver")
"""What makes the processes. A module with a function to call in one need not set what is imported before."""
CONTEXT.set_forkserver_preload(
    [
        "actingweb.cli.app",
        "actingweb.cli.doctor_report",
        "actingweb.cli.schema_commands",
        "actingweb.migration.cli.export",
        "actingweb.migration.cli.load",
        "actingweb.migration.cli.plan",
        "actingweb.migration.cli.run",
        "actingweb.migration.cli.validate",
        "alembic.command",
        "alembic.config",
        "botocore.session",
        "pytest",
        "rich.markdown",
        "rich.panel",
        "rich.table",
        "sqlalchemy.dialects.postgresql.psycopg",
    ]
)


def use_only(environment: Mapping[str, str]) -> None:
    """Let the current process have these variables and no others: a fork has those that the first test had."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


class Program:
    """A running program, with what tests use of `subprocess.Popen`.

    Args:
        arguments: those of the interpreter, without options: a file, `-m` and a module, or `-c` and a text, and then
            the program's own.
        directory: the working directory.
        environment: all its variables; those that an interpreter reads at its start have no effect.
        one_output: whether stderr goes where stdout goes.
    """

    def __init__(
        self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], one_output: bool = False
    ) -> None:
        self.arguments = tuple(arguments)
        self._files = TemporaryDirectory(prefix="aw-forked-")
        output = Path(self._files.name, "output")
        self._outputs = (output, output if one_output else Path(self._files.name, "errors"))
        for path in self._outputs:
            path.touch()
        work = (self.arguments, directory, dict(environment), self._outputs)
        self._process = CONTEXT.Process(target=_become, args=work)
        self._process.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the number of the signal that ended it, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to it if it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it if it runs."""
        self._process.kill()

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end and return what it printed on stdout and stderr. Raise `TimeoutError` if it does not end."""
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"{self.arguments} has not ended in {timeout} s")
        output, errors = (path.read_text() for path in self._outputs)
        return output, errors

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.kill()
        self._process.join()
        self._files.cleanup()


def run(
    arguments: Sequence[str], directory: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, by default in this directory and this environment."""
    with Program(arguments, directory or Path.cwd(), os.environ if environment is None else environment) as program:
        output, errors = program.communicate(PATIENCE)
    assert program.returncode is not None
    return subprocess.CompletedProcess(program.arguments, program.returncode, output, errors)


def _become(
    arguments: tuple[str, ...], directory: Path, environment: dict[str, str], outputs: tuple[Path, Path]
) -> None:
    streams = [os.open(path, os.O_RDWR | os.O_APPEND) for path in (os.devnull, *outputs)]
    become(arguments, directory, environment, streams)


def become(arguments: Sequence[str], directory: Path, environment: Mapping[str, str], streams: Sequence[int]) -> None:
    """Be a program in the current process. `streams`, its standard streams, are descriptors that this closes."""
    os.chdir(directory)
    use_only(environment)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - they stay open
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.orig_argv = [sys.executable, *arguments]
    match arguments:
        case ("-m", module, *rest):
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ("-c", text, *rest):
            sys.argv = ["-c", *rest]
            exec(text, {"__name__": "__main__"})
        case ("-", *rest):
            sys.argv = ["-", *rest]
            exec(sys.stdin.read(), {"__name__": "__main__"})
        case (script, *_):
            sys.argv = list(arguments)
            runpy.run_path(script, run_name="__main__")
