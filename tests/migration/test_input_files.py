"""The forms in which an import reads its files, and what it says of others."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from actingweb.migration import batches
from actingweb.migration.documents import Document, document_of, item_of
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.files import FileSource
from actingweb.migration.target.connection import Target
from tests.migration.exported import lines_of, write_exports
from tests.migration.loads import ACTOR, DOCUMENTS, expected, load, properties, stored, table_exists, write_input
from tests.migration.nasty import items
from tests.migration.test_import_checks import with_manifest

Content = list[Document]
Form = Callable[[Content], bytes]


def array(content: Any, **layout: Any) -> bytes:
    return json.dumps(content, **layout).encode()


def lines(content: Iterable[Any], end: str = "\n", **layout: Any) -> bytes:
    return "".join(json.dumps(document, **layout) + end for document in content).encode()


def own(content: Content) -> bytes:
    return ("[" + ",".join(f"\n{json.dumps(document)}" for document in content) + "\n]\n").encode()


def typed(content: Content) -> Content:
    return [dict(item_of(document)) for document in content]


def page(content: Content, **facts: Any) -> Any:
    return {"Items": typed(content), "Count": len(content), "ScannedCount": 9, "ConsumedCapacity": None, **facts}


def pages(content: Content) -> bytes:
    last = {"LastEvaluatedKey": {"id": {"S": "]}"}}}
    return lines([page(content[:1], **last), page([], **last), page(content[1:])], indent=4)


def page_by_name(content: Content) -> bytes:
    """Return an answer as DynamoDB sends it."""
    return array(page(content), sort_keys=True)


FORMS: dict[str, Form] = {
    "as exported": own,
    "one line": array,
    "indented": lambda content: array(content, indent=2),
    "NDJSON": lines,
    "NDJSON without a last line end": lambda content: lines(content)[:-1],
    "NDJSON with empty lines": lambda content: lines(content, "\n\n\n"),
    "objects, indented": lambda content: lines(content, indent=2),
    "objects without line ends": lambda content: lines(content, ""),
    "CRLF": lambda content: own(content).replace(b"\n", b"\r\n"),
    "CRLF, indented": lambda content: array(content, indent=1).replace(b"\n", b"\r\n"),
    "CRLF, NDJSON": lambda content: lines(content, "\r\n"),
    "blanks around it": lambda content: b" \n\t" + array(content) + b"\r\n\t ",
    "items in an array": lambda content: array(typed(content), indent=1),
    "items in an array, one a line": lambda content: own(typed(content)),
    "items, one a line": lambda content: lines(typed(content)),
    "lines of an export": lines_of,
    "lines of an export in an array": lambda content: own([{"Item": item_of(document)} for document in content]),
    "answers to GetItem": lambda content: lines({"Item": one, "ConsumedCapacity": {}} for one in typed(content)),
    "plain documents as Item": lambda content: lines({"Item": document} for document in content),
    "a scan by the command line": lambda content: lines([page(content)], indent=4),
    "a scan by name": page_by_name,
    "pages of a scan": pages,
    "a scan by a library": lambda content: array({"Items": content, "Count": 2}),
    "a mixture": lambda content: lines([*typed(content[:1]), *content[1:]]),
}
WRAPPINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "byte order mark": ("json", lambda text: codecs.BOM_UTF8 + text),
    "gzip": ("json.gz", gzip.compress),
    "gzip without its name": ("json", gzip.compress),
    "gzip in parts": ("jsonl.gz", lambda text: gzip.compress(text[:40]) + gzip.compress(text[40:])),
    "gzip with a byte order mark": ("ndjson.gz", lambda text: gzip.compress(codecs.BOM_UTF8 + text)),
    "another name": ("ndjson", bytes),
    "yet another name": ("jsonl", bytes),
}


def write(directory: Path, form: Form, ending: str = "json", wrap: Callable[[bytes], bytes] = bytes) -> Path:
    """Write a file for each table."""
    for table, content in DOCUMENTS.items():
        (directory / f"{table}.{ending}").write_bytes(wrap(form(list(content))))
    return directory


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_loaded(target: Target, tmp_path: Path, form: str) -> None:
    load(target, write(tmp_path, FORMS[form]))
    assert stored(target) == expected(DOCUMENTS)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("form", ["as exported", "lines of an export", "indented"])
def test_every_wrapping_is_loaded(target: Target, tmp_path: Path, form: str, wrapping: str) -> None:
    load(target, write(tmp_path, FORMS[form], *WRAPPINGS[wrapping]))
    assert stored(target) == expected(DOCUMENTS)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_from_any_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(batches, "MAX_ROWS", 1)
    content = [{"id": str(number), "text": '}"]{[\\' * number, "more": "[]"} for number in range(9)]
    path = tmp_path / "x.json"
    for wrap in (bytes, gzip.compress):
        path.write_bytes(wrap(FORMS[form](content)))
        found = list(FileSource(path).batches())
        assert read(path) == content
        for number, batch in enumerate(found[:-1]):
            assert read(path, batch.checkpoint) == content[number + 1 :]


def read(path: Path, checkpoint: int | None = None) -> Content:
    return [json.loads(document) for batch in FileSource(path).batches(checkpoint) for document in batch.documents]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(items())
def test_items_in_a_file_are_those_of_a_scan(tables: dict[str, Content]) -> None:
    """DynamoDB JSON becomes what `document_of` returns."""
    with pytest.MonkeyPatch.context() as patch:
        for documents in tables.values():
            found = [dict(item_of(document)) for document in documents]
            patch.setattr(Path, "open", lambda *_: io.BytesIO(lines(found)))  # noqa: B023
            if found:
                assert read(Path("x.json")) == [document_of(item) for item in found]


@pytest.mark.usefixtures("small_batches")
def test_an_archive_that_is_an_export_fits_its_manifest(target: Target, tmp_path: Path) -> None:
    with_manifest(write_input(tmp_path, DOCUMENTS))
    for path in [path for path in tmp_path.glob("*.json") if path.name != "manifest.json"]:
        path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    load(target, tmp_path)
    assert stored(target) == expected(DOCUMENTS)
    path = tmp_path / "actors.json.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b" "))
    with pytest.raises(SourceError, match=r"actors\.json\.gz is not what was exported"):
        ExportDirectory.at(tmp_path).identities()


def test_what_is_no_item_is_rejected(target: Target, tmp_path: Path) -> None:
    """Even where others of the file are: no notation is stored as content, and what is certain of it is decoded."""
    wrong = [{"id": {"S": 5}}, {"id": {"X": "a1"}}, {"id": {"N": "1"}, "name": "n", "value": "v"}, {"Item": {}}]
    certain = {"id": {"S": "a1"}, "name": "n", "value": "v"}
    write_input(tmp_path, {"actors": [ACTOR]})
    (tmp_path / "properties.json").write_bytes(lines([*typed(properties(2)), *wrong, certain]))
    assert load(target, tmp_path).counts["properties"].rejected == len(wrong)
    assert stored(target) == expected({"actors": [ACTOR], "properties": [*properties(2), {**certain, "id": "a1"}]})


def packed(kind: str, content: bytes = b"[]") -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x.json", content)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("x.json"))
    return buffer.getvalue()


CHANGE = {"Metadata": {}, "Keys": {"id": {"S": "a1"}}, "NewImage": {"id": {"S": "a1"}}}
OTHERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", r"is empty; the file of a table without rows is \[\]"),
    "blanks": (b" \r\n", "is empty"),
    "a byte order mark alone": (codecs.BOM_UTF8, "is empty"),
    "an empty gzip file": (gzip.compress(b""), "is empty"),
    "an empty object": (b"{}\n", "empty object"),
    "UTF-16": (codecs.BOM_UTF16_LE + "[]".encode("utf-16-le"), "UTF-16.* convert it to UTF-8"),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + "[]".encode("utf-16-be"), "UTF-16"),
    "UTF-16 without a mark": ("[{}]".encode("utf-16-le"), "UTF-16"),
    "UTF-16, big end first, without a mark": ("[{}]".encode("utf-16-be"), "UTF-16"),
    "UTF-32": ("[]".encode("utf-32"), "UTF-32"),
    "Ion": (b"\xe0\x01\x00\xea\xee", "is Ion: export the table again"),
    "Ion, packed": (gzip.compress(b"$ion_1_0 {Item:{id:'a'}}"), "is Ion"),
    "zip": (packed("zip"), "is an archive: unpack it"),
    "tar": (packed("tar"), "is an archive: unpack it"),
    "tar.gz": (gzip.compress(packed("tar")), "is an archive: unpack it"),
    "bzip2": (bz2.compress(b"[]"), "is compressed, and not by gzip"),
    "xz": (lzma.compress(b"[]"), "is compressed, and not by gzip"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04", "is compressed, and not by gzip"),
    "gzip twice": (gzip.compress(gzip.compress(b"[]")), "is compressed by gzip twice"),
    "gzip, cut off": (gzip.compress(own(properties(99)))[:-9], "is a damaged gzip file, or its end is missing"),
    "gzip, damaged": (gzip.compress(own(properties(99)))[:-8] + b"12345678", "is a damaged gzip file"),
    "gzip, its head alone": (gzip.compress(b"[]")[:5], "is a damaged gzip file"),
    "Parquet": (b"PAR1\x15", "is Parquet"),
    "an error message of S3": (b"<?xml version='1.0'?><Error/>", "is XML or HTML"),
    "CSV": (b'"id","name"\n"a","b"\n', r"begins neither with \[ nor with \{"),
    "two arrays": (array(properties(1)) + array(properties(1)), "something follows the array at byte"),
    "two arrays as exported": (own(properties(1)) + own(properties(1)), "something follows the array behind byte"),
    "an array in an array": (b"[[{}]]", "no complete object at byte 1"),
    "texts": (b'["a"]', "no complete object at byte 1"),
    "an array, cut off": (array(properties(9))[:-1], "ends before its closing bracket"),
    "an array as exported, cut off": (own(properties(9))[:-3], "ends before its closing bracket"),
    "NDJSON, cut off": (lines(properties(9))[:-3], "no complete object at byte"),
    "NDJSON with a word": (lines(properties(1)) + b"null\n", "no complete object at byte"),
    "a scan, cut off": (lines([page(properties(2))])[:-9], "no complete object at byte|there is no"),
    "a scan that is not whole": (
        array(page(properties(2), LastEvaluatedKey={"id": {"S": "a"}})),
        "was not read to its end",
    ),
    "a scan by the command line that is not whole": (
        array(page(properties(2), NextToken="e")),
        "was not read to its end",
    ),
    "a count": (b'{"Count": 3, "ScannedCount": 3}', "has no Items"),
    "an incremental export": (lines([CHANGE]), "contains changes of an incremental export"),
    "requests": (lines([{"PutRequest": {"Item": {"id": {"S": "a"}}}}]), "contains requests of batch-write-item"),
    "records of a stream": (lines([{"eventID": "1", "dynamodb": {}}]), "contains records of DynamoDB Streams"),
    "a description": (lines([{"Table": {}}]), "contains the description of a table"),
    "a summary of an export": (lines([{"version": "1", "exportArn": "a"}]), "use --format dynamodb-export"),
    "a list of data files": (lines([{"itemCount": 1, "dataFileS3Key": "a"}]), "use --format dynamodb-export"),
    "rejects": (lines([{"table": "t", "row": 1, "reason": "r", "document": {}}]), "rows that an import rejected"),
}


@pytest.mark.parametrize("content", OTHERS)
def test_nothing_is_loaded_where_one_file_is_something_else(target: Target, tmp_path: Path, content: str) -> None:
    """It is named in one line before anything is written, whichever file it is."""
    text, message = OTHERS[content]
    (write_input(tmp_path, DOCUMENTS) / "trusts.json").write_bytes(text)
    with pytest.raises(SourceError, match=rf"^\S+trusts\.json {message}|trusts\.json .*{message}") as caught:
        load(target, tmp_path)
    assert "\n" not in str(caught.value)
    assert stored(target) == expected({})
    assert not table_exists(target, "migration_progress")


def rename(names: dict[str, str]) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        for name, other in names.items():
            (directory / name).rename(directory / other)

    return harm


def add(name: str) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        (directory / name).write_text("[]")

    return harm


def have_two(directory: Path) -> None:
    (directory / "actors.json.gz").write_bytes(gzip.compress(b"[]"))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            rename({"actors.json": "prod_actors.json"}),
            r"actors\.json is missing; there are prod_actors\.json, whose names",
        ),
        (rename({"actors.json": "Actors.JSON"}), r"actors\.json is missing; there are Actors\.JSON"),
        (rename({"actors.json": "actors.csv"}), r"actors\.json is missing$"),
        (
            rename({"subscription_suspensions.json": "prod_subscription_suspensions.json.gz"}),
            r"subscription_suspensions\.json is missing; there are prod_subscription_suspensions\.json\.gz",
        ),
        (
            rename({"subscription_suspensions.json": "subscription_suspension.json"}),
            r"subscription_suspensions\.json is missing; there are subscription_suspension\.json",
        ),
        (
            add("prod_property_lookup_v2.json"),
            r"_lookup_v2\.json is missing; there are prod_property_lookup_v2\.json, whose",
        ),
        (
            add("Property_Lookup_V2.json.gz"),
            r"_v2\.json is missing; there are Property_Lookup_V2\.json\.gz, whose",
        ),
        (
            add("property_lookup.json"),
            r"property_lookup_v1\.json is missing; there are property_lookup\.json, whose names",
        ),
        (add("prod__property_lookup.ndjson"), r"_lookup_v1\.json is missing; there are prod__property_lookup\.ndjson"),
        (have_two, r"has actors\.json and actors\.json\.gz for one table"),
    ],
)
def test_files_by_another_name(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(write_input(tmp_path, DOCUMENTS))
    with pytest.raises(UsageError, match=message):
        ExportDirectory.at(tmp_path)


def test_an_export_to_s3_names_the_option(tmp_path: Path) -> None:
    write_exports(tmp_path, DOCUMENTS)
    for directory in (tmp_path, tmp_path / "AWSDynamoDB" / "01700-actors"):
        with pytest.raises(UsageError, match="use --format dynamodb-export"):
            ExportDirectory.at(directory)
