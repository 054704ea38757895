"""The run on several releases of PostgreSQL, and what is said of it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.supply.packages import ROOT

from .run import PAGE, SUITES
from .server import RELEASES


def test_a_release_that_is_not_known_is_refused() -> None:
    command = [sys.executable, "-m", "tests.versions.run", "12", "9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"versions: not known: 9; there are {', '.join(RELEASES)}\n"


@pytest.mark.skipif(not PAGE.exists(), reason="no run of all releases yet: make test-postgresql-versions")
def test_the_page_has_a_row_without_failures_for_each_release() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+)\S* \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [(release, release) for release in RELEASES] == [row[:2] for row in rows]
    assert all(re.fullmatch(r"\d+ passed(, \d+ skipped)?(, .*)?", row[2]) for row in rows)
    assert all(f"`tests/{suite}`" in PAGE.read_text() for suite in SUITES)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_documents_name_the_releases(document: str) -> None:
    text = (ROOT / document).read_text()
    assert f"PostgreSQL {min(RELEASES, key=int)} to {max(RELEASES, key=int)}" in text
