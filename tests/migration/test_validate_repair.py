"""`validate --repair`: PostgreSQL made equal to the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import LiteralString

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.documents import Document
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.differences import ValidationResult
from actingweb.migration.jobs.load import import_files
from actingweb.migration.mapping import chosen
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.cli_tool import Tool
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    Documents,
    expected,
    load,
    load_options,
    properties,
    stored,
    versions,
    write_input,
)
from tests.migration.roles import Role
from tests.migration.validation import found, validate

EMAIL = "one@example.com"
CLAIM = {"lookup_key": compute_lookup_key("email", EMAIL), "property_name": "email", "actor_id": "a2"}
CLAIMED: Documents = {**DOCUMENTS, "property_lookup_v2": [CLAIM]}


def change(target: Target, *statements: LiteralString) -> None:
    """Change the tables behind the library's back."""
    with target.connect() as connection:
        connection.execute(target.sql("SET search_path TO {schema}"))
        for statement in statements:
            connection.execute(statement)


def repair(target: Target, directory: Path, *, delete_extra: bool = False) -> ValidationResult:
    return validate(target, directory, repair=True, delete_extra=delete_extra)


def look_ups(target: Target) -> list[tuple[str, ...]]:
    with target.connect() as connection:
        query = target.sql("SELECT property_name, actor_id FROM {schema}.property_lookup ORDER BY lookup_key")
        return connection.execute(query).fetchall()


