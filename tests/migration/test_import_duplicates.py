"""A key that exists already."""

from pathlib import Path

import pytest

from actingweb.migration.errors import DuplicateRowError, ExitCode
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    expected,
    load,
    properties,
    rejects_of,
    stored,
    table_exists,
    versions,
    write_input,
)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("position", [0, 1, 5, 9])
def test_a_duplicate_leaves_the_table_as_it_was(target: Target, tmp_path: Path, position: int) -> None:
    earlier = {"id": "a1", "name": "name 7", "value": "earlier"}
    load(target, write_input(tmp_path / "one", {"actors": [ACTOR], "properties": [earlier]}))
    before = versions(target)
    later = [{"id": "a1", "name": f"other {number}", "value": ""} for number in range(10)]
    later[position]["name"] = "name 7"
    directory = write_input(tmp_path / "two", {"actors": [], "properties": later})
    message = (
        'Failed to import properties: duplicate key value violates unique constraint "properties_pkey": '
        "Key (id, name)=(a1, name 7) already exists. The table had rows before this import: use --skip-duplicates to "
        "keep them and add the others."
    )
    with pytest.raises(DuplicateRowError) as caught:
        load(target, directory)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.TARGET
    assert versions(target) == before
    # The tables before it are loaded, and stay so.
    assert load(target, directory, skip_duplicates=True).counts["properties"] == Counts(10, 9, 1, 0)


@pytest.mark.usefixtures("small_batches")
def test_a_duplicate_within_the_file(target: Target, tmp_path: Path) -> None:
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": [*properties(7), *properties(1)]})
    with pytest.raises(DuplicateRowError, match=r"Key \(id, name\)=\(a1, name 0\) .* the file has this key twice"):
        load(target, directory)
    assert stored(target) == expected({"actors": [ACTOR]})
    write_input(directory, {"actors": [ACTOR], "properties": properties(7)})
    load(target, directory)
    assert stored(target) == expected({"actors": [ACTOR], "properties": properties(7)})


def test_a_duplicate_in_the_first_table_leaves_no_trace(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    before = versions(target)
    with pytest.raises(DuplicateRowError, match="Failed to import actors"):
        load(target, tmp_path)
    assert versions(target) == before
    assert not table_exists(target, "migration_progress")


@pytest.mark.usefixtures("small_batches")
def test_undoing_spares_the_row_whose_key_a_reject_has(target: Target, tmp_path: Path) -> None:
    kept = {"id": "a1", "bucket": "b", "name": "kept", "data": "1"}
    load(target, write_input(tmp_path / "one", {"actors": [ACTOR], "attributes": [kept]}))
    before = versions(target)
    others = [{"id": "a1", "bucket": "b", "name": f"other {number}", "data": "2"} for number in range(6)]
    refused = kept | {"data": "1e200000"}
    directory = write_input(tmp_path / "two", {"actors": [], "attributes": [*others[:2], refused, *others[2:], kept]})
    with pytest.raises(DuplicateRowError):
        load(target, directory)
    assert versions(target) == before
    assert rejects_of(directory, "attributes") == []
