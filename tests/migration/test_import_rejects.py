"""Rows that PostgreSQL cannot hold."""

import hashlib
import stat
from pathlib import Path

import pytest

from actingweb.migration.documents import Document
from actingweb.migration.errors import ExitCode
from actingweb.migration.jobs.loader import TooManyRejectsError
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.loads import (
    ACTOR,
    load,
    properties,
    reject_path,
    rejects_of,
    stored,
    write_input,
)

ORPHAN: Document = {"id": "nobody", "name": "x", "value": ""}
BAD_PROPERTIES: dict[str, tuple[Document, str]] = {
    "U+0000 in a value": ({"id": "a1", "name": "x", "value": "a\x00b"}, "value contains U+0000"),
    "U+0000 in a key": ({"id": "a1", "name": "x\x00", "value": ""}, "name contains U+0000"),
    "unknown actor": (ORPHAN, "unknown actor"),
    "long id": ({"id": "a" * 256, "name": "x", "value": ""}, "id: String should have at most 255 characters"),
    "long key": ({"id": "a1", "name": "é" * 1300, "value": ""}, "the key has 2602 bytes: at most 2600"),
    "no name": ({"id": "a1", "value": ""}, "name: Field required"),
    "empty name": ({"id": "a1", "name": "", "value": ""}, "name: String should have at least 1 character"),
    "number for text": ({"id": "a1", "name": "x", "value": 1}, "value: Input should be a valid string"),
    "set for text": ({"id": "a1", "name": "x", "value": {"SS": ["a"]}}, "value: Input should be a valid string"),
}
BAD_ATTRIBUTES: dict[str, tuple[Document, str]] = {
    "no JSON": ({"data": "{"}, "data: data is not JSON that PostgreSQL can hold"),
    "empty": ({"data": ""}, "data: data is not JSON that PostgreSQL can hold"),
    "NaN": ({"data": "[NaN]"}, "data: data is not JSON that PostgreSQL can hold"),
    "U+0000 in JSON": ({"data": '{"a": ["\\u0000"]}'}, "data: data contains U+0000"),
    "U+0000 in a JSON key": ({"data": '{"\\u0000": 1}'}, "data: data contains U+0000"),
    "huge number": ({"data": "1e200000"}, "PostgreSQL rejects it: NumericValueOutOfRange"),
    "lone surrogate": ({"data": '"\\ud800"'}, "PostgreSQL rejects it: InvalidTextRepresentation"),
    "nested too deeply": ({"data": "[" * 100_000 + "]" * 100_000}, "PostgreSQL rejects it: StatementTooComplex"),
    "no time": ({"timestamp": "yesterday"}, "timestamp: this is not a time"),
    "seconds for a time": ({"timestamp": 1_700_000_000}, "timestamp: this is not a time"),
    "time before all times": ({"timestamp": "0001-01-01T00:00:00+01:00"}, "timestamp: this is not a time"),
    "large number": (
        {"ttl_timestamp": 2**63},
        "ttl_timestamp: Input should be less than 9223372036854775808",
    ),
    "other key": ({"bucket_name": "b:y"}, "bucket_name does not match the other parts of the key"),
}


def check_reject(target: Target, directory: Path, table: str, bad: Document, reason: str) -> None:
    """Check that of a file with `bad` in the middle everything else is loaded."""
    good = [{"id": "a1", "bucket": "b", "name": f"n{number}", "value": "v", "data": "1"} for number in range(9)]
    directory = write_input(directory, {"actors": [ACTOR], table: [*good[:5], bad, *good[5:]]})
    assert load(target, directory).counts[table] == Counts(10, 9, 0, 1)
    assert [row[-2 if table == "properties" else 2] for row in stored(target)[table]] == [row["name"] for row in good]
    (reject,) = rejects_of(directory, table)
    assert (reject["table"], reject["row"], reject["document"]) == (table, 6, bad)
    assert reject["reason"].startswith(reason)
    assert all(reject["key"][name] == bad[name] for name in reject["key"])
    assert "id" in reject["key"]


@pytest.mark.parametrize("case", BAD_PROPERTIES)
def test_a_bad_property_costs_no_other(target: Target, tmp_path: Path, case: str) -> None:
    check_reject(target, tmp_path, "properties", *BAD_PROPERTIES[case])


@pytest.mark.parametrize("case", BAD_ATTRIBUTES)
def test_a_bad_attribute_costs_no_other(target: Target, tmp_path: Path, case: str) -> None:
    values, reason = BAD_ATTRIBUTES[case]
    check_reject(target, tmp_path, "attributes", {"id": "a1", "bucket": "b", "name": "x"} | values, reason)


