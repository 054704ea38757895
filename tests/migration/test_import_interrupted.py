"""Imports that go on where another stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actingweb.migration.errors import TargetError, UsageError
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
