"""Processes in the framework's environment: the application and the framework's commands."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from actingweb.embedded.process import ServerProcess, start_on_free_port

_APPLICATION = Path(__file__).with_name("application.py")
_COMMAND_SECONDS = 120
# A fresh DynamoDB holds the framework's trust types and no indexed property, which the framework takes for a fault.
_HARMLESS = "Property lookup table is empty"


class CommandError(RuntimeError):
    """A command of the framework failed."""


@dataclass(frozen=True)
class Application:
    """A running application: its URL and its log."""

    url: str
    log: Path

    def errors(self) -> list[str]:
        """Return the lines of the log that report an error."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if line.startswith(("ERROR", "CRITICAL", "Traceback")) and _HARMLESS not in line]


@contextmanager
def application(python: Path, environment: Mapping[str, str], port: int | None = None) -> Iterator[Application]:
    """Run the application for the `with` block, on a free port unless one is given."""
    with tempfile.TemporaryDirectory(prefix="aw-framework-") as directory:
        log = Path(directory) / "application.log"
        started: list[ServerProcess] = []

        def start(port: int) -> int:
            server = ServerProcess(
                [str(python), str(_APPLICATION), str(port)],
                port=port,
                directory=Path(directory),
                log=log,
                stop_signal=signal.SIGTERM,
                environment=environment,
            )
            server.start(lambda: _listens(port))
            started.append(server)
            return port

        port = start_on_free_port(start) if port is None else start(port)
        try:
            yield Application(f"http://127.0.0.1:{port}", log)
        finally:
            started[0].stop()


def run_command(python: Path, arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run `python -m` with the arguments and return what it prints. Raise `CommandError` if it fails."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="aw-framework-") as directory:
        result = subprocess.run(
            [str(python), "-m", *arguments],
            cwd=directory,
            env=inherited | dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    if result.returncode != 0:
        raise CommandError(f"{' '.join(arguments)} ended with {result.returncode}:\n{result.stdout}")
    return result.stdout


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
