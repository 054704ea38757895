"""Where rejected rows go, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.load import import_files
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.cli_tool import Tool
from tests.migration.exported import write_exports
from tests.migration.loads import ACTOR, DOCUMENTS, expected, load, load_options, stored, table_exists, write_input

Connection = psycopg.Connection[tuple[Any, ...]]

BAD = {"id": "a1", "name": "n", "value": "\0"}
NOWHERE = Path("/proc/actingweb/rejects")


def with_rejects(directory: Path) -> Path:
    return write_input(directory, {"actors": [ACTOR], "properties": [BAD]})


def test_they_go_where_the_option_says(tool: Tool, pg: Connection) -> None:
    with_rejects(tool.directory / "files")
    files = sorted((tool.directory / "files").iterdir())
    result = tool.run("import", "--input-dir", "files", "--rejects-dir", "aside/rejects", "--json")
    assert (result.returncode, json.loads(result.stdout)["rejects"]) == (3, "aside/rejects")
    assert sorted((tool.directory / "files").iterdir()) == files
    rejects = tool.directory / "aside" / "rejects" / "properties.ndjson"
    rejects.write_text(rejects.read_text().replace("\\u0000", "good"))
    assert tool.run("replay", "--rejects-dir", "aside/rejects").returncode == 0
    assert pg.execute("SELECT value FROM properties").fetchall() == [("good",)]


def test_validation_finds_them_there(tool: Tool) -> None:
    with_rejects(tool.directory / "files")
    tool.run("import", "--input-dir", "files", "--rejects-dir", "aside")
    result = tool.run("validate", "--input-dir", "files", "--rejects-dir", "aside")
    assert "1 of them are rows that the import rejected" in result.stdout


@pytest.mark.parametrize("command", [["import", "--input-dir", "files"], ["copy"]])
def test_nothing_is_loaded_if_they_could_not_be_written(tool: Tool, pg: Connection, command: list[str]) -> None:
    result = tool.run(*command, "--rejects-dir", str(NOWHERE))
    assert result.returncode == 2
    assert f"rejected rows could not be written to {NOWHERE}" in result.stderr
    assert "name another directory with --rejects-dir" in result.stderr
    assert pg.execute("SELECT id FROM actors").fetchall() == []


def test_the_input_directory_itself_is_refused(tool: Tool) -> None:
    result = tool.run("import", "--input-dir", "files", "--rejects-dir", "files/../files")
    assert result.returncode == 2
    assert "--rejects-dir is the input directory" in result.stderr


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_import_goes_on_with_the_same_only(target: Target, tmp_path: Path) -> None:
    rows = [BAD, *({"id": "a1", "name": str(number), "value": "v"} for number in range(9))]
    directory = write_input(tmp_path / "files", {"actors": [ACTOR], "properties": rows})

    def stop(table: str, counts: Counts) -> None:
        if table == "properties" and counts.read > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files(target, ExportDirectory.at(directory), load_options(directory), stop)
    with pytest.raises(UsageError, match=r"elsewhere/properties\.ndjson lacks rows .*: name the same --rejects-dir"):
        load(target, directory, rejects=tmp_path / "elsewhere")
    assert load(target, directory).rejected == 1
    assert not table_exists(target, "migration_progress")


def test_an_export_to_s3_by_the_command_line(tool: Tool, target: Target) -> None:
    write_exports(tool.directory / "bucket", DOCUMENTS, "prod_")
    source = ["--input-dir", "bucket", "--format", "dynamodb-export"]
    result = tool.run("import", *source)
    assert result.returncode == 2
    assert "but of prod_actors" in result.stderr
    assert "check --table-prefix" in result.stderr
    result = tool.run("import", *source, "--table-prefix", "prod_", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    assert stored(target) == expected(DOCUMENTS)
    result = tool.having(AWS_DB_PREFIX="prod").run("validate", *source, "--json")
    assert json.loads(result.stdout)["differences"] == 0
