"""The tools show nothing secret: not in output, log or lists of processes. Their files are their owner's alone."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from actingweb.db import get_actor, get_attribute
from actingweb.db.postgresql.migrate import ALEMBIC_INI
from actingweb.db.registry import load_backend
from actingweb.migration.batches import Reject
from actingweb.migration.jobs.differences import Difference, Kind, Report, TableResult
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.mapping import MAPPINGS
from actingweb.migration.rejects import RejectFile
from testbed.dynamodb_proxy import failing, spoiling_proxy
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.contract.support.calls import ready
from tests.migration.cli_tool import Tool
from tests.migration.deployment import source_of
from tests.support import PATIENCE, new_id

from .conftest import Amount

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from .raw_rows import Connection

CANARY = "Canary6027"
KEY = f"{CANARY}ofAWS"
PASSWORD = f"{CANARY} of 'PostgreSQL' %"
DEBUG = ("--log-level", "DEBUG")
OPEN_TO_ALL = 0o666


@pytest.fixture
def tool(
    tmp_path: Path,
    postgres_tables: PostgresTables,
    dynamodb_tables: DynamoDBTables,
    ddb: DynamoDBClient,
    pg: Connection,
    set_env: SetEnv,
) -> Iterator[Tool]:
    """Return the migration tool before a DynamoDB full of canaries, with keys that are canaries, too."""
    set_env(**dynamodb_tables.environment)
    backend, actor_id = load_backend("dynamodb"), new_id()
    assert get_actor(backend).create(actor_id, "someone@example.com", CANARY)
    ready(backend, actor_id, CANARY)
    # The server removes what has expired some time, which would be a difference.
    get_attribute(backend).delete_bucket(actor_id, "expired")
    table = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}_properties"
    unfit = {"id": {"S": actor_id}, "name": {"S": "unfit"}, "value": {"S": f"{CANARY}\x00"}}
    ddb.put_item(TableName=table, Item=unfit)
    environment = {**postgres_tables.environment, **dynamodb_tables.environment, "AWS_SECRET_ACCESS_KEY": KEY}
    # The list of processes shows the arguments of an interpreter.
    yield Tool(tmp_path, {**environment, "PATH": "/usr/bin:/bin", "COLUMNS": "200"}, fresh=True)
    pg.execute("DROP TABLE IF EXISTS migration_progress, migration_property_lookup_v2")
    postgres_tables.wipe()
    dynamodb_tables.wipe()


def shown_by(tool: Tool, *arguments: str, code: int) -> str:
    """Run the tool to its end; return what it printed and what the list of processes said of it meanwhile."""
    process = tool.start(*arguments)
    listed = set[str]()
    while process.poll() is None:
        listed |= set(_command_lines(process.pid))
        time.sleep(0.01)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, errors
    assert any(arguments[0] in line for line in listed)
    return "\n".join([output, errors, *listed])


def _command_lines(parent: int) -> Iterator[str]:
    """Yield the arguments of a process and of those that it started, as every user of the machine sees them."""
    waiting = [parent]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        try:
            yield (process / "cmdline").read_text(errors="replace")
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text().split())
        except OSError:
            continue


def test_a_migration(tool: Tool, postgres_tables: PostgresTables) -> None:
    """Good runs, with a row that is rejected and with differences."""
    commands: list[tuple[list[str], int]] = [
        (["export", "--output-dir", "files"], 0),
        (["import", "--input-dir", "files"], 3),
        (["validate", "--input-dir", "files"], 4),
        (["validate", "--source", "dynamodb", "--json"], 4),
        (["copy", "--skip-duplicates", "--json"], 3),
    ]
    secrets = (CANARY, postgres_tables.environment.get("PG_DB_PASSWORD") or CANARY)
    for arguments, code in commands:
        text = shown_by(tool, *arguments, *DEBUG, code=code)
        assert [line for line in text.splitlines() if any(secret in line for secret in secrets)] == [], arguments
    files = {path.name: path.read_text() for path in tool.directory.rglob("*") if path.is_file()}
    holding = {name for name, text in files.items() if CANARY in text}
    assert {"properties.json", "trusts.json", "attributes.json", "properties.ndjson"} <= holding
    assert not {"manifest.json", "differences.ndjson"} & holding
    assert {"manifest.json", "differences.ndjson"} <= files.keys()


def test_a_migration_that_is_not_let_in(tool: Tool, amount: Amount) -> None:
    assert CANARY not in shown_by(tool, "export", "--output-dir", "files", *DEBUG, code=0)
    locked_out = tool.having(PG_DB_PASSWORD=PASSWORD)
    by_url = tool.having(PG_DB_URL=make_conninfo(host="127.0.0.1", port="1", user="joe", password=PASSWORD))
    commands = [["import", "--input-dir", "files"], ["copy"], ["validate", "--input-dir", "files"]]
    for one in (locked_out, by_url):
        for arguments in commands[: amount(1, len(commands))]:
            assert CANARY not in shown_by(one, *arguments, *DEBUG, code=7)


def test_a_migration_whose_source_quotes_what_it_refuses(tool: Tool) -> None:
    with spoiling_proxy(tool.environment["AWS_DB_HOST"]) as proxy:
        proxy.always = failing("ValidationException", message=f"the value {CANARY} is wrong")
        shown = shown_by(tool.having(AWS_DB_HOST=proxy.url), "export", "--output-dir", "files", *DEBUG, code=6)
    assert CANARY not in shown


def test_alembic_with_a_wrong_password(postgres_tables: PostgresTables) -> None:
    environment = {**os.environ, **postgres_tables.environment}
    url = make_conninfo(
        host=environment["PG_DB_HOST"], port=environment["PG_DB_PORT"], user="nobody at all", password=PASSWORD
    )
    environment |= {"PG_MIGRATION_URL": url, "PG_DB_URL": url, "PG_DB_PASSWORD": PASSWORD}
    # What the driver of SQLAlchemy says at its lowest level, too.
    program = "import logging; logging.basicConfig(level=1); from alembic.config import main; main()"
    command = [sys.executable, "-c", program, "-c", str(ALEMBIC_INI), "upgrade", "head"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode != 0
    assert "password authentication failed" in result.stderr
    assert CANARY not in result.stdout + result.stderr


Seen = list[tuple[int, int]]


def watched(write: Callable[[Path], object], directory: Path) -> Seen:
    """Let a process whose new files are open to all write; return mode and size of each that it makes private.

    They are those at the moment before. An audit hook sees them, and stays as long as its process.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(_watch, write, directory).result()