DAMAGE: dict[str, list[LiteralString]] = {
    "rows are missing": ["DELETE FROM actors WHERE id = 'a1'", "DELETE FROM attributes"],
    "columns differ": [
        "UPDATE actors SET creator = 'x'",
        "UPDATE properties SET value = 'x'",
        "UPDATE attributes SET data = '1.0', ttl_timestamp = NULL",
        'UPDATE trusts SET approved = NOT approved, "desc" = NULL, created_at = now()',
        "UPDATE peertrustees SET type = 'x'",
        "UPDATE subscriptions SET seqnr = 1, callback = false",
        "UPDATE subscription_diffs SET diff = ''",
        "UPDATE subscription_suspensions SET suspended_at = now()",
    ],
    "look-ups are gone": ["DELETE FROM property_lookup"],
    "look-ups find another actor": ["UPDATE property_lookup SET actor_id = 'a1'"],
    "look-ups of a value that nobody has": ["INSERT INTO property_lookup VALUES ('k', 'email', 'a1')"],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_differs_is_repaired(target: Target, tmp_path: Path, damage: str) -> None:
    load(target, write_input(tmp_path, CLAIMED))
    change(target, *DAMAGE[damage])
    result = repair(target, tmp_path)
    assert result.differences > 0
    assert result.repaired == result.differences
    assert validate(target, tmp_path).differences == 0
    assert stored(target) == expected(DOCUMENTS)
    assert look_ups(target) == [("email", "a2")]


def test_equal_rows_are_left_alone(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    change(target, "UPDATE properties SET value = 'x' WHERE name = 'größe'")
    before = versions(target)
    assert repair(target, tmp_path).repaired == 1
    after = versions(target)
    assert {table for table in before if before[table] != after[table]} == {"properties"}
    assert len(set(before["properties"]) & set(after["properties"])) == 2


EXTRA: list[LiteralString] = [
    "INSERT INTO actors VALUES ('new', '', '')",
    "INSERT INTO properties VALUES ('new', 'email', 'e'), ('a1', 'more', 'm')",
    "INSERT INTO attributes (id, bucket, name) VALUES ('a1', 'b', 'more')",
    "INSERT INTO property_lookup VALUES ('k', 'email', 'new')",
]


def test_extra_rows_are_deleted_only_if_that_is_wanted(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, CLAIMED))
    change(target, *EXTRA)
    kept = repair(target, tmp_path)
    assert (kept.tables["actors"].repaired, len(stored(target)["actors"])) == (0, 3)
    assert kept.differences > kept.repaired
    deleted = repair(target, tmp_path, delete_extra=True)
    assert deleted.repaired == deleted.differences
    assert validate(target, tmp_path).differences == 0
    assert stored(target) == expected(DOCUMENTS)


def test_a_row_that_was_corrected_by_hand_is_spared(target: Target, tmp_path: Path) -> None:
    """The source has it too, in a form that PostgreSQL cannot hold."""
    good, bad = properties(2)
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": [good, bad | {"value": "\0"}]}))
    change(
        target, "INSERT INTO properties VALUES ('a1', 'name 1', 'corrected')", "INSERT INTO actors VALUES ('n', '', '')"
    )
    result = repair(target, tmp_path, delete_extra=True)
    assert stored(target) == expected({"actors": [ACTOR], "properties": [good, bad | {"value": "corrected"}]})
    assert (result.differences, result.repaired) == (3, 1)


def test_a_table_that_the_source_lacks_keeps_its_rows(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    (tmp_path / "subscription_suspensions.json").unlink()
    change(target, "INSERT INTO actors VALUES ('new', '', '')")
    result = repair(target, tmp_path, delete_extra=True)
    assert (result.differences, result.repaired) == (2, 1)
    assert stored(target) == expected(DOCUMENTS)


def test_an_unfinished_load_is_finished_first(target: Target, tmp_path: Path) -> None:
    def stop(table: str, counts: Counts) -> None:
        if counts.read:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files(target, ExportDirectory.at(write_input(tmp_path, DOCUMENTS)), load_options(tmp_path), stop)
    with pytest.raises(UsageError, match="finish it first"):
        repair(target, tmp_path)


def test_what_cannot_be_repaired_is_left_and_counted(target: Target, tmp_path: Path) -> None:
    twice = [*properties(1), {**properties(1)[0], "value": "other"}]
    orphan: Document = {"id": "nobody", "name": "n", "value": "v"}
    load(target, write_input(tmp_path, {"actors": [ACTOR]}))
    write_input(tmp_path, {"actors": [ACTOR], "properties": [*twice, orphan]})
    result = repair(target, tmp_path)
    assert (result.differences, result.repaired) == (4, 0)
    assert stored(target)["properties"] == []


def test_an_interrupted_repair_goes_on(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    change(target, "DELETE FROM actors", "DELETE FROM attributes")

    def stop(table: str, rows: int) -> None:
        if table == "trusts":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate(target, tmp_path, on_rows=stop, repair=True)
    assert len(stored(target)["properties"]) == 3
    assert stored(target)["trusts"] == []
    repair(target, tmp_path)
    assert validate(target, tmp_path).differences == 0
    assert stored(target) == expected(DOCUMENTS)


def test_only_a_part_is_repaired(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    change(target, "DELETE FROM trusts", "UPDATE actors SET creator = 'x'")
    result = validate(target, tmp_path, repair=True, tables=chosen(["trusts"]))
    assert (result.differences, result.repaired) == (1, 1)
    assert {difference[0] for difference in found(validate(target, tmp_path))} == {"actors"}


def test_the_rights_are_checked_first(target: Target, as_role: Role, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    change(target, "UPDATE actors SET creator = 'x'")
    role = as_role(
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    with pytest.raises(UsageError, match=r"lacks UPDATE on actors, .*GRANT UPDATE ON "):
        repair(role, tmp_path)


def test_the_command_ends_with_what_is_left(tool: Tool, target: Target) -> None:
    assert tool.run("import", "--input-dir", "files").returncode == 0
    change(target, "UPDATE trusts SET approved = NOT approved", "INSERT INTO actors VALUES ('new', '', '')")
    validation = ("validate", "--input-dir", "files", "--json")
    kept = tool.run(*validation, "--repair")
    assert (kept.returncode, json.loads(kept.stdout)["repaired"]) == (4, 1)
    hint = "extra rows were kept: --repair --delete-extra deletes them"
    assert hint in tool.run("validate", "--input-dir", "files", "--repair").stdout
    deleted = tool.run("validate", "--input-dir", "files", "--repair", "--delete-extra")
    assert (deleted.returncode, hint in deleted.stdout) == (0, False)
    assert json.loads(tool.run(*validation).stdout)["differences"] == 0
    assert stored(target) == expected(DOCUMENTS)


def test_nothing_is_changed_where_nothing_may_be_written(tool: Tool, target: Target) -> None:
    assert tool.run("import", "--input-dir", "files").returncode == 0
    change(target, "UPDATE trusts SET approved = NOT approved")
    stopped = tool.having(PGOPTIONS="-c default_transaction_read_only=on")
    result = stopped.run("validate", "--input-dir", "files", "--repair")
    assert (result.returncode, "read-only" in result.stderr) == (2, True)
    assert validate(target, tool.directory / "files").differences == 1
