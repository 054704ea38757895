"""Files into PostgreSQL."""

import json
from pathlib import Path

import pytest

from actingweb.db.registry import Backend
from actingweb.migration import batches
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.source.files import FileSource
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    expected,
    load,
    properties,
    stored,
    table_exists,
    versions,
    write_input,
)


@pytest.mark.parametrize("indent", [None, 2, 0])
def test_every_table_is_loaded(target: Target, tmp_path: Path, indent: int | None) -> None:
    summary = load(target, write_input(tmp_path, DOCUMENTS, indent))
    assert stored(target) == expected(DOCUMENTS)
    assert {table: counts.written for table, counts in summary.counts.items()} == {
        table: len(list(documents)) for table, documents in DOCUMENTS.items()
    }
    assert not table_exists(target, "migration_progress")
    assert not (tmp_path / "rejects").exists()


@pytest.mark.backends("postgresql")
def test_the_library_reads_what_was_loaded(backend: Backend, target: Target, tmp_path: Path) -> None:
    attributes = [{**document, "ttl_timestamp": 1} for document in DOCUMENTS["attributes"] if document["name"] == "n"]
    kept = [document for document in DOCUMENTS["attributes"] if document["name"] != "n"]
    load(target, write_input(tmp_path, {**DOCUMENTS, "attributes": [*kept, *attributes]}))
    attribute = backend.DbAttribute.DbAttribute().get_attr(actor_id="a1", bucket="b:c", name="n")
    assert attribute is None  # expired
    found = backend.DbAttribute.DbAttribute().get_bucket(actor_id="a1", bucket="b")
    assert found is not None
    assert found["m"]["data"] is None
    trust = backend.DbTrust.DbTrust().get(actor_id="a1", peerid="p1")
    assert trust is not None
    assert trust["created_at"] == "2024-01-02T03:04:05.678901+00:00"
    properties = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=["email"])
    assert properties.get_actor_id_from_property(name="email", value="one@example.com") == "a1"


def test_suspensions_may_be_missing(target: Target, tmp_path: Path) -> None:
    (write_input(tmp_path, DOCUMENTS) / "subscription_suspensions.json").unlink()
    summary = load(target, tmp_path)
    assert summary.missing == ("subscription_suspensions",)
    assert stored(target) == expected({**DOCUMENTS, "subscription_suspensions": []})


def test_any_other_missing_file_is_named(target: Target, tmp_path: Path) -> None:
    (write_input(tmp_path, DOCUMENTS) / "trusts.json").unlink()
    with pytest.raises(UsageError, match=r"trusts\.json is missing"):
        load(target, tmp_path)
    assert stored(target) == expected({})


def test_no_directory(target: Target, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a directory"):
        load(target, tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "[", '[{"id": "a1"}', "{}", '[{"id": "a1"} {', "[1]"])
def test_a_file_that_is_no_array_of_objects(target: Target, tmp_path: Path, content: str) -> None:
    (write_input(tmp_path, {}) / "actors.json").write_text(content)
    with pytest.raises(SourceError, match=r"actors\.json"):
        load(target, tmp_path)


def test_a_second_import_changes_nothing(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    before = versions(target)
    summary = load(target, tmp_path, skip_duplicates=True)
    assert versions(target) == before
    assert summary.look_ups == 0
    assert all(counts == Counts(counts.read, 0, counts.read, 0) for counts in summary.counts.values())


def test_skipping_adds_what_is_new(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": properties(2)}))
    write_input(tmp_path, {"actors": [ACTOR], "properties": [*properties(3), *properties(3)]})
    assert load(target, tmp_path, skip_duplicates=True).counts["properties"] == Counts(6, 1, 5, 0)
    assert stored(target) == expected({"actors": [ACTOR], "properties": properties(3)})


def test_unknown_attributes_are_counted(target: Target, tmp_path: Path) -> None:
    rows = [document | {"colour": "red", "size": 1.5} for document in properties(3)]
    summary = load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": [*rows, *properties(4)[3:]]}))
    assert summary.unknown == {"properties": {"colour": 3, "size": 3}}


def claims(target: Target) -> set[tuple[str, str]]:
    with target.connect() as connection:
        found = connection.execute(target.sql("SELECT property_name, actor_id FROM {schema}.property_lookup"))
        return {(name, actor) for name, actor in found}


def test_the_smallest_actor_claims_a_value(target: Target, tmp_path: Path) -> None:
    actors = [{"id": name} for name in ("b", "a", "C", "é")]
    values = [
        *({"id": actor["id"], "name": "email", "value": "same"} for actor in actors),
        {"id": "a", "name": "other", "value": "same"},
        {"id": "b", "name": "email2", "value": ""},
        {"id": "b", "name": "list", "value": "x" * 300_000},
    ]
    directory = write_input(tmp_path, {"actors": actors, "properties": values})
    summary = load(target, directory, indexed_properties=("email", "email2", "list"))
    assert summary.look_ups == 2
    assert claims(target) == {("email", "C"), ("list", "b")}


def test_claims_that_exist_stay(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, {"actors": [{"id": "b"}], "properties": [email("b")]}))
    load(target, write_input(tmp_path / "more", {"actors": [{"id": "a"}], "properties": [email("a")]}))
    assert claims(target) == {("email", "b")}


def email(actor: str) -> dict[str, str]:
    return {"id": actor, "name": "email", "value": "same"}


def test_the_planner_knows_the_tables(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": properties(50)}))
    with target.connect() as connection:
        statement = "SELECT reltuples FROM pg_class WHERE oid = format('%%I.properties', %s::text)::regclass"
        assert connection.execute(statement, [target.schema]).fetchone() == (50,)


def test_files_by_hand_are_read_from_any_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    content = [{"id": f"{number}", "text": '}"{\\' * number, "more": {"a": [{}]}} for number in range(20)]
    path.write_text(json.dumps(content, indent=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MAX_ROWS", 1)
        found = list(FileSource(path).batches())
        assert [json.loads(batch.documents[0]) for batch in found] == content
        for number, batch in enumerate(found[:-1]):
            rest = [json.loads(later.documents[0]) for later in FileSource(path).batches(batch.checkpoint)]
            assert rest == content[number + 1 :]
