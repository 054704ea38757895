"""The commands about differences and rejects, and the pages to hand on, as users run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actingweb.migration.errors import ExitCode
from actingweb.migration.mapping import ACTORS, PROPERTIES
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.running import at_work, quiet
from tests.live.sides import Sides
from tests.migration.cli_tool import ROOT, Tool
from tests.migration.test_report_html import Outline

PROGRAM = ("-m", "actingweb_db", "migrate")
ORPHAN = {"id": "nobody", "name": "n", "value": "canary"}


@pytest.fixture
def tool(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv, tmp_path: Path) -> Tool:
    """Return the tool, with a live migration of one actor and a reject."""
    environment = {**postgres_tables.environment, **sides.environment, "INDEXED_PROPERTIES": "email"}
    set_env(**environment)
    sides.put(ACTORS, {"id": "a1", "passphrase": "canary"})
    sides.put(PROPERTIES, {"id": "a1", "name": "email", "value": "canary"}, ORPHAN)
    sides.prepare(region=environment["AWS_DEFAULT_REGION"], endpoint=environment["AWS_DB_HOST"])
    sides.scan()
    variables = {"PATH": "/usr/bin:/bin", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    return Tool(tmp_path, {**environment, **variables}, PROGRAM)


def run(tool: Tool, *arguments: str) -> dict[str, Any]:
    """Run a command and return what it prints as JSON."""
    done = tool.run(*arguments, "--json")
    assert "canary" not in done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert summary["exit_code"] == done.returncode, done.stderr
    return summary


def page(path: Path) -> dict[str, list[str]]:
    """Return the texts of a page, which has no stored value."""
    text, found = path.read_text(), Outline()
    assert "canary" not in text
    found.feed(text)
    found.close()
    return found.texts


def test_from_the_first_comparison_to_the_cutover(sides: Sides, tool: Tool, tmp_path: Path) -> None:
    with at_work(sides):
        quiet(sides)
        plan = run(tool, "plan", "--report", "plan.html")
        assert page(tmp_path / "plan.html")["h2"] == ["Findings", "Tables of DynamoDB"]
        assert plan["findings"]
        found = run(tool, "validate", "--source", "dynamodb", "--report", "validation.html")
        assert (found["exit_code"], found["differences"], found["rejected"]) == (ExitCode.DIFFERENCES, 1, 1)
        assert page(tmp_path / "validation.html")["b"] == ["stops you"]
        with sides.state.connect() as connection, connection.transaction():
            connection.execute("SELECT set_config('actingweb.sync', 'on', true)")
            connection.execute(sides.state.sql("DELETE FROM {schema}.properties WHERE name = 'email'"))
        repaired = run(tool, "validate", "--source", "dynamodb", "--repair")
        assert (repaired["differences"], repaired["repaired"]) == (3, 2)
        refused = run(tool, "cutover", "--fenced", "--report", "cutover.html")
        assert refused["exit_code"] != 0
        texts = page(tmp_path / "cutover.html")
        assert "1 rows were rejected and are not accepted by name" in texts["span"][0]
        listed = run(tool, "rejects", "--output", "rejects.ndjson")
        (line,) = (tmp_path / "rejects.ndjson").read_text().splitlines()
        assert listed["rejects"] == [json.loads(line)]
        assert listed["rejects"][0]["key"] == {"id": "nobody", "name": "n"}
        assert run(tool, "accept", "rejects.ndjson")["accepted"] == 1
        exact = run(tool, "validate", "--source", "dynamodb")
        assert (exact["exit_code"], exact["differences"], exact["accepted"]) == (ExitCode.OK, 0, 1)
        assert run(tool, "cutover", "--fenced", "--report", "cutover.html")["exit_code"] == 0
        texts = page(tmp_path / "cutover.html")
        assert (texts["h1"], texts["b"]) == (["Cutover to PostgreSQL"], ["warning"])
        assert "compare" in texts["td"]


def test_a_repair_goes_through_the_migration(sides: Sides, tool: Tool, tmp_path: Path) -> None:
    """Rows that were written past it might be overwritten, or never reach the other side."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "actors.json").write_text("")
    for options in (
        ["--source", "dynamodb", "--table-prefix", "other"],
        ["--input-dir", "files", "--tables", "actors"],
    ):
        refused = run(tool, "validate", *options, "--repair")
        assert refused["exit_code"] == ExitCode.USAGE
        assert f"from the tables of prefix '{sides.prefix}': repair it only with --source dynamodb" in refused["error"]


def test_lines_of_the_status_are_whole_without_a_terminal(tool: Tool) -> None:
    lines = tool.having(COLUMNS="40").run("status").stdout.splitlines()
    (heading,) = [line for line in lines if "of about" in line]
    assert "compared" in heading
    assert any("subscription_suspensions" in line for line in lines)


def test_options_that_have_no_meaning_in_a_live_migration(tool: Tool) -> None:
    for options in (["--tables", "actors"], ["--show-values"], ["--rejects-dir", "."]):
        refused = run(tool, "validate", "--source", "dynamodb", *options)
        assert (refused["exit_code"], options[0] in refused["error"]) == (ExitCode.USAGE, True)
    assert "NAME.html" in run(tool, "plan", "--report", "plan.txt")["error"]
