"""Claims in every input that an import reads, and in items of other types than the layout's."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.documents import Document, item_of
from actingweb.migration.errors import SourceError
from actingweb.migration.jobs.load import import_files
from actingweb.migration.jobs.load_options import LoadSummary, OnCounts
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.export_dir import ExportedTables as Source
from actingweb.migration.source.s3_export import S3ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.exported import write_exports
from tests.migration.loads import Documents, expected, load_options, stored, table_exists, write_input
from tests.migration.test_claims import SHARED, TWO, actors, change, claim, email, first_claim, owner, owners
from tests.migration.test_s3_export import spoil_data
from tests.migration.validation import validate_with

Form = Callable[[list[Document]], str]


def typed(documents: list[Document]) -> list[Any]:
    return [dict(item_of(document)) for document in documents]


def files(ending: str, form: Form) -> Callable[[Path, Documents], Source]:
    """Return what makes a directory with claims by hand, packed if the ending says so."""

    def write(directory: Path, documents: Documents) -> Source:
        for path in write_input(directory, documents).glob("property_lookup_*"):
            content = form(json.loads(path.read_text())).encode()
            path.unlink()
            path.with_suffix(ending).write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
        return ExportDirectory.at(directory)

    return write


def exports(directory: Path, documents: Documents) -> Source:
    return S3ExportDirectory.at(write_exports(directory, documents), "demo_")


def older_exports(directory: Path, documents: Documents) -> Source:
    return S3ExportDirectory.at(write_exports(directory, documents, "demo__"), "demo_")


SOURCES: dict[str, Callable[[Path, Documents], Source]] = {
    "an array": files(".json", lambda rows: json.dumps(rows, indent=2)),
    "gzip": files(".json.gz", json.dumps),
    "NDJSON, gzip": files(".ndjson.gz", lambda rows: "\n".join(map(json.dumps, rows))),
    "a scan": files(".json", lambda rows: json.dumps({"Items": typed(rows), "Count": len(rows)})),
    "exports to S3": exports,
    "exports to S3 of older names": older_exports,
}
CLAIMS: dict[str, tuple[Documents, tuple[str, ...]]] = {
    "the present table": ({"property_lookup_v2": [claim("a2")]}, ()),
    "only the older table": ({"property_lookup_v1": [first_claim("a2")]}, ("property_lookup_v2",)),
    "both": ({"property_lookup_v2": [claim("a2")], "property_lookup_v1": [first_claim("a1")]}, ()),
}


def run(target: Target, source: Source, directory: Path, on_counts: OnCounts = lambda *_: None) -> LoadSummary:
    return import_files(target, source, load_options(directory), on_counts)


@pytest.mark.parametrize("claims", CLAIMS)
@pytest.mark.parametrize("kind", SOURCES)
def test_the_claimant_answers(target: Target, tmp_path: Path, kind: str, claims: str) -> None:
    rows, missing = CLAIMS[claims]
    documents = {"actors": TWO["actors"], "properties": TWO["properties"], **rows}
    source = SOURCES[kind](tmp_path / "input", documents)
    summary = run(target, source, tmp_path)
    assert owner(target) == "a2"
    assert (summary.without_claims, summary.missing, summary.notes) == (False, missing, ())
    result = validate_with(target, source, tmp_path)
    assert (result.differences, result.without_claims) == (0, False)
    change(target, "UPDATE {schema}.property_lookup SET actor_id = 'a1'")
    assert [one.values for one in validate_with(target, source, tmp_path).first] == [("a2", "a1")]


@pytest.mark.parametrize("kind", SOURCES)
def test_without_claims(target: Target, tmp_path: Path, kind: str) -> None:
    source = SOURCES[kind](tmp_path / "input", {name: TWO[name] for name in ("actors", "properties")})
    summary = run(target, source, tmp_path)
    assert (owner(target), summary.without_claims, summary.missing) == ("a1", True, ())
    assert validate_with(target, source, tmp_path).without_claims


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("kind", ["gzip", "exports to S3"])
def test_interrupted_among_the_claims(target: Target, tmp_path: Path, kind: str) -> None:
    values = [f"{number}@example.com" for number in range(10)]
    ids = [f"b{number}" for number in range(10)]
    documents = {
        "actors": actors("a1", *ids),
        "properties": [*map(email, ids, values), *(email("a1", value, f"note {value}") for value in values)],
        "property_lookup_v2": [*map(claim, ids, values)],
    }
    stops = 0

    def stop(table: str, counts: Counts) -> None:
        if table == "property_lookup_v2" and counts.read > 3 * stops:
            raise KeyboardInterrupt

    source = SOURCES[kind](tmp_path / "input", documents)
    while stops < 3:
        with pytest.raises(KeyboardInterrupt):
            run(target, source, tmp_path, stop)
        stops += 1
    summary = run(target, source, tmp_path)
    assert summary.counts["property_lookup_v2"] == Counts(10, 10, 0, 0)
    assert owners(target) == {compute_lookup_key("email", value): b for b, value in zip(ids, values, strict=True)}


def test_nothing_is_loaded_of_exports_whose_claims_are_damaged(target: Target, tmp_path: Path) -> None:
    source = exports(tmp_path, TWO)
    spoil_data(tmp_path / "AWSDynamoDB" / "01700-property_lookup_v2")
    with pytest.raises(SourceError, match=r"01700-property_lookup_v2/data/data0\.json\.gz is damaged"):
        run(target, source, tmp_path)
    assert stored(target) == expected({})
    assert not table_exists(target, "migration_progress")


class TestOtherTypes:
    """Claims and properties are read as the library reads them, those that were rejected too."""

    def load(self, target: Target, directory: Path, documents: Documents) -> LoadSummary:
        return run(target, ExportDirectory.at(write_input(directory, documents)), directory)

    @pytest.mark.parametrize("table", ["property_lookup_v2", "property_lookup_v1"])
    def test_notation_is_decoded(self, target: Target, tmp_path: Path, table: str) -> None:
        plain = {"property_lookup_v2": claim, "property_lookup_v1": first_claim}[table]
        others = {"actors": TWO["actors"], "properties": TWO["properties"]}
        # A first one that is plain: the file is not one of items.
        documents = {**others, table: [plain("a2", "x"), *typed([plain("a2")])]}
        assert self.load(target, tmp_path, documents).rejected == 0
        assert owner(target) == "a2"

    @pytest.mark.parametrize("actor_id", [7, {"N": "7"}, {"NULL": True}, {"SS": ["a2"]}, None, {"S": ""}])
    @pytest.mark.parametrize("table", ["property_lookup_v2", "property_lookup_v1"])
    def test_nobody_answers_where_the_claimant_is_not_certain(
        self, target: Target, tmp_path: Path, table: str, actor_id: object
    ) -> None:
        plain = {"property_lookup_v2": claim, "property_lookup_v1": first_claim}[table]
        others = {"actors": TWO["actors"], "properties": TWO["properties"]}
        unclear = {**typed([plain("a2")])[0], "actor_id": actor_id}
        assert self.load(target, tmp_path, {**others, table: [plain("a2", "x"), unclear]}).rejected == 1
        assert owner(target) is None

    @pytest.mark.parametrize(
        ("held", "answer"), [(SHARED, None), ({"S": SHARED}, None), ({"S": "other"}, "a1"), ({"N": "5"}, None)]
    )
    def test_a_rejected_property_withholds_what_it_may_hold(
        self, target: Target, tmp_path: Path, held: object, answer: str | None
    ) -> None:
        documents = {
            "actors": [*actors("a1"), {"id": "a2", "creator": []}],
            "properties": [email("a1"), {"id": {"S": "a2"}, "name": {"S": "email"}, "value": held}],
            "property_lookup_v2": [claim("a2")],
        }
        self.load(target, tmp_path, documents)
        assert owner(target) == answer
