"""The command line tool on real servers: what it prints and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.mapping import CLAIMS_V2, MAPPINGS
from tests.migration.cli_tool import Tool, interrupt, wait_until, without_progress
from tests.migration.loads import properties, write_input
from tests.support import PATIENCE, new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Connection = psycopg.Connection[tuple[Any, ...]]

PASSWORD_QUESTION = "Password of PostgreSQL user"
MANY = 100_000
ACTOR = {"id": "a1", "creator": "c", "passphrase": "p"}


def put_actor(ddb: DynamoDBClient, tool: Tool) -> None:
    """Store an actor in DynamoDB."""
    table = f"{tool.environment['AWS_DB_PREFIX']}_actors"
    ddb.put_item(TableName=table, Item={name: {"S": text} for name, text in ACTOR.items()})


def summary_of(tool: Tool, *arguments: str) -> dict[str, Any]:
    """Return the summary, which is all that is on stdout; nothing is on stderr."""
    result = tool.run(*arguments, "--json")
    assert result.stderr == ""
    summary: dict[str, Any] = json.loads(result.stdout)
    assert summary["exit_code"] == result.returncode
    return summary


def test_export_import_validate(tool: Tool, ddb: DynamoDBClient, pg: Connection) -> None:
    put_actor(ddb, tool)
    exported = summary_of(tool, "export", "--output-dir", "out")
    assert exported["exit_code"] == 0
    assert {row["table"]: row["rows"] for row in exported["tables"]} == {
        mapping.name: int(mapping.name == "actors") for mapping in (*MAPPINGS, CLAIMS_V2)
    }
    imported = summary_of(tool, "import", "--input-dir", "out")
    assert imported["exit_code"] == 0
    assert imported["tables"][0] == {"table": "actors", "read": 1, "written": 1, "skipped": 0, "rejected": 0}
    for source in (["--input-dir", "out"], ["--source", "dynamodb"]):
        assert summary_of(tool, "validate", *source)["differences"] == 0
    assert pg.execute("SELECT id, creator FROM actors").fetchall() == [("a1", "c")]


def test_copy(tool: Tool, ddb: DynamoDBClient, pg: Connection) -> None:
    put_actor(ddb, tool)
    assert summary_of(tool, "copy")["tables"][0]["written"] == 1
    assert tool.run("copy").returncode == 2
    assert summary_of(tool, "copy", "--skip-duplicates")["tables"][0]["skipped"] == 1
    assert pg.execute("SELECT id FROM actors").fetchall() == [("a1",)]


def test_the_summary_for_people(tool: Tool) -> None:
    result = tool.run("import", "--input-dir", "files")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"properties +│ +3 │ +3 │ +0 │ +0 ", result.stdout)


def test_a_duplicate_is_told_as_the_guide_says(tool: Tool) -> None:
    twice = [{"id": "a1", "name": "n", "value": value} for value in ("one", "two")]
    write_input(tool.directory / "files", {"actors": [ACTOR], "properties": twice})
    result = tool.run("import", "--input-dir", "files", "--log-level", "DEBUG")
    assert result.returncode == 7
    expected = "ERROR: Failed to import properties: duplicate key value violates unique constraint"
    assert result.stderr.splitlines()[-1].startswith(expected)
    assert "Traceback" not in result.stderr


def test_rejected_rows_can_be_replayed(tool: Tool, pg: Connection) -> None:
    write_input(tool.directory / "files", {"actors": [ACTOR], "properties": [{"id": "a1", "name": "n", "value": "\0"}]})
    loaded = summary_of(tool, "import", "--input-dir", "files")
    assert (loaded["exit_code"], loaded["rejects"]) == (3, "files/rejects")
    rejects = tool.directory / "files" / "rejects" / "properties.ndjson"
    assert summary_of(tool, "replay", "--rejects-dir", "files/rejects")["exit_code"] == 3
    rejects.write_text(rejects.read_text().replace("\\u0000", "good"))
    assert summary_of(tool, "replay", "--rejects-dir", "files/rejects")["exit_code"] == 0
    assert pg.execute("SELECT value FROM properties").fetchall() == [("good",)]


def test_files_without_claims(tool: Tool, pg: Connection) -> None:
    """People and programs are told what is decided how, and what was not compared."""
    shared = [{"id": actor_id, "name": "email", "value": "canary"} for actor_id in ("a1", "a2")]
    write_input(tool.directory / "old", {"actors": [ACTOR, {"id": "a2"}], "properties": shared})
    loaded = tool.run("import", "--input-dir", "old")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert "WARNING: the input has no property_lookup_v2" in loaded.stdout
    assert "the smallest actor id" in loaded.stdout
    assert pg.execute("SELECT actor_id FROM property_lookup").fetchall() == [("a1",)]
    (warning,) = summary_of(tool, "validate", "--input-dir", "old")["warnings"]
    assert "was not compared" in warning
    claim = {"lookup_key": compute_lookup_key("email", "canary"), "property_name": "email", "actor_id": "a2"}
    (tool.directory / "old" / "property_lookup_v2.json").write_text(json.dumps([claim]))
    compared = tool.run("validate", "--input-dir", "old", "--report", "report.ndjson")
    assert compared.returncode == 4
    assert 'reason "a look-up has another answer", source "a2", postgresql "a1"' in compared.stdout
    assert "WARNING" not in compared.stdout
    assert "canary" not in compared.stdout + (tool.directory / "report.ndjson").read_text()


def test_claims_that_are_not_indexed(tool: Tool, pg: Connection) -> None:
    claim = {"lookup_key": compute_lookup_key("phone", "1"), "property_name": "phone", "actor_id": "a1"}
    documents = {"actors": [ACTOR], "properties": [{"id": "a1", "name": "phone", "value": "1"}]}
    write_input(tool.directory / "files", {**documents, "property_lookup_v2": [claim]})
    (warning,) = summary_of(tool, "import", "--input-dir", "files")["warnings"]
    assert 'INDEXED_PROPERTIES does not name are kept ("phone")' in warning
    assert pg.execute("SELECT actor_id FROM property_lookup").fetchall() == [("a1",)]


def test_too_many_rejects_stop_it(tool: Tool) -> None:
    write_input(tool.directory / "files", {"actors": [{"id": "a\0"}, {"id": "b\0"}]})
    result = tool.run("import", "--input-dir", "files", "--max-rejects", "1")
    assert result.returncode == 3
    assert "ERROR: " in result.stderr


def test_differences(tool: Tool, pg: Connection) -> None:
    """They are printed without values, of which the report holds none either unless asked for."""
    assert tool.run("import", "--input-dir", "files").returncode == 0
    pg.execute("UPDATE actors SET creator = 'canary-of-postgresql' WHERE id = 'a1'")
    result = tool.run("validate", "--input-dir", "files", "--report", "report.ndjson")
    report = (tool.directory / "report.ndjson").read_text()
    assert result.returncode == 4
    for text in (result.stdout, report):
        assert "creator" in text
        assert "a1" in text
        assert "canary" not in text
    shown = tool.run("validate", "--input-dir", "files", "--report", "report.ndjson", "--show-values")
    assert "canary-of-postgresql" in shown.stdout
    assert "canary-of-postgresql" in (tool.directory / "report.ndjson").read_text()
    none = tool.run("validate", "--input-dir", "files", "--report", "report.ndjson", "--limit", "0")
    assert "a1" not in none.stdout


def test_a_source_that_cannot_be_read(tool: Tool) -> None:
    absent = tool.run("export", "--output-dir", "out", "--table-prefix", "absent_")
    assert absent.returncode == 6
    assert "absent_actors" in absent.stderr
    (tool.directory / "files" / "trusts.json").write_text("[{")
    broken = tool.run("import", "--input-dir", "files")
    assert broken.returncode == 6
    assert "trusts.json" in broken.stderr
    assert "Traceback" not in absent.stderr + broken.stderr


def test_a_target_that_cannot_be_written(tool: Tool) -> None:
    result = tool.run("export", "--output-dir", "/proc/out")
    assert result.returncode == 7
    assert "/proc" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_fault_is_in_the_summary_too(tool: Tool) -> None:
    result = tool.run("import", "--input-dir", "files", "--json", "--pg-port", "1")
    summary = json.loads(result.stdout)
    assert (summary["exit_code"], result.returncode) == (7, 7)
    assert "Connection refused" in summary["error"]
    assert "Connection refused" in result.stderr


STOPPED = """
from actingweb.migration.cli.run import run
def stop(_):
    raise KeyboardInterrupt
