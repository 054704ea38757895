"""Validation finds each corruption of the target, and nothing where there is none."""

import json
import os
import stat
from pathlib import Path
from typing import Any, LiteralString

import pytest

from actingweb.db.settings import Settings
from actingweb.migration.documents import Document
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.jobs.differences import Kind
from actingweb.migration.mapping import MAPPINGS
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTables
from tests.migration.loads import ACTOR, DOCUMENTS, TIME, Documents, load, properties, write_input
from tests.migration.loads import versions as versions_of
from tests.migration.validation import found, report_path, validate

JSON = '{"rate": 1.10, "Key": null, "list": [{"leaf": "x"}, 12345678901234567890123456789012345678], "empty": ""}'
ATTRIBUTE: Document = {"id": "a1", "bucket_name": "b:k", "bucket": "b", "name": "k", "data": JSON, "timestamp": TIME}
CONTENT: Documents = {**DOCUMENTS, "attributes": [*DOCUMENTS["attributes"], ATTRIBUTE]}

BIG = {"id": "a1", "name": "größe"}
K = {"id": "a1", "bucket": "b", "name": "k"}
P1 = {"id": "a1", "peerid": "p1"}


@pytest.fixture
def directory(target: Target, tmp_path: Path) -> Path:
    """Import files and return their directory."""
    return load_content(target, tmp_path, CONTENT)


def load_content(target: Target, directory: Path, content: Documents) -> Path:
    """Import documents and return the directory of their files."""
    load(target, write_input(directory, content))
    return directory


def corrupt(target: Target, statement: LiteralString) -> None:
    """Change exactly one row."""
    with target.connect() as connection:
        connection.execute(target.sql("SET search_path TO {schema}"))
        assert connection.execute(statement).rowcount == 1


def test_there_is_no_difference(target: Target, directory: Path) -> None:
    before = versions_of(target)
    result = validate(target, directory)
    assert (result.differences, result.first, report_path(directory).exists()) == (0, [], False)
    counts = {table: (found.source, found.target) for table, found in result.tables.items()}
    assert counts == {mapping.name: (len(list(CONTENT[mapping.name])),) * 2 for mapping in MAPPINGS} | {
        "property_lookup": (None, 1)
    }
    assert versions_of(target) == before


