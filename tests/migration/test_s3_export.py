"""What DynamoDB exported to S3, as a source of an import."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actingweb.migration import batches
from actingweb.migration.documents import document_of, item_of
from actingweb.migration.errors import MigrationError, SourceError, UsageError
from actingweb.migration.jobs.load import import_files
from actingweb.migration.jobs.load_options import LoadSummary, OnCounts
from actingweb.migration.source.s3_export import S3ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.exported import lines_of, md5, summary, write_export, write_exports, write_manifest
from tests.migration.loads import ACTOR, DOCUMENTS, expected, load_options, properties, stored, table_exists
from tests.migration.validation import validate_with

ACTORS = Path("AWSDynamoDB") / "01700-actors"
PROPERTIES = Path("AWSDynamoDB") / "01700-properties"


def load(target: Target, directory: Path, on_counts: OnCounts = lambda *_: None, **options: Any) -> LoadSummary:
    source = S3ExportDirectory.at(directory, options.pop("prefix", "demo_"))
    return import_files(target, source, load_options(directory, **options), on_counts)


@pytest.mark.parametrize("prefix", ["demo_", "demo__"])
def test_every_table_is_loaded(target: Target, tmp_path: Path, prefix: str) -> None:
    summary = load(target, write_exports(tmp_path, DOCUMENTS, prefix))
    assert stored(target) == expected(DOCUMENTS)
    assert (summary.missing, summary.notes) == ((), ())
    assert not table_exists(target, "migration_progress")


def test_it_is_found_from_any_directory_above(target: Target, tmp_path: Path) -> None:
    write_exports(tmp_path / "bucket" / "some" / "prefix", DOCUMENTS)
    for directory in (tmp_path, tmp_path / "bucket", tmp_path / "bucket" / "some" / "prefix" / "AWSDynamoDB"):
        assert S3ExportDirectory.at(directory, "demo_").rows()["properties"] == 3
    assert S3ExportDirectory.at(tmp_path / "bucket" / "some" / "prefix" / ACTORS, "demo_").missing[0] == "properties"


def test_what_was_loaded_is_valid(target: Target, tmp_path: Path) -> None:
    load(target, write_exports(tmp_path, DOCUMENTS))
    assert validate_with(target, S3ExportDirectory.at(tmp_path, "demo_"), tmp_path).differences == 0


def test_a_table_that_is_not_there_is_named(target: Target, tmp_path: Path) -> None:
    shutil.rmtree(write_exports(tmp_path, DOCUMENTS) / "AWSDynamoDB" / "01700-trusts")
    assert load(target, tmp_path).missing == ("trusts",)
    assert stored(target) == expected({**DOCUMENTS, "trusts": []})


def test_other_tables_are_named_and_left_out(tmp_path: Path) -> None:
    place = write_export(write_exports(tmp_path, DOCUMENTS) / "other", "demo_unknown", [], outputFormat="ION")
    assert S3ExportDirectory.at(tmp_path, "demo_").notes == (
        f"{place} is an export of demo_unknown, which is not a table of this deployment: it was not read",
    )


def test_tables_of_different_moments_are_told(tmp_path: Path) -> None:
    write_exports(tmp_path, DOCUMENTS)
    shutil.rmtree(tmp_path / ACTORS)
    write_export(tmp_path / ACTORS, "demo_actors", [ACTOR], exportTime="2024-01-02T04:00:00Z")
    (note,) = S3ExportDirectory.at(tmp_path, "demo_").notes
    assert note.endswith("from 2024-01-02T03:00:00Z to 2024-01-02T04:00:00Z")


def test_items_are_decoded_as_those_of_a_scan(tmp_path: Path) -> None:
    """Of the types that no column has, each as `document_of` has it."""
    item: dict[str, dict[str, Any]] = {
        "id": {"S": "a1"},
        "n": {"N": "-12345678901234567890123456789012345678"},
        "f": {"N": "1.50"},
        "b": {"B": "/wA="},
        "t": {"BOOL": True},
        "z": {"NULL": True},
        "s": {"SS": ["a"]},
        "ns": {"NS": ["1"]},
        "l": {"L": [{"S": "\ud800"}]},
        "m": {"M": {"S": {"S": "é"}}},
        "": {"S": ""},
    }
    place = write_export(tmp_path / "e", "demo_actors", [], files=0)
    content = gzip.compress(json.dumps({"Item": item}).encode())
    replace_data(place, content, 1)
    file = S3ExportDirectory.at(tmp_path, "demo_").file("actors")
    assert file is not None
    assert [json.loads(document) for batch in file.batches() for document in batch.documents] == [document_of(item)]


def replace_data(place: Path, content: bytes, rows: int) -> None:
    """Make a data file the only one of an export."""
    shutil.rmtree(place / "data")
    (place / "data").mkdir()
    (place / "data" / "x.json.gz").write_bytes(content)
    entry = {"itemCount": rows, "md5Checksum": md5(content), "dataFileS3Key": "AWSDynamoDB/01/data/x.json.gz"}
    write_manifest(place, "manifest-files", json.dumps(entry).encode())
    content = (place / "manifest-summary.json").read_bytes()
    write_manifest(place, "manifest-summary", json.dumps(json.loads(content) | {"itemCount": rows}).encode())


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_import_goes_on(target: Target, tmp_path: Path) -> None:
    rows = [*properties(20), {"id": "a1", "name": "bad", "value": "\0"}]
    write_exports(tmp_path, {"actors": [ACTOR], "properties": rows})
    stops = 0

    def stop(table: str, counts: Counts) -> None:
        if table == "properties" and counts.read > 3 * (stops + 1):
            raise KeyboardInterrupt

    while True:
        try:
            summary = load(target, tmp_path, stop)
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops > 4
    assert summary.counts["properties"] == Counts(21, 20, 0, 1)
    assert stored(target) == expected({"actors": [ACTOR], "properties": properties(20)})


@pytest.mark.usefixtures("small_batches")
def test_a_duplicate_undoes_its_table(target: Target, tmp_path: Path) -> None:
    write_exports(tmp_path, {"actors": [ACTOR], "properties": [*properties(7), *properties(1)]})
    with pytest.raises(MigrationError, match="Failed to import properties"):
        load(target, tmp_path)
    assert stored(target)["properties"] == []


def test_another_export_does_not_go_on(target: Target, tmp_path: Path) -> None:
    def stop(table: str, _: Counts) -> None:
        if table == "properties":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(target, write_exports(tmp_path / "one", DOCUMENTS), stop)
    with pytest.raises(UsageError, match="properties has changed since"):
        load(target, write_exports(tmp_path / "two", {**DOCUMENTS, "properties": properties(1)}))


def spoil_data(place: Path) -> None:
    path = place / "data" / "data0.json.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def shorten_data(place: Path) -> None:
    path = place / "data" / "data0.json.gz"
    path.write_bytes(path.read_bytes()[:-9])


def shorten_data_with_checksum(place: Path) -> None:
    replace_data(place, gzip.compress(lines_of(properties(3)))[:-9], 3)


def empty_data(place: Path) -> None:
    (place / "data" / "data0.json.gz").write_bytes(b"")


def lose_data(place: Path) -> None:
    (place / "data" / "data1.json.gz").unlink()


def lose_all_data(place: Path) -> None:
    shutil.rmtree(place / "data")


def add_data(place: Path) -> None:
    (place / "data" / "data2.json.gz").write_bytes(gzip.compress(b""))


def count_wrongly(place: Path) -> None:
    replace_data(place, gzip.compress(lines_of(properties(3))), 4)


def sum_wrongly(place: Path) -> None:
    write_manifest(place, "manifest-summary", json.dumps(summary("demo_properties", 9)).encode())


def cut_list(place: Path) -> None:
    path = place / "manifest-files.json"
    path.write_bytes(path.read_bytes()[:-10])


def lose_list(place: Path) -> None:
    (place / "manifest-files.json").unlink()


def break_list(place: Path) -> None:
    write_manifest(place, "manifest-files", b'{"itemCount": 1}')


def list_twice(place: Path) -> None:
    content = (place / "manifest-files.json").read_bytes()
    write_manifest(place, "manifest-files", content + content)


def cut_summary(place: Path) -> None:
    (place / "manifest-summary.json").write_text("{")


def break_summary(place: Path) -> None:
    write_manifest(place, "manifest-summary", b'{"tableArn": "arn:aws:s3:::x"}')


def change_rows(place: Path) -> None:
    line = b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"}}}\n'
    replace_data(place, gzip.compress(line), 1)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (spoil_data, r"data0\.json\.gz is damaged: its MD5"),
        (shorten_data, r"data0\.json\.gz is damaged: its MD5"),
        (shorten_data_with_checksum, r"x\.json\.gz is a damaged gzip file, or its end is missing"),
        (empty_data, r"data0\.json\.gz is damaged: its MD5"),
        (lose_data, r"data1\.json\.gz is missing: copy the export again"),
        (lose_all_data, r"data0\.json\.gz is missing: copy the export again"),
        (add_data, r"data2\.json\.gz is not in manifest-files\.json"),
        (count_wrongly, r"x\.json\.gz has 3 rows, manifest-files\.json says 4"),
        (sum_wrongly, r"manifest-files\.json counts 3 rows, manifest-summary\.json 9"),
        (cut_list, r"manifest-files\.json is damaged: its MD5"),
        (lose_list, r"manifest-files\.json is missing"),
        (break_list, r"manifest-files\.json, line 1: this is not the entry"),
        (list_twice, r"manifest-files\.json, line 3: data0\.json\.gz is listed twice"),
        (cut_summary, r"manifest-summary\.json is damaged: its MD5"),
        (break_summary, r"manifest-summary\.json is not the summary of an export: tableArn"),
        (change_rows, r'x\.json\.gz, line 1: this is not an \{"Item"'),
    ],
)
def test_nothing_of_a_damaged_export_is_loaded(
    target: Target, tmp_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(write_exports(tmp_path, DOCUMENTS) / PROPERTIES)
    with pytest.raises(SourceError, match=message):
        load(target, tmp_path)
    assert stored(target) == expected({})
    assert not table_exists(target, "migration_progress")


def lose_actors(directory: Path) -> None:
    shutil.rmtree(directory / ACTORS)


def repeat(directory: Path) -> None:
    shutil.copytree(directory / PROPERTIES, directory / "again")


def have_both_names(directory: Path) -> None:
    write_export(directory / "older", "demo__properties", [])


def lose_summary(directory: Path) -> None:
    (directory / PROPERTIES / "manifest-summary.json").unlink()


def change(**facts: str) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        content = json.dumps(summary("demo_properties", 3) | facts).encode()
        write_manifest(directory / PROPERTIES, "manifest-summary", content)

    return harm


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lose_actors, r"no export of demo_actors or demo__actors, but of demo_"),
        (repeat, r"01700-properties \(demo_properties\) and .*again \(demo_properties\) are exports of one table"),
        (have_both_names, r"\(demo__properties\) are exports of one table"),
        (lose_summary, r"01700-properties has no manifest-summary\.json: this export failed"),
        (change(outputFormat="ION"), r"01700-properties is an export as Ion"),
        (change(exportType="INCREMENTAL_EXPORT"), r"01700-properties is an incremental export"),
        (change(exportType="NEW"), r"01700-properties is of type NEW and format DYNAMODB_JSON"),
        (change(tableArn="arn:aws:dynamodb:eu-west-1:1:table/demo_properties"), "several regions or accounts"),
        (shutil.rmtree, "is not a directory"),
        (lambda directory: shutil.rmtree(directory / "AWSDynamoDB"), "contains no export of DynamoDB to S3"),
    ],
)
def test_what_is_no_export_of_the_tables(
    target: Target, tmp_path: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(write_exports(tmp_path / "d", DOCUMENTS))
    with pytest.raises(UsageError, match=message):
        load(target, tmp_path / "d")
    assert stored(target) == expected({})


def test_an_older_export_without_a_type_is_a_full_one(target: Target, tmp_path: Path) -> None:
    write_exports(tmp_path, DOCUMENTS)
    facts = summary("demo_properties", 3)
    del facts["exportType"]
    write_manifest(tmp_path / PROPERTIES, "manifest-summary", json.dumps(facts).encode())
    load(target, tmp_path)
    assert stored(target) == expected(DOCUMENTS)


def test_data_files_are_read_when_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is there before the next is read."""
    monkeypatch.setattr(batches, "MAX_ROWS", 1)
    write_export(tmp_path / "e", "demo_actors", properties(4), files=2)
    file = S3ExportDirectory.at(tmp_path, "demo_").file("actors")
    assert file is not None
    found = file.batches()
    first = next(found)
    (tmp_path / "e" / "data" / "data1.json.gz").unlink()
    assert json.loads(first.documents[0]) == document_of(item_of(properties(1)[0]))
    with pytest.raises(SourceError, match="data1"):
        list(found)