run("share", stop, False, "WARNING")
"""


def test_ctrl_c_while_requests_are_held_back() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False)
    assert "ERROR: interrupted: run it again to continue, or with --abort; requests may be held back" in done.stderr


def test_ctrl_c_and_going_on(tool: Tool, pg: Connection) -> None:
    write_input(tool.directory / "files", {"actors": [ACTOR], "properties": properties(MANY)})
    begun = "SELECT EXISTS (SELECT FROM properties)"
    with tool.start("import", "--input-dir", "files") as process:
        wait_until(lambda: pg.execute(begun).fetchone() == (True,))
        code, errors = interrupt(process)
    assert code == 130
    assert errors == "ERROR: interrupted: run it again to continue\n"
    left = pg.execute("SELECT count(*) FROM properties").fetchone()
    assert left is not None
    assert 0 < left[0] < MANY
    assert tool.run("import", "--input-dir", "files").returncode == 0
    assert pg.execute("SELECT count(*) FROM properties").fetchone() == (MANY,)


def test_progress_is_shown_on_a_terminal(tool: Tool) -> None:
    write_input(tool.directory / "files", {"actors": [ACTOR], "properties": properties(MANY)})
    code, shown = tool.run_on_terminal("import", "--input-dir", "files", typed={})
    assert code == 0
    assert re.search(r"rows/s", shown)
    assert re.search(rf"{MANY + 1:,}.* rows", shown)


def test_the_password_is_asked_for_on_a_terminal(tool: Tool, pg: Connection) -> None:
    password = tool.environment["PG_DB_PASSWORD"]
    without = tool.having(PG_DB_PASSWORD=None)
    code, shown = without.run_on_terminal("import", "--input-dir", "files", typed={PASSWORD_QUESTION: password})
    assert code == 0
    assert password not in shown
    assert pg.execute("SELECT count(*) FROM actors").fetchone() == (2,)


def test_a_missing_password_without_a_terminal(tool: Tool) -> None:
    result = tool.having(PG_DB_PASSWORD=None).run("import", "--input-dir", "files")
    assert result.returncode == 2
    assert "set PG_DB_PASSWORD" in result.stderr


@pytest.mark.parametrize("command", ["export", "import", "copy"])
def test_no_secret_is_shown(tool: Tool, ddb: DynamoDBClient, command: str) -> None:
    """Neither log nor output nor files but those of the export hold passwords, keys or what is stored."""
    canary = "canary-2f6b"
    put_actor(ddb, tool)
    write_input(
        tool.directory / "files", {"actors": [ACTOR], "properties": [{"id": "a1", "name": "n", "value": canary}]}
    )
    secrets = {"AWS_SECRET_ACCESS_KEY": canary, "PG_DB_PASSWORD": canary}
    directory = {"export": ["--output-dir", "out"], "import": ["--input-dir", "files"], "copy": []}[command]
    for extra in ({}, secrets):
        result = tool.having(**extra).run(command, *directory, "--log-level", "DEBUG")
        for text in (canary, tool.environment["PG_DB_PASSWORD"]):
            assert text not in result.stdout + result.stderr


def test_a_url_serves(tool: Tool, pg: Connection) -> None:
    url = make_conninfo(
        host=tool.environment["PG_DB_HOST"],
        port=tool.environment["PG_DB_PORT"],
        user=tool.environment["PG_DB_USER"],
        password=tool.environment["PG_DB_PASSWORD"],
        dbname="not there",
    )
    code = tool.having(PG_DB_URL=url).run("import", "--input-dir", "files").returncode
    assert code == 7
    chosen = tool.having(PG_DB_URL=url).run(
        "import", "--input-dir", "files", "--pg-database", tool.environment["PG_DB_NAME"]
    )
    assert (chosen.returncode, chosen.stderr) == (0, "")
    assert pg.execute("SELECT count(*) FROM actors").fetchone() == (2,)


def test_a_second_ctrl_c_does_not_wait_for_the_server(tool: Tool, pg: Connection) -> None:
    with pg.transaction():
        pg.execute("LOCK TABLE actors IN ACCESS EXCLUSIVE MODE")
        with tool.start("import", "--input-dir", "files") as process:
            wait_until(lambda: _waits_for_lock(pg))
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert process.poll() is None
            code, _ = interrupt(process)
    assert code == 130


def _waits_for_lock(pg: Connection) -> bool:
    row = pg.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'actors'::regclass").fetchone()
    return row is not None and row[0] > 0


def test_ctrl_c_in_an_export_and_going_on(tool: Tool, ddb: DynamoDBClient) -> None:
    table = f"{tool.environment['AWS_DB_PREFIX']}_actors"
    for number in range(20):
        ddb.put_item(TableName=table, Item={"id": {"S": f"a{number}"}, "passphrase": {"S": "p" * 20_000}})
    out = tool.directory / "out"
    with tool.start("export", "--output-dir", "out", "--rcu", "1", "--segments", "2") as process:
        wait_until((out / "actors.json.part").exists)
        code, errors = interrupt(process)
    assert (code, errors) == (130, "ERROR: interrupted: continue it with --resume\n")
    refused = tool.run("export", "--output-dir", "out")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    assert tool.run("export", "--output-dir", "out", "--resume").returncode == 0
    assert len(json.loads((out / "actors.json").read_bytes())) == 20


def test_a_server_that_goes_away(tool: Tool, pg: Connection) -> None:
    write_input(tool.directory / "files", {"actors": [ACTOR], "properties": properties(MANY)})
    name = new_id()
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND query LIKE 'COPY%%'"
    with tool.having(PGAPPNAME=name).start("import", "--input-dir", "files") as process:
        wait_until(lambda: pg.execute(end, [name]).fetchall() != [])
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 7
    assert without_progress(errors).startswith("ERROR: ")
    assert "Traceback" not in errors
    assert tool.run("import", "--input-dir", "files").returncode == 0
    assert pg.execute("SELECT count(*) FROM properties").fetchone() == (MANY,)
