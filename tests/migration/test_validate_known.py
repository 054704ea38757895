"""Rejects that were corrected, and rows that are accepted: what a validation says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.jobs.load import copy_tables
from actingweb.migration.jobs.replay import replay_rejects
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables
from tests.conftest import SetEnv
from tests.migration.cli_tool import Tool
from tests.migration.loads import (
    ACTOR,
    Documents,
    correct,
    load,
    load_options,
    properties,
    reject_path,
    rejects_of,
    write_input,
)
from tests.migration.tables import put_documents, source_of
from tests.migration.validation import found, report_path, validate, validate_live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EMAIL = compute_lookup_key("email", "e")
CONTENT: dict[str, list[dict[str, Any]]] = {
    "actors": [ACTOR, {"id": "a2"}],
    "properties": [
        *properties(2),
        {"id": "a1", "name": "nul", "value": "\0"},
        {"id": "ghost", "name": "n", "value": "v"},
        {"id": "ghost", "name": "email", "value": "e"},
        {"id": "a2", "name": "email", "value": "e"},
    ],
    "attributes": [{"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": "{"}],
    "property_lookup_v2": [{"lookup_key": EMAIL, "property_name": "email", "actor_id": "ghost"}],
}
"""Rows that are rejected: for their content, for their actor, and a claim with its property."""
REJECTED = 5


def edit(directory: Path, table: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Correct the rejected documents of a table."""
    lines = [json.dumps(reject | {"document": change(reject["document"])}) for reject in rejects_of(directory, table)]
    reject_path(directory, table).write_text("".join(f"{line}\n" for line in lines))


def correct_all(directory: Path) -> None:
    def corrected(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"id": "a1", "value": document["value"].replace("\0", "no NUL")}

    edit(directory, "properties", corrected)
    correct(directory, "attributes", data="{}")
    correct(directory, "property_lookup_v2", actor_id="a1")


def replay(target: Target, directory: Path) -> None:
    summary = replay_rejects(target, load_options(directory), lambda *_: None)
    assert summary.rejected == 0


def look_ups(target: Target) -> list[tuple[str, ...]]:
    with target.connect() as connection:
        return connection.execute(target.sql("SELECT property_name, actor_id FROM {schema}.property_lookup")).fetchall()


def test_corrected_rejects_are_no_differences(target: Target, tmp_path: Path) -> None:
    assert load(target, write_input(tmp_path, CONTENT)).rejected == REJECTED
    before = validate(target, tmp_path)
    assert (before.rejected, before.differences) == (REJECTED, REJECTED)
    correct_all(tmp_path)
    replay(target, tmp_path)
    after = validate(target, tmp_path)
    assert (after.differences, after.accepted, after.first) == (0, 0, [])
    assert look_ups(target) == [("email", "a1")]


def test_what_was_not_corrected_so_is_a_difference(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, CONTENT))
    correct_all(tmp_path)
    replay(target, tmp_path)
    with target.connect() as connection:
        connection.execute(target.sql("UPDATE {schema}.properties SET value = 'x' WHERE name IN ('nul', 'name 1')"))
    assert found(validate(target, tmp_path)) == [
        ("properties", "different", {"id": "a1", "name": name}, "value") for name in ("name 1", "nul")
    ]


def test_a_row_that_the_source_has_changed_since_is_a_difference(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, CONTENT))
    correct_all(tmp_path)
    replay(target, tmp_path)
    changed = [
        *CONTENT["properties"][:2],
        {"id": "a1", "name": "nul", "value": "\0 changed"},
        *CONTENT["properties"][3:],
    ]
    write_input(tmp_path, {**CONTENT, "properties": changed})
    assert {difference[1] for difference in found(validate(target, tmp_path))} == {"unreadable", "extra"}


def test_corrected_rejects_of_a_copy(
    ddb: DynamoDBClient, dynamodb_tables: DynamoDBTables, set_env: SetEnv, target: Target, tmp_path: Path
) -> None:
    set_env(**dynamodb_tables.environment)
    put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], CONTENT)
    copy_tables(source_of(dynamodb_tables.environment), target, load_options(tmp_path), lambda *_: None)
    correct_all(tmp_path)
    replay(target, tmp_path)
    assert validate_live(target, dynamodb_tables.environment, tmp_path).differences == 0
    dynamodb_tables.wipe()


def test_a_correction_in_two_steps(target: Target, tmp_path: Path) -> None:
    """The first leaves the row rejected, with the digest of what the source has."""
    load(
        target, write_input(tmp_path, {"actors": [ACTOR], "properties": [{"id": "ghost", "name": "n", "value": "\0"}]})
    )
    correct(tmp_path, "properties", value="v")
    assert replay_rejects(target, load_options(tmp_path), lambda *_: None).rejected == 1
    correct(tmp_path, "properties", id="a1")
    replay(target, tmp_path)
    assert validate(target, tmp_path).differences == 0


def test_corrections_of_an_earlier_load_are_set_aside(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, CONTENT))
    correct_all(tmp_path)
    replay(target, tmp_path)
    load(target, tmp_path, skip_duplicates=True)
    assert (tmp_path / "rejects" / "properties.corrected.ndjson.1").exists()
    assert not (tmp_path / "rejects" / "properties.corrected.ndjson").exists()


