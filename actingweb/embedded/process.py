"""Server processes that log to a file, die with this process and are stopped by pid."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_LOG_TAIL_BYTES = 2000

T = TypeVar("T")


class EmbeddedServerError(RuntimeError):
    """A private server cannot be found, started or stopped."""


class PortTakenError(EmbeddedServerError):
    """Another process listens on the port that was meant for the server."""


@dataclass(frozen=True)
class Account:
    """A user of the operating system that runs a server."""

    name: str
    uid: int
    gid: int


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start_on_free_port(start: Callable[[int], T], attempts: int = 3) -> T:
    """Call `start` with a free port, again with another one while somebody else takes it first."""
    for _ in range(attempts - 1):
        try:
            return start(free_port())
        except PortTakenError:
            continue
    return start(free_port())


def run_as(account: Account | None, command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end as `account`, None being the current user, and return its output."""
    uid, gid, groups = _identity(account)
    return subprocess.run(
        command,
        cwd=directory,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=uid,
        group=gid,
        extra_groups=groups,
    )


class ServerProcess:
    """One server process. On Linux it also ends when the thread that started it does.

    `stop_signal` asks the server for an orderly end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        directory: Path,
        log: Path,
        stop_signal: signal.Signals,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._port = port
        self._directory = directory
        self._log = log
        self._stop_signal = stop_signal
        self._account = account
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the running server. Raise `EmbeddedServerError` if there is none."""
        if self._process is None:
            raise EmbeddedServerError("the server is not running")
        return self._process.pid

    def start(self, ready: Callable[[], bool], timeout: float = 60.0) -> None:
        """Start the server and wait until `ready` says True.

        Raise `PortTakenError` if somebody else has the port, `EmbeddedServerError` if the server ends or is not ready
        after `timeout` seconds.
        """
        self._process = self._spawn()
        deadline = time.monotonic() + timeout
        while not ready():
            self._check_alive(self._process)
            if time.monotonic() > deadline:
                self.kill()
                raise EmbeddedServerError(f"{self._command[0]} is not ready after {timeout} s: {self._log_tail()}")
            time.sleep(_POLL_SECONDS)
        self._check_alive(self._process)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask the server to end, kill it after `timeout` seconds. Do nothing if it is not running."""
        if self._process is None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill the server and its children with SIGKILL. Do nothing if it is not running."""
        if self._process is None:
            return
        # Stopped first, so that no child is started after they are listed.
        self._process.send_signal(signal.SIGSTOP)
        children = _children(self._process.pid)
        self._process.kill()
        self._process.wait()
        for child in children:
            _kill_orphan(child)
        self._process = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        uid, gid, groups = _identity(self._account)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=_environment() | dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=groups,
                preexec_fn=_death_with_parent(self._stop_signal),
            )

    def _check_alive(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            return
        self._process = None
        if _port_taken(self._port):
            raise PortTakenError(f"port {self._port} is taken")
        raise EmbeddedServerError(f"{self._command[0]} ended with {process.returncode}: {self._log_tail()}")

    def _log_tail(self) -> str:
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()


def _identity(account: Account | None) -> tuple[int | None, int | None, list[int] | None]:
    return (None, None, None) if account is None else (account.uid, account.gid, [])


def _environment() -> dict[str, str]:
    # The servers see neither this process's PG* settings nor its secrets.
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "DOCKER_HOST")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def _death_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def _port_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    if listing.exists():
        return [int(child) for child in listing.read_text().split()]
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def _kill_orphan(pid: int) -> None:
    """Kill a process that is no child of this one and wait until it has ended."""
    try:
        os.kill(pid, signal.SIGKILL)
        while not _is_zombie(pid):
            os.kill(pid, 0)
            time.sleep(_POLL_SECONDS / 10)
    except ProcessLookupError:
        return


def _is_zombie(pid: int) -> bool:
    # Process 1 of a container may never reap.
    try:
        return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
