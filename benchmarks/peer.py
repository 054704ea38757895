"""The peer: the public package `actingweb`, in an environment and processes of its own, driven from outside."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["PACKAGE", "PeerError", "Worker", "bare_environment", "peer_python", "upgrade_peer", "worker"]

PACKAGE = "actingweb[postgresql]==3.15.1"
_DIRECTORY = f"peer-3.15.1-python{sys.version_info.major}.{sys.version_info.minor}"
_PIP_SECONDS = 300
_UPGRADE_SECONDS = 120
_WORKER = Path(__file__).parent / "driver" / "worker.py"


class PeerError(RuntimeError):
    """The peer cannot be installed, or cannot do what it is asked."""


def peer_python() -> Path:
    """Return the Python of an environment with the peer, which is made if it is not there. Raise `PeerError`.

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
        raise PeerError(f"no environment can be made for it: {error}") from None
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        result = subprocess.run(
            [*pip, "--retries=2", "--timeout=15", PACKAGE],
            capture_output=True,
            text=True,
            timeout=_PIP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"the package registry did not give {PACKAGE} within {_PIP_SECONDS} s") from None
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise PeerError(f"the package registry is unreachable or refuses {PACKAGE}: {reason}")
    (directory / "ready").touch()


def upgrade_peer(python: Path, environment: Mapping[str, str]) -> None:
    """Make the peer's PostgreSQL tables, by the Alembic configuration that it ships. Raise `PeerError`."""
    (found,) = python.parent.parent.glob("lib/python*/site-packages/actingweb/db/postgresql/alembic.ini")
    try:
        result = subprocess.run(
            [str(python), "-m", "alembic", "-c", str(found), "upgrade", "head"],
            cwd=found.parent,
            env=bare_environment(environment),
            capture_output=True,
            text=True,
            timeout=_UPGRADE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"the peer's schema was not made within {_UPGRADE_SECONDS} s") from None
    if result.returncode != 0:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        raise PeerError(f"the peer's schema cannot be made: {reason}")


class Worker:
    """A process that runs operations. Its methods raise `PeerError` if it cannot."""

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
            raise PeerError("the process ended")
        answer: dict[str, float] = json.loads(line)
        if "error" in answer:
            raise PeerError(str(answer["error"]))
        return answer


@contextmanager
def worker(
    python: Path | str,
    environment: Mapping[str, str],
    database: str,
    *,
    cascades: bool = False,
    operations: str = "workload",
) -> Iterator[Worker]:
    """Yield a process of this Python that runs the operations of a module in `benchmarks/driver`."""
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
