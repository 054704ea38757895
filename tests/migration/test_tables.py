"""A part of the tables, chosen by `--tables`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.jobs.load_options import LoadSummary
from actingweb.migration.mapping import ALL, CLAIMS, MAPPINGS, Tables, chosen
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.s3_export import S3ExportDirectory
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables
from tests.conftest import SetEnv
from tests.migration.cli_tool import Tool
from tests.migration.deployment import source_of
from tests.migration.exported import write_exports
from tests.migration.loads import DOCUMENTS, Documents, expected, load, load_options, stored, write_input
from tests.migration.tables import put_documents
from tests.migration.validation import found, validate_with

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EMAIL = "one@example.com"
CLAIM = {"lookup_key": compute_lookup_key("email", EMAIL), "property_name": "email", "actor_id": "a2"}
CONTENT: Documents = {**DOCUMENTS, "property_lookup_v2": [CLAIM]}


def only(*tables: str) -> Documents:
    """Return the documents of some tables."""
    return {table: DOCUMENTS[table] for table in tables}


def load_part(target: Target, directory: Path, *tables: str) -> LoadSummary:
    source = ExportDirectory.at(directory, chosen(tables))
    return import_files(target, source, load_options(directory), lambda *_: None)


def look_ups(target: Target) -> list[tuple[str, ...]]:
    with target.connect() as connection:
        return connection.execute(target.sql("SELECT property_name, actor_id FROM {schema}.property_lookup")).fetchall()


def test_parents_come_first_and_claims_with_the_properties() -> None:
    assert chosen(["trusts", "actors"]) == (MAPPINGS[0], MAPPINGS[3])
    assert chosen(["properties"]) == (MAPPINGS[1], *CLAIMS)
    assert chosen([mapping.name for mapping in MAPPINGS]) == ALL
    with pytest.raises(ValueError, match="property_lookup_v2, trust"):
        chosen(["trust", "actors", "property_lookup_v2"])


def test_one_part_after_the_other(target: Target, tmp_path: Path) -> None:
    write_input(tmp_path, CONTENT)
    first = load_part(target, tmp_path, "actors", "attributes")
    assert stored(target) == expected(only("actors", "attributes"))
    assert (list(first.counts), first.look_ups, first.without_claims) == (["actors", "attributes"], None, False)
    second = load_part(target, tmp_path, "properties", "trusts")
    assert stored(target) == expected(only("actors", "attributes", "properties", "trusts"))
    assert second.look_ups == 1
    # The claimant, not the smallest id.
    assert look_ups(target) == [("email", "a2")]


def test_other_files_need_not_be_there(target: Target, tmp_path: Path) -> None:
    write_input(tmp_path, CONTENT)
    for path in tmp_path.glob("*.json"):
        if path.stem not in ("actors", "trusts"):
            path.unlink()
    load_part(target, tmp_path, "actors", "trusts")
    assert stored(target) == expected(only("actors", "trusts"))


def test_look_up_rows_are_left_alone_without_the_properties(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path / "one", only("actors", "properties")))
    with target.connect() as connection:
        connection.execute(target.sql("UPDATE {schema}.property_lookup SET actor_id = 'a2'"))
    load_part(target, write_input(tmp_path / "two", CONTENT), "trusts")
    assert look_ups(target) == [("email", "a2")]


def test_exports_to_s3(target: Target, tmp_path: Path) -> None:
    write_exports(tmp_path, CONTENT)
    source = S3ExportDirectory.at(tmp_path, "demo_", chosen(["actors", "properties"]))
    import_files(target, source, load_options(tmp_path), lambda *_: None)
    assert stored(target) == expected(only("actors", "properties"))
    assert look_ups(target) == [("email", "a2")]


@pytest.mark.parametrize(
    ("tables", "differing"),
    [(["actors", "trusts"], ["trusts"]), (["properties"], ["properties", "property_lookup"]), (["attributes"], [])],
    ids=str,
)
def test_a_part_is_validated(target: Target, tmp_path: Path, tables: list[str], differing: list[str]) -> None:
    load(target, write_input(tmp_path, CONTENT))
    with target.connect() as connection:
        connection.execute(target.sql("UPDATE {schema}.trusts SET approved = NOT approved"))
        connection.execute(target.sql("DELETE FROM {schema}.properties WHERE id = 'a2'"))
        connection.execute(target.sql("UPDATE {schema}.property_lookup SET actor_id = 'a1'"))
    source = ExportDirectory.at(tmp_path, chosen(tables))
    result = validate_with(target, source, tmp_path, tables=chosen(tables))
    compared = {*tables, *(("property_lookup_v2", "property_lookup") if "properties" in tables else ())}
    assert set(result.tables) == compared
    assert {difference[0] for difference in found(result)} == set(differing)


@pytest.fixture
def deployed(ddb: DynamoDBClient, dynamodb_tables: DynamoDBTables, set_env: SetEnv) -> Iterator[None]:
    """Store the documents in DynamoDB."""
    set_env(**dynamodb_tables.environment)
    put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], CONTENT)
    yield
    dynamodb_tables.wipe()


@pytest.mark.usefixtures("deployed")
def test_a_part_is_copied(target: Target, tmp_path: Path) -> None:
    copy_tables(source_of(tables=chosen(["actors", "properties"])), target, load_options(tmp_path), lambda *_: None)
    assert stored(target) == expected(only("actors", "properties"))
    # Only the chosen tables have to be empty.
    copy_tables(source_of(tables=chosen(["trusts"])), target, load_options(tmp_path), lambda *_: None)
    assert stored(target) == expected(only("actors", "properties", "trusts"))
    with pytest.raises(UsageError, match="trusts has rows already"):
        copy_tables(source_of(tables=chosen(["trusts"])), target, load_options(tmp_path), lambda *_: None)


@pytest.mark.usefixtures("deployed")
def test_a_part_is_exported(target: Target, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    some: Tables = chosen(["actors", "trusts"])
    export_tables(source_of(tables=some), directory)
    assert {path.name for path in directory.iterdir()} == {"actors.json", "trusts.json", "manifest.json"}
    assert json.loads((directory / "manifest.json").read_bytes())["chosen"] == ["actors", "trusts"]
    with pytest.raises(UsageError, match="a part only: choose it by --tables actors,trusts"):
        ExportDirectory.at(directory)
    load_part(target, directory, "actors", "trusts")
    assert stored(target) == expected(only("actors", "trusts"))


@pytest.mark.usefixtures("deployed")
def test_an_export_of_a_part_goes_on_with_that_part(tmp_path: Path) -> None:
    def stop(name: str, rows: int) -> None:
        if name == "trusts":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_tables(source_of(tables=chosen(["actors", "trusts"])), tmp_path, on_rows=stop)
    with pytest.raises(UsageError, match="contains an export of actors, trusts: continue it with the same --tables"):
        export_tables(source_of(tables=chosen(["actors"])), tmp_path, resume=True)
    export_tables(source_of(), tmp_path, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"actors.json", "trusts.json", "manifest.json"}


@pytest.mark.usefixtures("deployment")
def test_a_wrong_prefix_is_told_whatever_is_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no DynamoDB table no_actors"):
        export_tables(source_of(prefix="no", tables=chosen(["trusts"])), tmp_path / "out")


def test_a_wrong_name_is_told(tool: Tool) -> None:
    result = tool.run("import", "--input-dir", "files", "--tables", "actors,prodz")
    assert result.returncode == 2
    assert "--tables: there is no table prodz, but actors, properties, attributes" in result.stderr
