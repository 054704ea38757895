"""Run the DynamoDB half of the contract suite on other implementations: `python -m tests.witnesses.run [NAME...]`.

What differs is listed in a file for each of them, by the id of the test, below its reason and a pattern that its
failure has. Exit 0 if exactly the listed tests fail, each as its pattern says; otherwise print what differs and exit 1.
With `--update`, write the lists anew; only a failure that no pattern explains remains to be looked at.
`PARALLEL` has more options of pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from actingweb.embedded.process import EmbeddedServerError
from tests.supply.packages import ROOT
from tests.witnesses.servers import WITNESSES, WitnessServer

__all__ = ["Difference", "assign", "complaints", "failures_in", "lists_of", "main", "read", "written"]

_NOT_RUN = "not run: "
_DIRECTORY = Path(__file__).parent


@dataclass
class Difference:
    """One way in which a witness differs from DynamoDB.

    Attributes:
        reason: what it does, in words. One that begins with `not run: ` says why the tests cannot be run.
        pattern: a regular expression that the failure of each test has.
        tests: the ids of the tests that fail for it.
    """

    reason: str
    pattern: str
    tests: set[str] = field(default_factory=set)

    @property
    def is_run(self) -> bool:
        """Whether its tests are run."""
        return not self.reason.startswith(_NOT_RUN)


def main(arguments: list[str]) -> int:
    """Return the exit status."""
    names = [name for name in arguments if name != "--update"] or list(WITNESSES)
    unknown = [name for name in names if name not in WITNESSES]
    if unknown:
        print(f"witnesses: not known: {', '.join(unknown)}; there are {', '.join(WITNESSES)}", file=sys.stderr)
        return 2
    return max(_check(name, "--update" in arguments) for name in names)


def lists_of(name: str) -> Path:
    """Return the file that lists how a witness differs."""
    return _DIRECTORY / f"{name}.txt"


def read(text: str) -> list[Difference]:
    """Return the differences that a file lists: lines of `# reason`, `? pattern`, and the ids of tests."""
    differences: list[Difference] = []
    for line in filter(None, text.splitlines()):
        kind, content = line[:2], line[2:]
        if kind == "# ":
            differences.append(Difference(content, ""))
        elif kind == "? ":
            differences[-1].pattern = content
        else:
            differences[-1].tests.add(line)
    return differences


def written(differences: list[Difference]) -> str:
    """Return the text of a file that lists differences."""
    parts = ["\n".join([f"# {one.reason}", f"? {one.pattern}", *sorted(one.tests)]) for one in differences]
    return "\n\n".join(parts) + "\n"


def complaints(differences: list[Difference], failed: Mapping[str, str], ran: set[str]) -> Iterator[str]:
    """Yield what is not as listed, of the texts of the failures and the ids of all tests that ran."""
    listed = {test: one for one in differences if one.is_run for test in one.tests}
    for test in sorted(failed.keys() - listed.keys()):
        yield f"fails and is not listed: {test}"
    for test in sorted(listed.keys() - failed.keys()):
        yield f"is listed and {'passes' if test in ran else 'does not exist'}: {test}"
    for test in sorted(listed.keys() & failed.keys()):
        if not re.search(listed[test].pattern, failed[test]):
            yield f"fails for another reason than {listed[test].reason!r}: {test}"


def assign(differences: list[Difference], failed: Mapping[str, str]) -> None:
    """List each failure below the first difference whose pattern it has."""
    for one in differences:
        if one.is_run:
            one.tests = set()
    for test, text in failed.items():
        for one in differences:
            if one.is_run and re.search(one.pattern, text):
                one.tests.add(test)
                break


def failures_in(report: Path) -> tuple[dict[str, str], set[str]]:
    """Return the texts of the failures in a report of pytest, and the ids of all its tests."""
    failed, ran = {}, set()
    for case in ElementTree.parse(report).iter("testcase"):
        module, _, cls = case.get("classname", "").partition(".Test")
        test = "::".join([f"{module.replace('.', '/')}.py", *([f"Test{cls}"] if cls else []), case.get("name", "")])
        ran.add(test)
        found = [part.text or "" for part in case if part.tag in ("failure", "error")]
        if found:
            failed[test] = "\n".join(found)
    return failed, ran


def _check(name: str, update: bool) -> int:
    differences = read(lists_of(name).read_text())
    print(f"witnesses: {WITNESSES[name].package}", flush=True)
    try:
        with WitnessServer(WITNESSES[name]) as server:
            failed, ran = _tested(server.endpoint.environment(), differences)
    except EmbeddedServerError as error:
        print(f"witnesses: {name}: {error}", file=sys.stderr)
        return 1
    if update:
        assign(differences, failed)
        lists_of(name).write_text(written(differences))
    found = list(complaints(differences, failed, ran))
    for line in found:
        print(f"{name}: {line}")
    print(f"{name}: {len(ran)} tests, {len(failed)} fail, {len(found)} not as listed")
    return 1 if found or not ran else 0


def _tested(settings: Mapping[str, str], differences: list[Difference]) -> tuple[dict[str, str], set[str]]:
    left_out = [f"--deselect={test}" for one in differences if not one.is_run for test in one.tests]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        # A failure of a test is expected or not; the file says which.
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short",
            "--no-summary",
            *left_out,
            f"--junitxml={report}",
        ]
        command += [
            *os.environ.get("PARALLEL", "").split(),
            "--only-backend=dynamodb",
            "-k",
            "([dynamodb or -dynamodb) and not dynamodb-aio",
        ]
        # A test that waits for what never comes fails in a minute.
        command += ["--timeout=60", "tests/contract"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=False)
        return failures_in(report) if report.exists() else ({}, set())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
