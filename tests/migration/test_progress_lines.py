"""How far a command is: the meter, and the plain lines where there is no terminal."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actingweb.migration.cli import display
from actingweb.migration.cli.meter import Meter
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTables
from tests.migration.cli_tool import Running, Tool, without_progress
from tests.migration.loads import DOCUMENTS, write_input
from tests.support import PATIENCE

Connection = psycopg.Connection[tuple[Any, ...]]

OFTEN = "from actingweb.migration.cli import display; display.LINE_SECONDS = 0.05; "
START = "from actingweb.cli.launch import script; script()"


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_rate_is_that_of_this_run(clock: Clock) -> None:
    meter = Meter("export", clock)
    meter.expect({"actors": 1000, "properties": 100_000})
    meter.reached("actors", 1000)
    meter.reached("properties", 40_000)
    assert (meter.done, meter.total, meter.rate, meter.remaining) == (41_000, 101_000, None, None)
    clock.now += 20
    meter.reached("properties", 50_000)
    assert (meter.done, meter.rate, meter.remaining) == (51_000, 500.0, 100.0)
    assert (
        meter.line() == "export: 20 s · properties, 51,000 of about 101,000 rows · 500 rows/s · about 1 min 40 s left"
    )


def test_what_is_not_known_is_left_out(clock: Clock) -> None:
    meter = Meter("import", clock)
    clock.now += 75
    assert meter.line() == "import: 1 min 15 s"
    meter.expect({"actors": 2})
    meter.reached("trusts", 0)
    assert meter.line() == "import: 1 min 15 s · trusts, 0 rows"


def test_more_rows_than_were_expected(clock: Clock) -> None:
    meter = Meter("copy", clock)
    meter.expect({"actors": 2})
    meter.reached("actors", 0)
    clock.now += 1
    meter.reached("actors", 5)
    assert (meter.total, meter.remaining) == (5, 0)


@pytest.mark.parametrize("minutes", [0, 75])
def test_tests_tell_these_lines_from_others(clock: Clock, minutes: int) -> None:
    meter = Meter("import", clock)
    clock.now += minutes
    lines = f"{meter.line()}\nERROR: no\n"
    meter.reached("actors", 0)
    clock.now += minutes
    assert without_progress(f"{lines}{meter.line()}\n") == "ERROR: no\n"


def test_a_line_comes_at_least_every_15_seconds() -> None:
    assert display.LINE_SECONDS < 15


@pytest.fixture
def busy_tool(tmp_path: Path, target: Target, postgres_tables: PostgresTables) -> Tool:
    """Return the tool with files to import, and lines more often."""
    write_input(tmp_path / "files", DOCUMENTS)
    environment = {**postgres_tables.environment, "PATH": "/usr/bin:/bin"}
    return Tool(tmp_path, environment, ("-c", OFTEN + START), fresh=True)


@pytest.mark.parametrize("command", ["import", "validate"])
def test_without_a_terminal_lines_show_that_it_goes_on(busy_tool: Tool, pg: Connection, command: str) -> None:
    """Also while the server alone is at work."""
    with pg.transaction():
        pg.execute("LOCK TABLE actors IN ACCESS EXCLUSIVE MODE")
        with busy_tool.start(command, "--input-dir", "files", "--json") as process:
            assert _first_line(process).startswith(f"{command}: ")
            process.kill()
            process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_it_in_order(busy_tool: Tool, pg: Connection, number: int, code: int, word: str) -> None:
    with pg.transaction():
        pg.execute("LOCK TABLE actors IN ACCESS EXCLUSIVE MODE")
        with busy_tool.start("import", "--input-dir", "files") as process:
            _first_line(process)
            process.send_signal(number)
            pg.execute("ROLLBACK; BEGIN")
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert errors.splitlines()[-1] == f"ERROR: {word}: run it again to continue"
    assert busy_tool.run("import", "--input-dir", "files").returncode == 0


def _first_line(process: Running) -> str:
    """Wait for the first line on stderr."""
    assert isinstance(process, subprocess.Popen)
    assert process.stderr is not None
    return process.stderr.readline()