CORRUPTIONS: dict[str, tuple[LiteralString, list[tuple[Any, ...]]]] = {
    "row missing": ("DELETE FROM properties WHERE name = 'größe'", [("properties", "missing", BIG, None)]),
    "row extra": (
        "INSERT INTO properties VALUES ('a1', 'new', '')",
        [("properties", "extra", {"id": "a1", "name": "new"}, None)],
    ),
    "last character": (
        "UPDATE properties SET value = left(value, -1) || 'M' WHERE name = 'größe'",
        [("properties", "different", BIG, "value")],
    ),
    "one JSON leaf": (
        "UPDATE attributes SET data = jsonb_set(data, '{list,0,leaf}', '\"y\"') WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "last digit of a number in JSON": (
        "UPDATE attributes SET data = jsonb_set(data, '{list,1}', '12345678901234567890123456789012345679')"
        " WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "one microsecond": (
        "UPDATE attributes SET timestamp = timestamp + interval '1 microsecond' WHERE name = 'k'",
        [("attributes", "different", K, "timestamp")],
    ),
    "boolean": ("UPDATE trusts SET approved = NOT approved", [("trusts", "different", P1, "approved")]),
    "null for empty": ('UPDATE trusts SET "desc" = NULL', [("trusts", "different", P1, "desc")]),
    "empty for null": ("UPDATE trusts SET client_name = ''", [("trusts", "different", P1, "client_name")]),
    "JSON null for no JSON": (
        "UPDATE attributes SET data = 'null' WHERE name = 'm'",
        [("attributes", "different", {"id": "a1", "bucket": "b", "name": "m"}, "data")],
    ),
    "JSON null for empty": (
        "UPDATE attributes SET data = jsonb_set(data, '{empty}', 'null') WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "absent for JSON null": (
        "UPDATE attributes SET data = data - 'Key' WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "case of a key in JSON": (
        "UPDATE attributes SET data = data - 'Key' || '{\"key\": null}' WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "case of a row's key": (
        "UPDATE properties SET name = 'Größe' WHERE name = 'größe'",
        [
            ("properties", "extra", {"id": "a1", "name": "Größe"}, None),
            ("properties", "missing", BIG, None),
        ],
    ),
    "number scale": (
        "UPDATE attributes SET data = jsonb_set(data, '{rate}', '1.1') WHERE name = 'k'",
        [("attributes", "different", K, "data")],
    ),
    "trailing blank": (
        "UPDATE subscription_diffs SET diff = diff || ' '",
        [("subscription_diffs", "different", {"id": "a1", "subid": "s1", "seqnr": 7}, "diff")],
    ),
    "composed for decomposed": (
        "UPDATE properties SET name = 'gro\u0308ße' WHERE name = 'größe'",
        [
            ("properties", "extra", {"id": "a1", "name": "gro\u0308ße"}, None),
            ("properties", "missing", BIG, None),
        ],
    ),
    "last bit": (
        "UPDATE subscriptions SET seqnr = seqnr - 1",
        [("subscriptions", "different", {"id": "a1", "peerid": "p1", "subid": "s1"}, "seqnr")],
    ),
    "two columns": (
        "UPDATE peertrustees SET type = '', passphrase = 'P'",
        [("peertrustees", "different", P1, "type"), ("peertrustees", "different", P1, "passphrase")],
    ),
    "time of a suspension": (
        "UPDATE subscription_suspensions SET suspended_at = 'infinity'",
        [
            (
                "subscription_suspensions",
                "different",
                {"id": "a1", "target": "t", "subtarget": "u"},
                "suspended_at",
            )
        ],
    ),
    "creator": ("UPDATE actors SET creator = '' WHERE id = 'a1'", [("actors", "different", {"id": "a1"}, "creator")]),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_each_corruption_is_found_alone(target: Target, directory: Path, corruption: str) -> None:
    statement, expected = CORRUPTIONS[corruption]
    corrupt(target, statement)
    result = validate(target, directory)
    assert sorted(found(result), key=str) == sorted(expected, key=str)
    assert result.differences == len(expected)
    lines = [json.loads(line) for line in report_path(directory).read_text().splitlines()]
    assert sorted(tuple(line.values()) for line in lines) == sorted(expected, key=str)
    assert result.rejected == 0


def test_values_are_shown_on_demand_only(target: Target, directory: Path) -> None:
    corrupt(target, "UPDATE attributes SET timestamp = timestamp + interval '1 microsecond' WHERE name = 'k'")
    corrupt(target, "UPDATE trusts SET client_name = ''")
    assert [difference.values for difference in validate(target, directory).first] == [None, None]
    assert "04:05" not in report_path(directory).read_text()
    expected = [("2024-01-02 03:04:05.678901+00", "2024-01-02 03:04:05.678902+00"), (None, "")]
    assert [difference.values for difference in validate(target, directory, show_values=True).first] == expected
    lines = [json.loads(line) for line in report_path(directory).read_text().splitlines()]
    assert [(line["source"], line["postgresql"]) for line in lines] == expected


@pytest.mark.usefixtures("small_batches")
def test_the_first_are_returned_and_all_are_reported(target: Target, tmp_path: Path) -> None:
    content = {"actors": [ACTOR], "properties": properties(2500)}
    load_content(target, tmp_path, content)
    with target.connect() as connection:
        connection.execute(target.sql("UPDATE {schema}.properties SET value = value || ' '"))
    for show_values in (False, True):
        result = validate(target, tmp_path, limit=3, show_values=show_values)
        assert len(result.first) == 3
        assert result.tables["properties"].kinds == {Kind.DIFFERENT: 2500}
        names = {json.loads(line)["key"]["name"] for line in report_path(tmp_path).read_text().splitlines()}
        assert names == {document["name"] for document in content["properties"]}


def test_the_report_is_its_owners_alone(target: Target, directory: Path) -> None:
    path = report_path(directory)
    path.write_text("of an earlier run")
    path.chmod(0o644)
    corrupt(target, "UPDATE trusts SET approved = NOT approved")
    validate(target, directory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "an earlier run" not in path.read_text()


def test_what_is_no_plain_file_is_written_to(target: Target, directory: Path) -> None:
    """As /dev/null: neither removed nor replaced."""
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    corrupt(target, "UPDATE trusts SET approved = NOT approved")
    validate(target, directory, report=pipe)
    assert json.loads(os.read(reader, 10_000))["column"] == "approved"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_table_without_a_file_has_to_be_empty(target: Target, directory: Path) -> None:
    (directory / "subscription_suspensions.json").unlink()
    key = {"id": "a1", "target": "t", "subtarget": "u"}
    assert found(validate(target, directory)) == [("subscription_suspensions", "extra", key, None)]


def test_unknown_attributes_are_counted(target: Target, tmp_path: Path) -> None:
    actors = [{**ACTOR, "colour": "red"}, {"id": "a2", "colour": "blue"}]
    result = validate(target, load_content(target, tmp_path, {"actors": actors}))
    assert (result.differences, result.unknown) == (0, {"actors": {"colour": 2}})


def test_what_cannot_be_compared(target: Target, directory: Path, postgres_tables: PostgresTables) -> None:
    """A schema that is not at head, and a file that is cut off."""
    elsewhere = Settings.from_environment({**postgres_tables.environment, "PG_DB_PREFIX": "absent_"}).postgresql
    with pytest.raises(UsageError, match=r"the schema is missing: run `.* alembic upgrade head`"):
        validate(Target(elsewhere), directory)
    (directory / "trusts.json").write_text("[{")
    with pytest.raises(SourceError, match=r"trusts\.json"):
        validate(target, directory)
