"""The command line tool, run as users run it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests import forked
from tests.support import PATIENCE
from tests.support import wait_until as wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "migrate_dynamodb_to_postgresql.py"
Running = forked.Program | subprocess.Popen[str]


@dataclass(frozen=True)
class Tool:
    """The tool in a working directory and an environment.

    Attributes:
        program: the arguments of Python that run it.
        fresh: whether it is run by an interpreter of its own, which takes longer, instead of `forked.Program`.
    """

    directory: Path
    environment: Mapping[str, str]
    program: tuple[str, ...] = (str(SCRIPT),)
    fresh: bool = False

    def having(self, **variables: str | None) -> Tool:
        """Return the tool with other variables in its environment, or without those that are None."""
        changed = {**self.environment, **variables}
        return replace(self, environment={name: value for name, value in changed.items() if value is not None})

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, without a terminal; the lines of a slow run that say how far it is are left out."""
        with self.start(*arguments) as running:
            output, errors = running.communicate(timeout=PATIENCE)
        assert running.returncode is not None
        return subprocess.CompletedProcess(arguments, running.returncode, output, without_progress(errors))

    def start(self, *arguments: str) -> Running:
        """Start it without a terminal."""
        if not self.fresh:
            return forked.Program([*self.program, *arguments], self.directory, self.environment)
        return subprocess.Popen(
            [sys.executable, *self.program, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_on_terminal(self, *arguments: str, typed: Mapping[str, str]) -> tuple[int, str]:
        """Run it on a terminal, typing each answer when its question appears; return exit code and what is shown."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.directory)
            os.execve(sys.executable, [sys.executable, *self.program, *arguments], dict(self.environment))
        shown = _talk(terminal, dict(typed))
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


def _talk(terminal: int, typed: dict[str, str]) -> str:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            return shown.decode()
        shown += part
        for question in [question for question in typed if question.encode() in shown]:
            os.write(terminal, f"{typed.pop(question)}\n".encode())


def interrupt(process: Running) -> tuple[int | None, str]:
    """Press Ctrl-C and return the exit code and what stderr says."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, without_progress(errors)


def without_progress(errors: str) -> str:
    """Leave out the lines that say how far a command is, which appear where a machine is busy."""
    return re.sub(r"^(export|import|copy|validate|replay): (\d+ min )?\d+ s( · .*)?\n", "", errors, flags=re.MULTILINE)
