"""What validation checks besides equality: documents, keys, actors, look-up rows and known rejects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import sql

from actingweb.db.settings import Settings
from actingweb.migration.documents import Document
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.jobs.differences import Kind
from actingweb.migration.jobs.load_options import LoadSummary
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTables
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    TIME,
    Documents,
    load,
    properties,
    reject_path,
    versions,
    write_input,
)
from tests.migration.validation import found, report_path, validate
from tests.support import new_id

UNREADABLE: dict[str, list[Document]] = {
    "properties": [{"id": "a1", "name": "nul", "value": "\0"}, {"id": "a1", "value": "no name"}],
    "attributes": [
        {"id": "a1", "bucket_name": "b:json", "bucket": "b", "name": "json", "data": "{", "timestamp": TIME},
        {"id": "a1", "bucket_name": "b:time", "bucket": "b", "name": "time", "data": "1", "timestamp": "yesterday"},
        {"id": "a1", "bucket_name": "b:huge", "bucket": "b", "name": "huge", "data": "1e200000", "timestamp": TIME},
    ],
    "trusts": [{"id": "a1", "peerid": "p1", "approved": "yes"}],
    "subscriptions": [{"id": "a1", "peer_sub_id": "p:s", "peerid": "p", "subid": "s", "seqnr": 1.5}],
    "subscription_diffs": [{"id": "a1", "subid_seqnr": "s:7", "subid": "s", "seqnr": 2**63, "timestamp": TIME}],
}


def change(target: Target, statement: LiteralString) -> None:
    """Change the tables behind the library's back."""
    with target.connect() as connection:
        connection.execute(target.sql("SET search_path TO {schema}"))
        connection.execute(statement)


def load_content(target: Target, directory: Path, content: Documents) -> LoadSummary:
    """Import documents."""
    return load(target, write_input(directory, content))


@pytest.mark.usefixtures("small_batches")
def test_unreadable_documents_are_told_with_what_key_they_have(target: Target, tmp_path: Path) -> None:
    """Good rows in the same batches are compared all the same."""
    good = {"properties": properties(10), "attributes": DOCUMENTS["attributes"]}
    content = {table: [*good.get(table, ()), *documents] for table, documents in UNREADABLE.items()}
    summary = load_content(target, tmp_path, {"actors": [ACTOR], **content})
    result = validate(target, tmp_path)
    keys = {"id", "name", "bucket", "peerid", "subid", "seqnr"}
    expected = [
        (table, "unreadable", {name: value for name, value in document.items() if name in keys & _key(table)}, None)
        for table, documents in UNREADABLE.items()
        for document in documents
    ]
    assert sorted(found(result), key=str) == sorted(expected, key=str)
    assert all(difference.reason for difference in result.first)
    assert result.rejected == summary.rejected == len(expected)
    assert "yesterday" not in report_path(tmp_path).read_text()


def _key(table: str) -> set[str]:
    return {
        "properties": {"id", "name"},
        "attributes": {"id", "bucket", "name"},
        "trusts": {"id", "peerid"},
        "subscriptions": {"id", "peerid", "subid"},
        "subscription_diffs": {"id", "subid", "seqnr"},
    }[table]


@pytest.mark.parametrize("position", range(4))
def test_what_postgresql_refuses_costs_no_row_beside_it(target: Target, tmp_path: Path, position: int) -> None:
    """The only judge of such a number is PostgreSQL, which refuses all that comes with it."""
    plain = [{"id": "a1", "bucket_name": f"b:{name}", "bucket": "b", "name": name, "data": "1"} for name in "abc"]
    huge = {**plain[0], "bucket_name": "b:huge", "name": "huge", "data": "1e200000"}
    load_content(target, tmp_path, {"actors": [ACTOR], "attributes": [*plain[:position], huge, *plain[position:]]})
    result = validate(target, tmp_path)
    assert found(result) == [("attributes", "unreadable", {"id": "a1", "bucket": "b", "name": "huge"}, None)]
    assert result.rejected == 1


