"""docs/reliability.md has the figures of the last run, and tests for each kind of fault."""

import re

from tests.faults.report import PAGE, page


def test_the_figures_are_those_of_the_last_run() -> None:
    assert page() == PAGE.read_text()


def test_each_kind_of_fault_has_its_tests() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 18))
    assert all(re.search(r"`tests/[\w/]+\.py`", row) for row in rows)