def _watch(write: Callable[[Path], object], directory: Path) -> Seen:
    seen: Seen = []

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.chmod" and isinstance(arguments[0], int):
            facts = os.fstat(arguments[0])
            seen.append((stat.S_IMODE(facts.st_mode), facts.st_size))

    os.umask(0)
    sys.addaudithook(hear)
    write(directory)
    return seen


def _write_report(directory: Path) -> Path:
    path = directory / "report.ndjson"
    with Report(path, 1) as report:
        report.tables["actors"] = TableResult()
        report.add(Difference("actors", Kind.MISSING, {"id": CANARY}))
    return path


def _write_reject(directory: Path) -> Path:
    file = RejectFile(directory, MAPPINGS[0])
    file.add([(1, Reject(CANARY.encode(), "unfit"))])
    return file.path


def _export(directory: Path) -> None:
    export_tables(source_of(), directory)


WRITERS: list[Callable[[Path], Path]] = [_write_report, _write_reject]


@pytest.mark.parametrize("write", WRITERS)
def test_a_new_file_is_private_before_it_holds_a_byte(write: Callable[[Path], Path], tmp_path: Path) -> None:
    assert watched(write, tmp_path) == [(0o600, 0)]
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CANARY in path.read_text()


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_was_open_to_all_is_closed_before_it_holds_a_byte_more(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = write(tmp_path)
    path.write_text("")
    path.chmod(OPEN_TO_ALL)
    seen = watched(write, tmp_path)
    assert seen in ([(OPEN_TO_ALL, 0)], [(0o600, 0)]), "it is closed, or another file takes its place"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CANARY in path.read_text()


def test_the_files_of_an_export_are_private_before_they_hold_a_byte(tool: Tool) -> None:
    seen = watched(_export, tool.directory / "files")
    assert len(seen) >= len(MAPPINGS)
    assert {mode for mode, _ in seen} == {0o600}
    assert {size for _, size in seen} == {0}
