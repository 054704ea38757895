"""What becomes of a command when nobody takes what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from actingweb.migration.target.connection import Target
from tests.migration.cli_tool import ROOT, SCRIPT, Tool, without_progress
from tests.migration.loads import DOCUMENTS, expected, stored
from tests.support import PATIENCE

Completed = subprocess.CompletedProcess[str]

CONSOLE = [str(Path(sys.executable).with_name("actingweb-db"))]
VERIFY = [sys.executable, "-m", "actingweb.db.verify_tables"]
COMMANDS = {
    "help of the console command": [*CONSOLE, "--help"],
    "help of the tool": [*CONSOLE, "migrate", "--help"],
    "help of the script": [sys.executable, str(SCRIPT), "--help"],
    "help of a command": [*CONSOLE, "migrate", "import", "--help"],
    "no command": [*CONSOLE],
    "help of verify_tables": [*VERIFY, "--help"],
    "verify_tables": [*VERIFY, "--list"],
    "a program": [sys.executable, "-c", "from actingweb.db.program import run; run(lambda: print('x' * 999999), 1)"],
}
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "COLUMNS": "80", "AWS_DB_PREFIX": "demo_"}
FAILED = {"verify_tables": 2, "help of verify_tables": 2, "a program": 1}


def by_shell(
    command: list[str], rest: str, directory: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, whose `"$@"` it is."""
    result = subprocess.run(
        ["/bin/bash", "-c", f'"$@" {rest}', "bash", *command],
        cwd=directory,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    result.stderr = without_progress(result.stderr)
    return result


def without_reader(command: Sequence[str], directory: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Run a command whose stdout is a pipe that nobody reads; return its exit code and what is on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        command,
        cwd=directory,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=280,
        check=False,
    )
    os.close(writer)
    return result.returncode, without_progress(result.stderr)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_pipe_ends_it_quietly(name: str, unbuffered: str) -> None:
    assert without_reader(COMMANDS[name], PYTHONUNBUFFERED=unbuffered) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told(name: str) -> None:
    result = by_shell(COMMANDS[name], "> /dev/full")
    assert (result.returncode, result.stderr) == (
        FAILED.get(name, 7),
        "ERROR: stdout cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_output_is_told(name: str) -> None:
    result = by_shell(COMMANDS[name], ">&-")
    assert (result.returncode, result.stderr) == (
        FAILED.get(name, 7),
        "ERROR: stdout cannot be written: it is closed\n",
    )


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_what_was_done_stays_done(tool: Tool, target: Target, json: list[str]) -> None:
    command = [sys.executable, *tool.program, "import", "--input-dir", "files", *json]
    assert without_reader(command, tool.directory, **tool.environment) == (141, "")
    assert stored(target) == expected(DOCUMENTS)
    result = by_shell([*command, "--skip-duplicates"], "> /dev/full", tool.directory, **tool.environment)
    assert (result.returncode, result.stderr) == (7, "ERROR: stdout cannot be written: No space left on device\n")


def test_errors_that_nobody_reads_change_nothing(tool: Tool, target: Target) -> None:
    command = [sys.executable, *tool.program, "import", "--input-dir", "files"]
    for rest in ("2>&-", "2>/dev/full", "<&- 2>&-"):
        result = by_shell(
            [*command, "--skip-duplicates", "--log-level", "DEBUG"], rest, tool.directory, **tool.environment
        )
        assert (result.returncode, "properties" in result.stdout) == (0, True)
    assert stored(target) == expected(DOCUMENTS)
    result = by_shell([*command, "--input-dir", "nowhere"], "2>&1 >&- | cat; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stdout) == (7, "ERROR: stdout cannot be written: it is closed\n")
    assert by_shell([*command, "--input-dir", "nowhere"], "2>&-").returncode == 2


def test_the_demo_ends_so_too() -> None:
    code, errors = without_reader([sys.executable, "-m", "examples.run_demo"])
    assert (code, "Traceback" in errors, "BrokenPipe" in errors) == (141, False, False)


def test_a_late_ctrl_c_leaves_the_exit_code_as_it_is() -> None:
    """Of a second one, which comes while the interpreter is shutting down."""
    program = (
        "import os, signal\n"
        "from actingweb.db.program import run\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, process=os.getpid(), number=signal.SIGINT):\n"
        "        kill(process, number)\n"
        "late = Late()\n"
        "run(lambda: 130, 7)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (130, "")