def test_an_index_that_cannot_hold_a_value(target: Target, tmp_path: Path) -> None:
    creator = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(100))
    actors = [{"id": f"a{number}", "creator": creator if number == 2 else "c"} for number in range(5)]
    assert load(target, write_input(tmp_path, {"actors": actors})).counts["actors"] == Counts(5, 4, 0, 1)
    assert rejects_of(tmp_path, "actors")[0]["reason"] == "PostgreSQL rejects it: ProgramLimitExceeded"


def test_json_that_only_postgresql_can_judge(target: Target, tmp_path: Path) -> None:
    texts = ["[" * 900 + "]" * 900, "[" * 3000 + "]" * 3000, "1e400", "-0.10", " [1]\n"]
    attributes = [{"id": "a1", "bucket": "b", "name": str(number), "data": text} for number, text in enumerate(texts)]
    load(target, write_input(tmp_path, {"actors": [ACTOR], "attributes": attributes}))
    with target.connect() as connection:
        found = connection.execute(target.sql("SELECT data::text FROM {schema}.attributes ORDER BY name"))
        assert [text for (text,) in found] == [*texts[:2], f"1{'0' * 400}", "-0.10", "[1]"]


def test_documents_that_are_no_objects(target: Target, tmp_path: Path) -> None:
    lines = '{"id": "a1"}', '{"id": "a2"},{"id": "a3"}', '{"id": "a4" "x"}', '{"id": "a5"}'
    (write_input(tmp_path, {}) / "actors.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    assert load(target, tmp_path).counts["actors"] == Counts(4, 2, 0, 2)
    assert [(reject["row"], reject["document"], reject["key"]) for reject in rejects_of(tmp_path, "actors")] == [
        (2, lines[1], {}),
        (3, lines[2], {}),
    ]


def test_what_is_null_is_loaded_as_absent(target: Target, tmp_path: Path) -> None:
    actors: list[dict[str, object]] = [
        {"id": "a1", "creator": None, "passphrase": "p"},
        {"id": None},
        {"id": "a2", "creator": "c"},
    ]
    assert load(target, write_input(tmp_path, {"actors": actors})).counts["actors"] == Counts(3, 2, 0, 1)
    assert [row[:3] for row in stored(target)["actors"]] == [("a1", "", "p"), ("a2", "c", "")]
    assert rejects_of(tmp_path, "actors")[0]["document"] == {"id": None}


def test_rejects_are_readable_by_their_owner_alone(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": [ORPHAN]}))
    assert stat.S_IMODE((tmp_path / "rejects").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "rejects" / "properties.ndjson").stat().st_mode) == 0o600


def test_a_reject_keeps_the_digits_of_its_numbers(target: Target, tmp_path: Path) -> None:
    text = '{"id": "a1",\n "name": "x", "value": 1.10}'
    (write_input(tmp_path, {"actors": [ACTOR]}) / "properties.json").write_text(f"[{text}]")
    load(target, tmp_path)
    content = (tmp_path / "rejects" / "properties.ndjson").read_text()
    assert '"document": {"id": "a1",  "name": "x", "value": 1.10}}\n' in content
    assert content.count("\n") == 1


@pytest.mark.usefixtures("small_batches")
def test_too_many_rejects(target: Target, tmp_path: Path) -> None:
    bad = [{"id": "nobody", "name": f"n{number}", "value": ""} for number in range(6)]
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": [*bad, *properties(4)]})
    with pytest.raises(TooManyRejectsError, match="properties: more than 3 rows") as caught:
        load(target, directory, max_rejects=3)
    assert caught.value.exit_code == ExitCode.REJECTS
    with pytest.raises(TooManyRejectsError):
        load(target, directory, max_rejects=5)
    assert stored(target)["properties"] == []
    assert load(target, directory, max_rejects=6).counts["properties"] == Counts(10, 4, 0, 6)
    assert [reject["row"] for reject in rejects_of(directory, "properties")] == [1, 2, 3, 4, 5, 6]


def test_the_rejects_of_an_earlier_import_are_kept(target: Target, tmp_path: Path) -> None:
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": [ORPHAN]})
    load(target, directory)
    file = reject_path(directory, "properties")
    file.write_text("corrected by hand")
    load(target, directory, skip_duplicates=True)
    assert len(rejects_of(directory, "properties")) == 1
    assert file.with_suffix(".ndjson.1").read_text() == "corrected by hand"
