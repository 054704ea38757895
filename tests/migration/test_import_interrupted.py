"""Imports that go on where another stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import pytest

from actingweb.migration.errors import DuplicateRowError, TargetError, UsageError
from actingweb.migration.jobs.load import import_files
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts, Progress
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    expected,
    load,
    load_options,
    properties,
    rejects_of,
    stored,
    table_exists,
    write_input,
)


class InterruptionError(Exception):
    """Stands for a fault at a chosen moment."""


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets the n-th batch from now on fail just before its transaction ends."""

    def interrupt(number: int) -> None:
        seen: list[int] = []

        def record(self: Progress, *arguments: Any) -> None:
            original(self, *arguments)
            seen.append(1)
            if len(seen) == number:
                monkeypatch.setattr(Progress, "record", original)
                raise InterruptionError

        monkeypatch.setattr(Progress, "record", record)

    original = Progress.record
    return interrupt


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_an_interrupted_import_goes_on(
    target: Target, tmp_path: Path, interrupt_at: Callable[[int], None], number: int
) -> None:
    bad = [{"id": "nobody", "name": f"n{index}", "value": ""} for index in range(8)]
    mixed = [document for pair in zip(properties(8), bad, strict=True) for document in pair]
    documents = {"actors": [ACTOR, {"id": "a2"}], "properties": mixed, "attributes": DOCUMENTS["attributes"]}
    directory = write_input(tmp_path, documents)
    interrupt_at(number)
    with pytest.raises(InterruptionError):
        load(target, directory)
    assert table_exists(target, "migration_progress")
    summary = load(target, directory)
    assert summary.counts["properties"] == Counts(16, 8, 0, 8)
    assert stored(target) == expected({**documents, "properties": properties(8)})
    assert [reject["row"] for reject in rejects_of(directory, "properties")] == list(range(2, 17, 2))


@pytest.mark.usefixtures("small_batches")
def test_another_input_does_not_go_on(target: Target, tmp_path: Path, interrupt_at: Callable[[int], None]) -> None:
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": properties(7)})
    interrupt_at(3)
    with pytest.raises(InterruptionError):
        load(target, directory)
    write_input(directory, {"actors": [ACTOR], "properties": properties(8)})
    with pytest.raises(UsageError, match=r"an unfinished import of .* and properties has changed since"):
        load(target, directory)
    # The same content elsewhere will do.
    load(target, write_input(tmp_path / "moved", {"actors": [ACTOR], "properties": properties(7)}))
    assert stored(target) == expected({"actors": [ACTOR], "properties": properties(7)})


@pytest.mark.usefixtures("small_batches")
def test_the_later_of_two_processes_goes_on_alone(target: Target, tmp_path: Path) -> None:
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": properties(20)})

    def start_another(table: str, counts: Counts) -> None:
        if table == "properties" and counts.read == 6:
            load(target, directory)

    with pytest.raises((UsageError, TargetError)):
        import_files(target, ExportDirectory.at(directory), load_options(directory), start_another)
    assert stored(target) == expected({"actors": [ACTOR], "properties": properties(20)})


def stop_at_properties(table: str, counts: Counts) -> None:
    if table == "properties" and counts.read:
        raise InterruptionError


@pytest.fixture
def unfinished(target: Target, tmp_path: Path) -> Path:
    """Return the directory of an import that stopped within the properties."""
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": properties(7)})
    with pytest.raises(InterruptionError):
        import_files(target, ExportDirectory.at(directory), load_options(directory), stop_at_properties)
    return directory


@pytest.mark.usefixtures("small_batches")
def test_a_restart_deletes_what_was_loaded(target: Target, unfinished: Path) -> None:
    others = [{"id": "a2", "name": "n", "value": "v"}]
    write_input(unfinished, {"actors": [{"id": "a2"}], "properties": others})
    with pytest.raises(UsageError, match="start again with --restart, which deletes"):
        load(target, unfinished)
    summary = load(target, unfinished, restart=True)
    assert stored(target) == expected({"actors": [{"id": "a2"}], "properties": others})
    assert summary.notes[:2] == (
        "properties: 3 rows of the unfinished load were deleted",
        "actors: 1 rows of the unfinished load were deleted",
    )
    assert not table_exists(target, "migration_progress")


@pytest.mark.usefixtures("small_batches")
def test_a_restart_may_keep_what_was_loaded(target: Target, unfinished: Path) -> None:
    write_input(unfinished, {"actors": [ACTOR, {"id": "a2"}], "properties": properties(5)})
    assert load(target, unfinished, restart=True, skip_duplicates=True).counts["properties"] == Counts(5, 2, 3, 0)
    assert stored(target) == expected({"actors": [ACTOR, {"id": "a2"}], "properties": properties(5)})


FOREIGN: dict[str, LiteralString] = {
    "in a loaded table": "INSERT INTO {schema}.actors VALUES ('new', '', '')",
    "in a table that would lose its actors": "INSERT INTO {schema}.trusts (id, peerid, baseuri, type, relationship, "
    "secret, approved, peer_approved, verified) VALUES ('a1', 'p', '', '', '', '', true, true, true)",
    "among the look-ups": "INSERT INTO {schema}.property_lookup VALUES ('k', 'email', 'a1')",
}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("case", FOREIGN)
def test_a_restart_deletes_no_row_of_others(target: Target, unfinished: Path, case: str) -> None:
    with target.connect() as connection:
        connection.execute(target.sql(FOREIGN[case]))
    before = stored(target)
    with pytest.raises(UsageError, match="rows that the unfinished load did not write, so --restart deletes nothing"):
        load(target, unfinished, restart=True)
    assert stored(target) == before
    assert table_exists(target, "migration_progress")


def test_without_an_unfinished_load_nothing_is_deleted(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, DOCUMENTS))
    with pytest.raises(DuplicateRowError):
        load(target, tmp_path, restart=True)
    assert stored(target) == expected(DOCUMENTS)
