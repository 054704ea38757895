"""What a run of the tests says at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply.packages import ROOT

SKIPPED = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_skipped(number):
    pytest.skip("no PgBouncer: apt-get install pgbouncer")

@pytest.mark.skipif(True, reason="no jq: apt-get install jq")
def test_other():
    pass

def test_passed():
    pass
"""
OUTCOMES = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("setup")

@pytest.fixture
def breaking():
    yield
    raise RuntimeError("teardown")

def test_passed(): pass
def test_failed(): assert False
def test_error(broken): pass
def test_other_error(breaking): pass
def test_skipped(): pytest.skip("why")

@pytest.mark.xfail
def test_expected(): assert False
"""
SAID = "skipped: 3 (no PgBouncer: apt-get install pgbouncer); 1 (no jq: apt-get install jq)"


def run(directory: Path, *arguments: str, code: int = 0) -> list[str]:
    """Run tests in a directory and return the lines that pytest prints."""
    plugins = ("-p", "tests.skips", "-p", "tests.reports", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *plugins, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout.splitlines()


def last_lines(directory: Path, *arguments: str) -> list[str]:
    """Run tests in a directory and return the last two lines of what pytest prints."""
    return run(directory, *arguments)[-2:]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_last_line_says_what_was_skipped_and_how_to_get_it(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED)
    closing, last = last_lines(tmp_path, "--numprocesses", processes)
    assert "1 passed, 4 skipped in " in closing
    assert last == SAID


def test_nothing_is_said_when_nothing_was_skipped(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_passed():\n    pass\n")
    assert "1 passed in " in last_lines(tmp_path)[-1]


@pytest.mark.parametrize("processes", ["0", "1"])
def test_outcomes_are_reported(processes: str, tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(OUTCOMES)
    *_, closing, last = lines = run(tmp_path, "--numprocesses", processes, code=1)
    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 2 errors in " in closing
    assert last == "skipped: 1 (why)"
    assert any("[100%]" in line for line in lines)


def test_the_time_of_each_step_is_reported_if_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_passed(): pass")
    lines = run(tmp_path, "--numprocesses=1", "--durations=0", "-vv")
    steps = {line.split()[1] for line in lines if line.endswith("::test_passed") and "s " in line}
    assert steps >= {"call", "setup", "teardown"}
