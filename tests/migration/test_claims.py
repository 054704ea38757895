"""Who answers in a reverse look-up: after the migration the same actor as before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString

import pytest

from actingweb.db.registry import load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration import batches
from actingweb.migration.documents import Document
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.jobs.differences import Kind
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.jobs.load_options import LoadSummary
from actingweb.migration.jobs.replay import replay_rejects
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.manifest import read_manifest, write_manifest
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from testbed.servers import DynamoDBTables
from tests.conftest import SetEnv
from tests.migration.loads import (
    Documents,
    correct,
    load,
    load_options,
    rejects_of,
    table_exists,
    write_input,
)
from tests.migration.tables import first_table_of_claims, put_documents, source_of
from tests.migration.validation import report_path, validate, validate_live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Answers = dict[tuple[str, str], str | None]

SHARED = "shared@example.com"
NAMES = ("email", "oauthId")


def actors(*ids: str) -> list[Document]:
    return [{"id": actor_id, "passphrase": "p"} for actor_id in ids]


def email(actor_id: str, value: str = SHARED, name: str = "email") -> Document:
    return {"id": actor_id, "name": name, "value": value}


def claim(actor_id: str, value: str = SHARED, name: str = "email") -> Document:
    """Return a claim as the present table has it."""
    return {"lookup_key": compute_lookup_key(name, value), "property_name": name, "actor_id": actor_id}


def first_claim(actor_id: str, value: str = SHARED, name: str = "email") -> Document:
    """Return a claim as the older table has it."""
    return {"property_name": name, "value": value, "actor_id": actor_id}


TWO: Documents = {
    "actors": actors("a1", "a2"),
    "properties": [email("a1"), email("a2")],
    "property_lookup_v2": [claim("a2")],
}
"""Two actors hold the same value, and the one with the larger id has claimed it first."""


def owners(target: Target) -> dict[str, str]:
    """Return the actors of the look-up rows, by key."""
    with target.connect() as connection:
        rows = connection.execute(target.sql("SELECT lookup_key, actor_id FROM {schema}.property_lookup"))
        return dict(rows.fetchall())


def owner(target: Target, value: str = SHARED, name: str = "email") -> str | None:
    """Return the actor of the look-up row of a value."""
    return owners(target).get(compute_lookup_key(name, value))


def change(target: Target, statement: LiteralString, *values: str) -> None:
    with target.connect() as connection:
        assert connection.execute(target.sql(statement), values).rowcount == 1


def again(target: Target, directory: Path) -> LoadSummary:
    return replay_rejects(target, load_options(directory), lambda *_: None)


INSERT: LiteralString = (
    "INSERT INTO {schema}.property_lookup (lookup_key, property_name, actor_id) VALUES (%s, %s, 'a1')"
)


class TestWhoAnswers:
    """The rule, by what is in the files."""

    CASES: ClassVar[dict[str, tuple[list[str], Documents, str | None]]] = {
        "who claims it": (["a1", "a2", "a3"], {"property_lookup_v2": [claim("a2")]}, "a2"),
        "who claims it in the older table": (["a1", "a2"], {"property_lookup_v1": [first_claim("a2")]}, "a2"),
        "the newer claim": (
            ["a1", "a2", "a3"],
            {"property_lookup_v2": [claim("a3")], "property_lookup_v1": [first_claim("a2")]},
            "a3",
        ),
        "the older claim, if the newer one is released": (
            ["a1", "a2"],
            {"property_lookup_v2": [claim("a3")], "property_lookup_v1": [first_claim("a2")]},
            "a2",
        ),
        "the smallest id, if the claim is released": (["a1", "a2"], {"property_lookup_v2": [claim("a3")]}, "a1"),
        "the smallest id, if the claimant does not exist": (["a2"], {"property_lookup_v2": [claim("gone")]}, "a2"),
        "the smallest id, if nobody claims it": (["a2", "a1"], {"property_lookup_v2": []}, "a1"),
        "the smallest id, if the value is claimed under another name": (
            ["a1", "a2"],
            {"property_lookup_v2": [claim("a2", name="oauthId")]},
            "a1",
        ),
        "who claims it in a row without a name": (
            ["a1", "a2"],
            {"property_lookup_v2": [{**claim("a2"), "property_name": ""}]},
            "a2",
        ),
        "nobody, if nobody holds it": ([], {"property_lookup_v2": [claim("a2")]}, None),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_import(self, target: Target, tmp_path: Path, case: str) -> None:
        holders, claims, expected = self.CASES[case]
        others = [email(actor_id, "other", "note") for actor_id in ("a1", "a2", "a3")]
        documents = {
            "actors": actors("a1", "a2", "a3"),
            "properties": [*map(email, holders), *others],
            **claims,
        }
        summary = load(target, write_input(tmp_path, documents))
        assert owners(target) == ({compute_lookup_key("email", SHARED): expected} if expected else {})
        assert (summary.rejected, summary.without_claims) == (0, False)
        assert not table_exists(target, CLAIMS_V2.table)
        assert not table_exists(target, CLAIMS_V1.table)
        assert (validate(target, tmp_path).first, (tmp_path / "rejects").exists()) == ([], False)

    def test_claims_of_other_names_are_kept(self, target: Target, tmp_path: Path) -> None:
        """The application may index more than the import was told; what nobody claims is not added for them."""
        documents = {
            "actors": actors("a1", "a2"),
            "properties": [email("a1", "1", "phone"), email("a2", "1", "phone"), email("a1", "2", "fax")],
            "property_lookup_v2": [claim("a2", "1", "phone"), claim("a2", "9", "fax")],
        }
        summary = load(target, write_input(tmp_path, documents))
        assert owners(target) == {compute_lookup_key("phone", "1"): "a2"}
        assert summary.other_names == ["fax", "phone"]
        assert validate(target, tmp_path).first == []
        change(target, "UPDATE {schema}.property_lookup SET actor_id = 'a1'")
        (difference,) = validate(target, tmp_path).first
        assert difference.values == ("a2", "a1")

    def test_counts(self, target: Target, tmp_path: Path) -> None:
        documents = {
            "actors": actors("a1", "a2"),
            "properties": [email("a1"), email("a2"), email("a1", "1", "oauthId")],
            "property_lookup_v2": [claim("a2"), claim("gone", "x"), claim("a1", "y")],
        }
        summary = load(target, write_input(tmp_path, documents), indexed_properties=NAMES)
        assert summary.counts["property_lookup_v2"] == Counts(3, 1, 2, 0)
        assert (summary.look_ups, summary.unclaimed) == (2, 1)

    def test_an_empty_value_has_no_look_up_row(self, target: Target, tmp_path: Path) -> None:
        documents = {"actors": actors("a1"), "properties": [email("a1", "")], "property_lookup_v2": [claim("a1", "")]}
        load(target, write_input(tmp_path, documents))
        assert owners(target) == {}
        assert validate(target, tmp_path).first == []

    def test_a_claim_of_which_there_are_two(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path, {**TWO, "property_lookup_v2": [claim("a2"), claim("a1")]}))
        assert owner(target) == "a1"
        (difference,) = validate(target, tmp_path).first
        assert (difference.table, difference.kind) == ("property_lookup_v2", "duplicate")


class TestFiles:
    """Exports with claims and without."""

    def test_an_old_export_loads_with_a_warning(self, target: Target, tmp_path: Path) -> None:
        summary = load(target, write_input(tmp_path, {name: TWO[name] for name in ("actors", "properties")}))
        assert summary.without_claims
        assert owner(target) == "a1"
        assert validate(target, tmp_path).without_claims
        change(target, "UPDATE {schema}.property_lookup SET actor_id = 'a2'")
        assert validate(target, tmp_path).differences == 0

    def test_a_file_that_the_manifest_names_may_not_be_missing(
        self, put: Callable[[Documents], None], tmp_path: Path, dynamodb_tables: DynamoDBTables
    ) -> None:
        put(TWO)
        export_tables(source_of(dynamodb_tables.environment), tmp_path)
        manifest = read_manifest(tmp_path)
        assert manifest is not None
        assert manifest.tables["property_lookup_v2"].rows == 1
        assert "property_lookup_v1" not in manifest.tables
        (tmp_path / "property_lookup_v2.json").unlink()
        with pytest.raises(UsageError, match=r"property_lookup_v2\.json is missing"):
            ExportDirectory.at(tmp_path)

    def test_a_changed_file_is_noticed(
        self, put: Callable[[Documents], None], target: Target, tmp_path: Path, dynamodb_tables: DynamoDBTables
    ) -> None:
        put(TWO)
        export_tables(source_of(dynamodb_tables.environment), tmp_path)
        path = tmp_path / "property_lookup_v2.json"
        path.write_text(path.read_text().replace('"a2"', '"a1"'))
        with pytest.raises(SourceError, match=r"property_lookup_v2\.json is not what was exported"):
            load(target, tmp_path)

    def test_an_export_that_an_earlier_release_began_gets_the_claims(
        self, put: Callable[[Documents], None], tmp_path: Path, dynamodb_tables: DynamoDBTables
    ) -> None:
        put(TWO)
        source = source_of(dynamodb_tables.environment)
        export_tables(source, tmp_path)
        manifest = read_manifest(tmp_path)
        assert manifest is not None
        del manifest.tables["property_lookup_v2"]
        manifest.complete, manifest.finished_at = False, None
        write_manifest(tmp_path, manifest)
        (tmp_path / "property_lookup_v2.json").unlink()
        export_tables(source, tmp_path, resume=True)
        assert json.loads((tmp_path / "property_lookup_v2.json").read_text()) == [claim("a2")]


@pytest.fixture
def put(ddb: DynamoDBClient, dynamodb_tables: DynamoDBTables, set_env: SetEnv) -> Iterator[Callable[[Documents], None]]:
    """Return what stores the items of documents."""
    set_env(**dynamodb_tables.environment)
    yield lambda documents: put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], documents)
    dynamodb_tables.wipe()


@pytest.fixture
def first_table(ddb: DynamoDBClient, dynamodb_tables: DynamoDBTables) -> Iterator[None]:
    """Create the older table of claims."""
    with first_table_of_claims(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"]):
        yield


MIXED: Documents = {
    "actors": actors("a1", "a2", "a3"),
    "properties": [
        email(actor_id, value, name)
        for actor_id in ("a1", "a2", "a3")
        for name, value in (("email", SHARED), ("oauthId", "12345"))
    ],
    "property_lookup_v2": [claim("a3")],
    "property_lookup_v1": [first_claim("a1"), first_claim("a2", "12345", "oauthId")],
}
VALUES = [("email", SHARED), ("oauthId", "12345"), ("email", "nobody@example.com")]


def answers(database: str) -> Answers:
    """Return who answers for each value, asked through the library."""
    backend = load_backend(database)
    found = {}
    for name, value in VALUES:
        accessor = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=list(NAMES))
        found[name, value] = accessor.get_actor_id_from_property(name=name, value=value)
    return found


@pytest.fixture
def deployed(put: Callable[[Documents], None], first_table: None, pg: object, backends: None) -> Answers:
    """Store a deployment with both tables of claims; return what DynamoDB answers."""
    put(MIXED)
    before = answers("dynamodb")
    assert before == {VALUES[0]: "a3", VALUES[1]: "a2", VALUES[2]: None}
    return before


@pytest.fixture
def backends(set_env: SetEnv, dynamodb_tables: DynamoDBTables, postgres_tables: Any) -> None:
    """Let the settings name the databases of both backends."""
    set_env(**dynamodb_tables.environment, **postgres_tables.environment)


class TestSameAnswers:
    """Through the library, before and after, with both tables of claims."""

    def test_files(self, deployed: Answers, target: Target, tmp_path: Path, dynamodb_tables: DynamoDBTables) -> None:
        export_tables(source_of(dynamodb_tables.environment), tmp_path / "files")
        assert load(target, tmp_path / "files", indexed_properties=NAMES).rejected == 0
        assert answers("postgresql") == deployed
        assert validate(target, tmp_path / "files", indexed_properties=NAMES).first == []
        load(target, tmp_path / "files", indexed_properties=NAMES, skip_duplicates=True)
        assert answers("postgresql") == deployed

    def test_copy(self, deployed: Answers, target: Target, tmp_path: Path, dynamodb_tables: DynamoDBTables) -> None:
        options = load_options(tmp_path, indexed_properties=NAMES)
        copy_tables(source_of(dynamodb_tables.environment), target, options, lambda *_: None)
        assert answers("postgresql") == deployed
        result = validate_live(target, dynamodb_tables.environment, tmp_path, indexed_properties=NAMES)
        assert (result.first, result.without_claims) == ([], False)

    @pytest.mark.parametrize("table", ["properties", "property_lookup_v2", "property_lookup_v1"])
    def test_interrupted(
        self,
        deployed: Answers,
        target: Target,
        tmp_path: Path,
        dynamodb_tables: DynamoDBTables,
        table: str,
    ) -> None:
        options = load_options(tmp_path, indexed_properties=NAMES)
        source = source_of(dynamodb_tables.environment)

        def stop(name: str, counts: Counts) -> None:
            if name == table and counts.read:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_tables(source, target, options, stop)
        copy_tables(source, target, options, lambda *_: None)
        assert answers("postgresql") == deployed
        assert not table_exists(target, CLAIMS_V2.table)


class TestLaterLoads:
    """What is there stays, if it is right."""

    def test_a_valid_claim_is_not_taken(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path / "one", TWO))
        more = {
            "actors": actors("a0", "a3"),
            "properties": [email("a0"), email("a3")],
            "property_lookup_v2": [claim("a3")],
        }
        load(target, write_input(tmp_path / "two", more))
        assert owner(target) == "a2"

    def test_a_released_claim_is_taken(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path / "one", TWO))
        change(target, "UPDATE {schema}.properties SET value = 'new' WHERE id = 'a2'")
        load(target, write_input(tmp_path / "two", {"actors": actors("a3"), "properties": [email("a3")]}))
        assert owner(target) == "a1"

    def test_what_a_load_that_was_given_up_staged_does_not_count(self, target: Target, tmp_path: Path) -> None:
        given_up = {**TWO, "property_lookup_v2": [claim("a1")]}

        def stop(name: str, counts: Counts) -> None:
            if name == "property_lookup_v2" and counts.read:
                raise KeyboardInterrupt

        directory = write_input(tmp_path / "one", given_up)
        with pytest.raises(KeyboardInterrupt):
            import_files(target, ExportDirectory.at(directory), load_options(directory), stop)
        with target.connect() as connection:
            connection.execute(target.sql("DROP TABLE {schema}.migration_progress"))
        load(target, write_input(tmp_path / "two", TWO), skip_duplicates=True)
        assert owner(target) == "a2"


class TestRejects:
    """Rows that cannot be loaded cost no good row, and keep their claims."""

    def test_bad_claims_cost_nothing(self, target: Target, tmp_path: Path) -> None:
        good = [claim(f"b{number}", f"{number}@example.com") for number in range(5)]
        bad: list[Document] = [
            {"lookup_key": "x"},
            {**claim("a1", "1"), "actor_id": 7},
            {**claim("a1", "2"), "actor_id": "a\0"},
            {**claim("a1", "3"), "actor_id": ""},
            {**claim("a" * 256, "4")},
            {"property_name": "email", "actor_id": "a1"},
        ]
        holders = [email(f"b{number}", f"{number}@example.com") for number in range(5)]
        documents = {
            "actors": actors(*(f"b{number}" for number in range(5))),
            "properties": holders,
            "property_lookup_v2": [*good[:2], *bad, *good[2:]],
        }
        summary = load(target, write_input(tmp_path, documents))
        assert summary.counts["property_lookup_v2"] == Counts(11, 5, 0, 6)
        assert set(owners(target).values()) == {f"b{number}" for number in range(5)}
        reasons = [reject["reason"] for reject in rejects_of(tmp_path, "property_lookup_v2")]
        assert len(reasons) == 6
        assert all(reason.startswith(("actor_id", "lookup_key")) for reason in reasons)

    def test_a_claim_that_cannot_be_read_withholds_only_what_is_unclear(self, target: Target, tmp_path: Path) -> None:
        documents = {
            "actors": actors("a1", "a2"),
            "properties": [email("a1"), email("a2"), email("a2", "1", "oauthId")],
            "property_lookup_v2": [{**claim("a2"), "actor_id": 7}, {**claim("a2", "1", "oauthId"), "actor_id": None}],
        }
        load(target, write_input(tmp_path, documents), indexed_properties=NAMES)
        assert owners(target) == {compute_lookup_key("oauthId", "1"): "a2"}
        result = validate(target, tmp_path, indexed_properties=NAMES)
        assert (result.differences, result.rejected) == (3, 3)
        correct(tmp_path, "property_lookup_v2", actor_id="a2")
        summary = replay_rejects(target, load_options(tmp_path, indexed_properties=NAMES), lambda *_: None)
        assert summary.counts == {"property_lookup_v2": Counts(2, 1, 1, 0)}
        assert owner(target) == "a2"

    @pytest.mark.parametrize("table", ["property_lookup_v2", "property_lookup_v1"])
    @pytest.mark.parametrize("rejected", ["property", "actor"])
    def test_a_replayed_property_gets_its_claim(
        self, target: Target, tmp_path: Path, table: str, rejected: str
    ) -> None:
        claims = {"property_lookup_v2": claim("a2"), "property_lookup_v1": first_claim("a2")}
        documents: dict[str, Any] = {**TWO, table: [claims[table]]}
        if table != "property_lookup_v2":
            del documents["property_lookup_v2"]
        if rejected == "property":
            documents["properties"] = [email("a1"), {**email("a2"), "value": 5}]
        else:
            documents["actors"] = [*actors("a1"), {"id": "a2", "creator": []}]
        summary = load(target, write_input(tmp_path, documents))
        assert summary.counts[table] == Counts(1, 0, 0, 1)
        # Rather nobody than the wrong one.
        assert owner(target) is None
        (reject,) = rejects_of(tmp_path, table)
        assert reject["reason"] == "the property of its actor was rejected: load that first"
        assert reject["document"] == claims[table]
        result = validate(target, tmp_path)
        assert (result.differences > 0, result.differences - result.rejected) == (True, 0)
        assert again(target, tmp_path).rejected == {"property": 2, "actor": 3}[rejected]
        assert owner(target) is None
        if rejected == "property":
            correct(tmp_path, "properties", value=SHARED)
        else:
            correct(tmp_path, "actors", creator="")
        summary = again(target, tmp_path)
        assert (summary.rejected, summary.look_ups, summary.unclaimed) == (0, 1, 0)
        assert owner(target) == "a2"
        assert [path for path in (tmp_path / "rejects").iterdir() if not path.match("*.corrected.ndjson")] == []
        assert validate(target, tmp_path).differences == 0
        assert [one for one in validate(target, tmp_path).first if one.kind is Kind.LOOK_UP] == []

    def test_a_corrected_value_leaves_the_claim(self, target: Target, tmp_path: Path) -> None:
        documents = {**TWO, "properties": [email("a1"), {**email("a2"), "value": 5}]}
        load(target, write_input(tmp_path, documents))
        correct(tmp_path, "properties", value="new@example.com")
        assert again(target, tmp_path).counts["property_lookup_v2"] == Counts(1, 0, 1, 0)
        assert (owner(target), owner(target, "new@example.com")) == ("a1", "a2")

    def test_another_value_that_was_rejected_withholds_nothing(self, target: Target, tmp_path: Path) -> None:
        documents = {**TWO, "properties": [email("a1"), email("a2", "\0")]}
        assert load(target, write_input(tmp_path, documents)).rejected == 1
        assert owner(target) == "a1"

    def test_a_claim_made_meanwhile_is_not_taken(self, target: Target, tmp_path: Path) -> None:
        documents = {**TWO, "properties": [email("a1"), {**email("a2"), "value": 5}]}
        load(target, write_input(tmp_path, documents))
        key = compute_lookup_key("email", SHARED)
        change(target, INSERT, key, "email")
        correct(tmp_path, "properties", value=SHARED)
        assert again(target, tmp_path).rejected == 0
        assert owner(target) == "a1"

    def test_a_load_killed_at_its_end_keeps_each_reject_once(
        self, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        directory = write_input(tmp_path, {**TWO, "properties": [email("a1"), {**email("a2"), "value": 5}]})

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("actingweb.migration.jobs.load.finish", killed)
            with pytest.raises(KeyboardInterrupt):
                load(target, directory)
        assert len(rejects_of(directory, "property_lookup_v2")) == 1
        summary = load(target, directory)
        assert summary.counts["property_lookup_v2"] == Counts(1, 0, 0, 1)
        assert len(rejects_of(directory, "property_lookup_v2")) == 1

    def test_a_replay_killed_before_the_look_up_rows_is_repeated(
        self, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        documents = {"actors": actors("a1"), "properties": [{**email("a1"), "value": 5}]}
        load(target, write_input(tmp_path, documents))
        correct(tmp_path, "properties", value=SHARED)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("actingweb.migration.jobs.replay.make_look_ups", killed)
            with pytest.raises(KeyboardInterrupt):
                again(target, tmp_path)
        assert again(target, tmp_path).look_ups == 1
        assert owner(target) == "a1"


class TestValidation:
    """The answers are compared, in both directions, without values."""

    def test_an_altered_claim(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path, TWO))
        assert validate(target, tmp_path).first == []
        change(target, "UPDATE {schema}.property_lookup SET actor_id = 'a1'")
        (difference,) = validate(target, tmp_path).first
        assert difference.fields() == {
            "table": "property_lookup",
            "kind": "look-up",
            "key": {"lookup_key": compute_lookup_key("email", SHARED), "property_name": "email", "actor_id": "a1"},
            "column": None,
            "reason": "a look-up has another answer",
            "source": "a2",
            "postgresql": "a1",
        }
        assert SHARED not in report_path(tmp_path).read_text()

    def test_an_actor_that_is_not_in_the_source_shadows_the_claimant(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path, TWO))
        change(target, "INSERT INTO {schema}.actors VALUES ('a9', '', '')")
        change(target, "INSERT INTO {schema}.properties VALUES ('a9', 'email', %s)", SHARED)
        change(target, "UPDATE {schema}.property_lookup SET actor_id = 'a9'")
        found = [one.values for one in validate(target, tmp_path).first if one.kind is Kind.LOOK_UP]
        assert found == [("a2", "a9")]

    def test_a_missing_claim(self, target: Target, tmp_path: Path) -> None:
        load(target, write_input(tmp_path, TWO))
        change(target, "DELETE FROM {schema}.property_lookup")
        (difference,) = validate(target, tmp_path).first
        assert difference.reason == "the actor's value has no look-up row"

    @pytest.mark.parametrize(
        "statement", ["DELETE FROM {schema}.property_lookup", "UPDATE {schema}.property_lookup SET actor_id = 'a1'"]
    )
    def test_claims_of_other_names(self, target: Target, tmp_path: Path, statement: str) -> None:
        documents = {
            "actors": actors("a1", "a2"),
            "properties": [email("a1", "1", "phone"), email("a2", "1", "phone")],
            "property_lookup_v2": [claim("a2", "1", "phone")],
        }
        load(target, write_input(tmp_path, documents))
        change(target, statement)
        (difference,) = validate(target, tmp_path).first
        assert difference.values is not None
        assert difference.values[0] == "a2"

    def test_a_claim_too_many(self, target: Target, tmp_path: Path) -> None:
        documents = {**TWO, "properties": [*TWO["properties"], email("a1", "1", "phone")]}
        load(target, write_input(tmp_path, documents))
        key = compute_lookup_key("phone", "1")
        change(target, INSERT, key, "phone")
        (difference,) = validate(target, tmp_path).first
        assert difference.values == (None, "a1")

    def test_the_report_holds_no_claimed_value(self, target: Target, tmp_path: Path) -> None:
        bad = {**first_claim("a2"), "actor_id": 7}
        write_input(tmp_path, {**TWO, "property_lookup_v1": [first_claim("a2"), first_claim("a1"), bad]})
        result = validate(target, tmp_path)
        assert {one.kind for one in result.first if one.table == "property_lookup_v1"} == {
            Kind.DUPLICATE,
            Kind.UNREADABLE,
        }
        assert SHARED not in report_path(tmp_path).read_text()


def test_small_batches(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many values, most of them shared, whose claims and properties come in many batches."""
    monkeypatch.setattr(batches, "MAX_ROWS", 3)
    holders = {f"{n}@example.com": [f"a{(n + step) % 9}" for step in range(1 + n % 4)] for n in range(40)}
    expected = {value: sorted(ids)[-1] if n % 2 else sorted(ids)[0] for n, (value, ids) in enumerate(holders.items())}
    names = [f"name {n}" for n in range(40)]
    documents = {
        "actors": actors(*(f"a{n}" for n in range(9))),
        "properties": [
            email(actor_id, value, name)
            for name, (value, ids) in zip(names, holders.items(), strict=True)
            for actor_id in ids
        ],
        "property_lookup_v2": [
            claim(expected[value], value, name)
            for n, (name, value) in enumerate(zip(names, holders, strict=True))
            if n % 2
        ],
    }
    load(target, write_input(tmp_path, documents), indexed_properties=tuple(names))
    assert owners(target) == {
        compute_lookup_key(name, value): expected[value] for name, value in zip(names, holders, strict=True)
    }
    assert validate(target, tmp_path, indexed_properties=tuple(names)).first == []
