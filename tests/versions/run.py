"""Run the tests of what PostgreSQL does on each release that is supported: `python -m tests.versions.run [VERSION...]`.

Each release runs as a private server; the suites below run on it, those of several backends on PostgreSQL only. Prints
one line for each release, and writes docs/postgresql-versions.md after a run of all releases without a failure.
Exit 0 if no test failed, else 1; 2 for a release that is not known. `PARALLEL` has more options of pytest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import NamedTuple

import psycopg

from actingweb.embedded.process import EmbeddedServerError
from testbed.servers import PostgresTarget
from tests.supply.packages import ROOT
from tests.versions.server import RELEASES, server_of

PAGE = ROOT / "docs" / "postgresql-versions.md"
SUITES = ("contract", "postgresql", "schema", "migration")
_COUNTS = re.compile(r"=* ?(\d+ (?:passed|failed|error|skipped)[^=]*?) in [\d.]+s")


class Result(NamedTuple):
    """What came of the tests on one release."""

    server: str
    counts: str
    passed: bool


def main(versions: list[str]) -> int:
    """Return the exit status."""
    unknown = [version for version in versions if version not in RELEASES]
    if unknown:
        print(f"versions: not known: {', '.join(unknown)}; there are {', '.join(RELEASES)}", file=sys.stderr)
        return 2
    results = {version: _run(version) for version in versions or RELEASES}
    for version, result in results.items():
        print(f"PostgreSQL {version}: {'passed' if result.passed else 'FAILED'}: {result.server}: {result.counts}")
    if not all(result.passed for result in results.values()):
        return 1
    if set(results) == set(RELEASES):
        PAGE.write_text(page(results))
    return 0


def page(results: dict[str, Result]) -> str:
    """Return the page about a run."""
    lines = [f"| {version} | {result.server} | {result.counts} |" for version, result in results.items()]
    return "\n".join(
        [
            "# Releases of PostgreSQL",
            "",
            "`make test-postgresql-versions` runs the suites "
            + ", ".join(f"`tests/{suite}`" for suite in SUITES)
            + " on each of these servers and writes",
            "this page. A skipped test needs what the release has not; its reason says so.",
            "",
            "| release | server | tests |",
            "|---|---|---|",
            *lines,
            "",
        ]
    )


def _run(version: str) -> Result:
    print(f"versions: PostgreSQL {version}", flush=True)
    try:
        with server_of(version) as settings:
            with PostgresTarget(settings).connect() as connection:
                server = _server(connection)
            return _tested(server, settings)
    except EmbeddedServerError as error:
        return Result("no server", str(error), False)


def _server(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    row = connection.execute("SHOW server_version").fetchone()
    return "" if row is None else str(row[0])


def _tested(server: str, settings: dict[str, str]) -> Result:
    suites = [f"tests/{suite}" for suite in SUITES]
    parallel = os.environ.get("PARALLEL", "").split()
    command = [sys.executable, "-m", "pytest", "-q", *parallel, "--only-backend=postgresql", *suites]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    counts = "no result"
    for line in process.stdout:
        print(line, end="", flush=True)
        found = _COUNTS.match(line)
        counts = found[1] if found else counts
    return Result(server, counts, process.wait() == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
