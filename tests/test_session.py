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
SAID = "skipped: 3 (no PgBouncer: apt-get install pgbouncer); 1 (no jq: apt-get install jq)"


def last_lines(directory: Path, *arguments: str) -> list[str]:
    """Run tests in a directory and return the last two lines of what pytest prints."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-2:]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_the_last_line_says_what_was_skipped_and_how_to_get_it(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_some.py").write_text(SKIPPED)
    closing, last = last_lines(tmp_path, "--numprocesses", processes)
    assert "1 passed, 4 skipped in " in closing
    assert last == SAID


def test_nothing_is_said_when_nothing_was_skipped(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_passed():\n    pass\n")
    assert "1 passed in " in last_lines(tmp_path)[-1]
