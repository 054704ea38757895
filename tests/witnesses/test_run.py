"""The comparison of a witness's failures with the list of those that are expected."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply.packages import ROOT

from .run import Difference, assign, complaints, failures_in, lists_of, read, written
from .servers import WITNESSES

ONE, OTHER, THIRD = (f"tests/contract/test_x.py::test_{name}[dynamodb]" for name in ("one", "other", "third"))


def test_a_list_that_is_read_and_written_stays_the_same() -> None:
    for name in WITNESSES:
        text = lists_of(name).read_text()
        assert written(read(text)) == text


@pytest.mark.parametrize("name", WITNESSES)
def test_a_list_names_tests_that_exist_and_why_they_fail(name: str) -> None:
    for difference in read(lists_of(name).read_text()):
        assert difference.reason.endswith(".")
        assert difference.tests
        assert bool(difference.pattern) == difference.is_run
        for test in difference.tests:
            module, _, rest = test.partition("::")
            function = rest.partition("[")[0].rpartition("::")[2]
            assert f"def {function}(" in (ROOT / module).read_text(), test


@pytest.mark.parametrize(
    ("failed", "ran", "expected"),
    [
        ({ONE: "as it says"}, {ONE, OTHER}, []),
        ({ONE: "as it says", OTHER: "x"}, {ONE, OTHER}, [f"fails and is not listed: {OTHER}"]),
        ({}, {ONE}, [f"is listed and passes: {ONE}"]),
        ({}, set(), [f"is listed and does not exist: {ONE}"]),
        ({ONE: "something else"}, {ONE}, [f"fails for another reason than 'It differs.': {ONE}"]),
    ],
)
def test_what_is_not_as_listed(failed: dict[str, str], ran: set[str], expected: list[str]) -> None:
    differences = [Difference("It differs.", "as it .ays", {ONE}), Difference("not run: Chance.", "", {THIRD})]
    assert list(complaints(differences, failed, ran)) == expected


def test_an_update_lists_what_a_pattern_explains() -> None:
    differences = [Difference("It differs.", "as it .ays", {THIRD}), Difference("not run: Chance.", "", {THIRD})]
    assign(differences, {ONE: "as it says", OTHER: "something else"})
    assert [one.tests for one in differences] == [{ONE}, {THIRD}]


def test_the_failures_in_a_report(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        "class TestGroup:\n"
        "    @pytest.mark.parametrize('name', ['a::b', '[c]'])\n"
        "    def test_inside(self, name): assert name == '[c]', 'as it says'\n"
        "@pytest.fixture\n"
        "def broken(): raise OSError('in the fixture')\n"
        "def test_outside(broken): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "test_sample.py"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    failed, ran = failures_in(report)
    inside, passing = (f"test_sample.py::TestGroup::test_inside[{name}]" for name in ("a::b", "[c]"))
    assert ran == {inside, passing, "test_sample.py::test_outside"}
    assert failed.keys() == ran - {passing}
    assert re.search("as it says", failed[inside])
    assert re.search("in the fixture", failed["test_sample.py::test_outside"])


def test_a_witness_that_is_not_known_is_refused() -> None:
    command = [sys.executable, "-m", "tests.witnesses.run", "moto", "localstack"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "witnesses: not known: localstack; there are moto, dynalite\n"
