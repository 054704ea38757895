"""Watching the processes of embedded servers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import PATIENCE


def process_runs(pid: int) -> bool:
    """Tell if `pid` is a process that has not ended, a zombie having ended."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(pid: int, seconds: float = PATIENCE) -> bool:
    """Wait until `pid` ends; False if it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while process_runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def dies_with_parent(module: str, server: str) -> bool:
    """Start a server in a process of its own, kill that process with SIGKILL and tell if the server ends too."""
    code = (
        f"import time\nfrom {module} import {server}\n"
        f"server = {server}()\nserver.start()\nprint(server.pid, server.directory, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        assert process_runs(int(pid))
        os.kill(parent.pid, signal.SIGKILL)
    ended = ends(int(pid))
    shutil.rmtree(directory)
    return ended