def test_what_is_no_document_at_all_is_unreadable(target: Target, tmp_path: Path) -> None:
    write_input(tmp_path, {"actors": [ACTOR]})
    (tmp_path / "properties.json").write_text('[\n{"id": "a1", "name": "n", "value": "v"},\n{"id" oops},\n{}\n]\n')
    load(target, tmp_path)
    result = validate(target, tmp_path)
    assert found(result) == [("properties", "unreadable", {}, None)] * 2
    assert result.rejected == 2


def test_known_rejects_are_counted_one_by_one(target: Target, tmp_path: Path) -> None:
    """What was not rejected is not excused by what was."""
    content = [*properties(3), {"id": "ghost", "name": "n", "value": "v"}]
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": content})
    change(target, "DELETE FROM properties WHERE name = 'name 1'")
    expected = [
        ("properties", "missing", {"id": "a1", "name": "name 1"}, None),
        ("properties", "orphan", {"id": "ghost", "name": "n"}, None),
    ]
    result = validate(target, tmp_path)
    assert sorted(found(result), key=str) == expected
    assert (result.differences, result.rejected) == (2, 1)
    assert validate(target, tmp_path, rejects=None).rejected == 0
    assert validate(target, tmp_path, rejects=tmp_path / "none").rejected == 0


def test_a_rejected_row_whose_actor_came_later(target: Target, tmp_path: Path) -> None:
    row = {"id": "later", "name": "n", "value": "v"}
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": [row]})
    change(target, "INSERT INTO actors VALUES ('later', '', '')")
    write_input(tmp_path, {"actors": [ACTOR, {"id": "later"}], "properties": [row]})
    result = validate(target, tmp_path)
    assert found(result) == [("properties", "missing", {"id": "later", "name": "n"}, None)]
    assert result.rejected == 1


def test_unreadable_documents_need_not_be_known_rejects(target: Target, tmp_path: Path) -> None:
    rejected = {"id": "a1", "name": "nul", "value": "\0"}
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": [rejected]})
    write_input(tmp_path, {"actors": [ACTOR], "properties": [rejected, {**rejected, "name": "later"}, {"id": "a1"}]})
    result = validate(target, tmp_path)
    assert (result.differences, result.rejected) == (3, 1)


def test_an_empty_part_of_a_key_may_be_absent(target: Target, tmp_path: Path) -> None:
    suspension = {"id": "ghost", "target_key": "t", "target": "t", "suspended_at": TIME}
    load_content(target, tmp_path, {"actors": [ACTOR], "subscription_suspensions": [suspension]})
    assert validate(target, tmp_path).rejected == 1


def test_a_reject_file_that_cannot_be_read(target: Target, tmp_path: Path) -> None:
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": [{"id": "ghost", "name": "n"}]})
    reject_path(tmp_path, "properties").write_text("{}\n")
    with pytest.raises(SourceError, match="line 1"):
        validate(target, tmp_path)


def test_a_key_that_the_source_has_twice(target: Target, tmp_path: Path) -> None:
    same = properties(2)
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": same})
    write_input(tmp_path, {"actors": [ACTOR], "properties": [*same, same[0], {**same[1], "value": "other"}]})
    result = validate(target, tmp_path)
    assert sorted(found(result), key=str) == [
        ("properties", "different", {"id": "a1", "name": "name 1"}, "value"),
        ("properties", "duplicate", {"id": "a1", "name": "name 0"}, None),
        ("properties", "duplicate", {"id": "a1", "name": "name 1"}, None),
    ]


def test_rows_whose_actor_postgresql_has_not(target: Target, tmp_path: Path) -> None:
    load_content(target, tmp_path, DOCUMENTS)
    change(target, "SET session_replication_role = replica; DELETE FROM actors WHERE id = 'a1'")
    result = validate(target, tmp_path)
    orphans = {table: counts.kinds.get(Kind.ORPHAN, 0) for table, counts in result.tables.items()}
    assert orphans == dict.fromkeys(("actors", "attributes", "property_lookup"), 0) | {
        "properties": 2,
        "trusts": 1,
        "peertrustees": 1,
        "subscriptions": 1,
        "subscription_diffs": 1,
        "subscription_suspensions": 1,
    }
    assert ("actors", "missing", {"id": "a1"}, None) in found(result)