@pytest.fixture
def rejected(target: Target, tmp_path: Path) -> Path:
    """Return the directory of an import that has rejected some rows."""
    assert load(target, write_input(tmp_path, CONTENT)).rejected == REJECTED
    return tmp_path


@pytest.fixture
def as_keys(rejected: Path) -> Path:
    """Return a file with the keys of all rejected rows."""
    path = rejected / "accepted.ndjson"
    lines = [
        {"table": reject["table"], "key": reject["key"]} for table in CONTENT for reject in rejects_of(rejected, table)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_accepted_keys_are_no_differences(target: Target, rejected: Path, as_keys: Path) -> None:
    result = validate(target, rejected, accepted=AcceptedRows((as_keys,)))
    assert (result.differences, result.rejected, result.accepted) == (0, 0, REJECTED)
    assert not report_path(rejected).exists()


@pytest.mark.parametrize("place", ["directory", "files", "report"])
def test_other_forms_of_accepted_rows(target: Target, rejected: Path, place: str) -> None:
    validate(target, rejected)
    directory = rejected / "rejects"
    report = rejected / "seen.ndjson"
    report.write_bytes(report_path(rejected).read_bytes())
    paths = {"directory": (directory,), "files": tuple(directory.iterdir()), "report": (report,)}[place]
    result = validate(target, rejected, accepted=AcceptedRows(paths))
    assert (result.differences, result.accepted) == (0, REJECTED)


def test_what_has_no_key_is_accepted_by_its_reject(target: Target, tmp_path: Path) -> None:
    write_input(tmp_path, {"actors": [ACTOR]})
    (tmp_path / "properties.json").write_text('[\n{"id" oops},\n{}\n]\n')
    load(target, tmp_path)
    accepted = AcceptedRows((tmp_path / "rejects",))
    assert (validate(target, tmp_path, accepted=accepted).accepted, validate(target, tmp_path).differences) == (2, 2)


def test_only_rows_that_are_not_there_can_be_accepted(target: Target, rejected: Path, as_keys: Path) -> None:
    with target.connect() as connection:
        connection.execute(target.sql("UPDATE {schema}.properties SET value = 'x' WHERE name = 'name 0'"))
    with as_keys.open("a") as file:
        file.write(json.dumps({"table": "properties", "key": {"id": "a1", "name": "name 0"}}) + "\n")
    result = validate(target, rejected, accepted=AcceptedRows((as_keys,)))
    assert found(result) == [("properties", "different", {"id": "a1", "name": "name 0"}, "value")]


@pytest.mark.parametrize(
    "line",
    ["x", "[]", '{"table": "prodz", "key": {}}', '{"table": "actors", "key": {}}', '{"table": "property_lookup"}'],
)
def test_a_line_that_names_no_row(target: Target, rejected: Path, line: str) -> None:
    path = rejected / "accepted.ndjson"
    path.write_text(f"{line}\n")
    with pytest.raises(UsageError, match=r"accepted\.ndjson, line 1: "):
        validate(target, rejected, accepted=AcceptedRows((path,)))


@pytest.mark.parametrize("key", [1, True, "id", ["id"]])
@pytest.mark.parametrize("table", ["actors", "property_lookup", "property_lookup_v1", ["actors"], {}])
def test_a_line_of_other_types_names_no_row(tmp_path: Path, table: object, key: object) -> None:
    path = tmp_path / "accepted.ndjson"
    path.write_text(json.dumps({"table": table, "key": key}))
    with pytest.raises(UsageError, match=r"accepted\.ndjson, line 1: this is not a JSON object with"):
        list(AcceptedRows((path,)).named())


def test_a_file_that_is_not_there(target: Target, rejected: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        validate(target, rejected, accepted=AcceptedRows((rejected / "absent",)))


def test_the_command_and_its_page(tool: Tool) -> None:
    """The page has numbers, and neither keys nor values."""
    content: Documents = {**CONTENT, "properties": [*CONTENT["properties"], {"id": "a1", "name": "kept", "value": "w"}]}
    write_input(tool.directory / "files", content)
    assert tool.run("import", "--input-dir", "files").returncode == 3
    command = ("validate", "--input-dir", "files", "--report", "report.html", "--show-values")
    differing = tool.run(*command)
    assert differing.returncode == 4
    assert "the page to hand on is report.html" in differing.stdout
    page = (tool.directory / "report.html").read_text()
    assert f"<span>{REJECTED} differences</span>" in page
    for text in ("ghost", "name 0", "no NUL", tool.environment["PG_DB_PASSWORD"]):
        assert text not in page
    assert (tool.directory / "report.ndjson").exists()
    accepting = tool.run(*command, "--accept-rejects", "files/rejects")
    assert accepting.returncode == 0
    assert f"{REJECTED} rows differ and are accepted" in accepting.stdout
    assert f"{REJECTED} rows differ and are accepted" in (tool.directory / "report.html").read_text()
    assert not (tool.directory / "report.ndjson").exists()
