"""Starting, watching and stopping a server process."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from actingweb.embedded.process import (
    EmbeddedServerError,
    PortTakenError,
    ServerProcess,
    free_port,
    start_on_free_port,
)
from tests.embedded.processes import ends, process_runs


def _python(code: str, port: int, directory: Path) -> ServerProcess:
    return ServerProcess(
        [sys.executable, "-c", code],
        port=port,
        directory=directory,
        log=directory / "server.log",
        stop_signal=signal.SIGTERM,
    )


def test_a_server_that_ends_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    server = _python("raise SystemExit('out of luck')", free_port(), tmp_path)
    with pytest.raises(EmbeddedServerError, match="ended with 1: out of luck"):
        server.start(lambda: False)


def test_a_server_that_ends_because_its_port_is_taken_is_told_apart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = _python("raise SystemExit(1)", other.getsockname()[1], tmp_path)
        with pytest.raises(PortTakenError):
            server.start(lambda: False)


def test_another_port_is_tried_when_one_is_taken() -> None:
    tried: list[int] = []

    def start(port: int) -> str:
        tried.append(port)
        if len(tried) < 3:
            raise PortTakenError("taken")
        return "started"

    assert start_on_free_port(start) == "started"
    assert len(tried) == 3


def test_a_server_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    pids: list[int] = []
    server = _python("import time; time.sleep(60)", free_port(), tmp_path)

    def never_ready() -> bool:
        pids.append(server.pid)
        return False

    with pytest.raises(EmbeddedServerError, match="not ready after"):
        server.start(never_ready, timeout=0.2)
    assert ends(pids[0])


def test_a_server_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    server = _python(code, free_port(), tmp_path)
    server.start(lambda: "up" in (tmp_path / "server.log").read_text())
    pid = server.pid
    server.stop(timeout=0.2)
    assert not process_runs(pid)


def test_kill_takes_the_children_along(tmp_path: Path) -> None:
    code = "import subprocess, sys\nwith subprocess.Popen(['sleep', '60']) as p: print(p.pid, flush=True); p.wait()"
    server = _python(code, free_port(), tmp_path)
    log = tmp_path / "server.log"
    server.start(lambda: bool(log.read_text()))
    child = int(log.read_text())
    assert process_runs(child)
    server.kill()
    assert ends(child)


def test_the_servers_see_no_secret_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_DB_PASSWORD", "hunter2")
    server = _python("import os, time; print(dict(os.environ), flush=True); time.sleep(60)", free_port(), tmp_path)
    server.start(lambda: bool((tmp_path / "server.log").read_text()))
    server.stop()
    assert "hunter2" not in (tmp_path / "server.log").read_text()