LOOK_UPS: dict[str, tuple[LiteralString, list[tuple[str, str]]]] = {
    "of a value that has changed": (
        "UPDATE properties SET value = 'new' WHERE id = 'a1' AND name = 'email'",
        [("a1", "its actor has no such value"), ("a1", "the actor's value has no look-up row")],
    ),
    "of another actor": (
        "INSERT INTO actors VALUES ('a3', '', ''); UPDATE property_lookup SET actor_id = 'a3'",
        [("a3", "its actor has no such value")],
    ),
    "of another property": (
        "UPDATE property_lookup SET property_name = 'größe'",
        [("a1", "its actor has no such value")],
    ),
    "gone": ("DELETE FROM property_lookup", [("a1", "the actor's value has no look-up row")]),
    "with another key": (
        "UPDATE property_lookup SET lookup_key = upper(lookup_key)",
        [("a1", "its actor has no such value"), ("a1", "the actor's value has no look-up row")],
    ),
}


@pytest.mark.parametrize("case", LOOK_UPS)
def test_look_up_rows_fit_the_properties(target: Target, tmp_path: Path, case: str) -> None:
    load_content(target, tmp_path, DOCUMENTS)
    statement, expected = LOOK_UPS[case]
    change(target, statement)
    look_ups = [difference for difference in validate(target, tmp_path).first if difference.kind is Kind.LOOK_UP]
    assert [(difference.key["actor_id"], difference.reason) for difference in look_ups] == expected
    assert {difference.table for difference in look_ups} == {"property_lookup"}


def test_values_of_other_properties_need_no_look_up_row(target: Target, tmp_path: Path) -> None:
    load_content(target, tmp_path, {"actors": [ACTOR], "properties": [*properties(2), *_empty_email()]})
    assert validate(target, tmp_path).differences == 0
    assert validate(target, tmp_path, indexed_properties=("name 1",)).differences == 1


def _empty_email() -> list[dict[str, Any]]:
    return [{"id": "a1", "name": "email", "value": ""}]


@pytest.fixture
def reader(target: Target, postgres_tables: PostgresTables) -> Iterator[Target]:
    """Log in as a role that may read, and nothing else."""
    name = f"reader_{new_id('')[:8]}"
    role = sql.Identifier(name)
    with target.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pass'").format(role))
        connection.execute(target.sql("GRANT USAGE ON SCHEMA {schema} TO {role}", role=role))
        connection.execute(target.sql("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}", role=role))
        environment = {**postgres_tables.environment, "PG_DB_USER": name, "PG_DB_PASSWORD": "pass"}
        yield Target(Settings.from_environment(environment).postgresql)
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_reading_is_enough(target: Target, reader: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    before = versions(target)
    assert validate(reader, tmp_path).differences == 0
    assert versions(target) == before


def test_reading_is_needed(target: Target, reader: Target, tmp_path: Path) -> None:
    write_input(tmp_path, DOCUMENTS)
    with target.connect() as connection:
        role = sql.Identifier(reader.settings.user)
        connection.execute(target.sql("REVOKE SELECT ON {schema}.trusts FROM {role}", role=role))
    with pytest.raises(UsageError, match=r"lacks SELECT on trusts: .*GRANT SELECT ON .*trusts"):
        validate(reader, tmp_path)


def test_report_and_counts_are_json(target: Target, tmp_path: Path) -> None:
    load_content(target, tmp_path, {"actors": [ACTOR]})
    write_input(tmp_path, {"actors": [{**ACTOR, "id": "other"}]})
    result = validate(target, tmp_path)
    counts = {
        "source": 1,
        "target": 1,
        "kinds": {"extra": 1, "missing": 1},
        "rejected": 0,
        "accepted": 0,
        "repaired": 0,
    }
    assert json.loads(json.dumps(asdict(result.tables["actors"]))) == counts
    lines = [json.loads(line) for line in report_path(tmp_path).read_text().splitlines()]
    assert sorted(lines, key=str) == [
        {"table": "actors", "kind": "extra", "key": {"id": "a1"}, "column": None},
        {"table": "actors", "kind": "missing", "key": {"id": "other"}, "column": None},
    ]
