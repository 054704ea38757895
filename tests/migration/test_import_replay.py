"""Corrected rejects, loaded again."""

import json
import stat
from pathlib import Path

import pytest

from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.jobs import replay
from actingweb.migration.jobs.load import import_files
from actingweb.migration.jobs.load_options import LoadSummary
from actingweb.migration.jobs.replay import replay_rejects
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from tests.migration.loads import (
    ACTOR,
    correct,
    expected,
    load,
    load_options,
    properties,
    reject_path,
    rejects_of,
    stored,
    versions,
    write_input,
)

ORPHANS = [{"id": "nobody", "name": f"n{number}", "value": "v"} for number in range(4)]


def again(target: Target, directory: Path) -> LoadSummary:
    return replay_rejects(target, load_options(directory), lambda *_: None)


@pytest.fixture
def rejected(target: Target, tmp_path: Path) -> Path:
    """Return an imported directory with four rejected properties."""
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": [*properties(2), *ORPHANS]}))
    return tmp_path


def test_corrected_rows_are_loaded(target: Target, rejected: Path) -> None:
    correct(rejected, "properties", id="a1")
    assert again(target, rejected).counts == {"properties": Counts(4, 4, 0, 0)}
    corrected = [document | {"id": "a1"} for document in ORPHANS]
    assert stored(target) == expected({"actors": [ACTOR], "properties": [*properties(2), *corrected]})
    assert not reject_path(rejected, "properties").exists()
    with pytest.raises(UsageError, match="has no reject file"):
        again(target, rejected)


def test_what_still_fails_stays(target: Target, rejected: Path) -> None:
    content = reject_path(rejected, "properties").read_text()
    with target.connect() as connection:
        connection.execute(target.sql("INSERT INTO {schema}.actors VALUES ('a2', '', '')"))
    lines = content.splitlines(keepends=True)
    reject_path(rejected, "properties").write_text(lines[0].replace("nobody", "a2") + "".join(lines[1:]))
    assert again(target, rejected).counts == {"properties": Counts(4, 1, 0, 3)}
    assert reject_path(rejected, "properties").read_text() == "".join(lines[1:])
    assert stat.S_IMODE(reject_path(rejected, "properties").stat().st_mode) == 0o600


def test_parents_come_before_children(target: Target, tmp_path: Path) -> None:
    documents = {"actors": [{"id": "a1", "creator": 1}], "properties": properties(3)}
    load(target, write_input(tmp_path, documents))
    assert stored(target) == expected({})
    correct(tmp_path, "actors", creator="c")
    summary = again(target, tmp_path)
    assert summary.counts == {"actors": Counts(1, 1, 0, 0), "properties": Counts(3, 3, 0, 0)}


def test_look_up_rows_are_made(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path, {"actors": [ACTOR], "properties": [{"id": "x", "name": "email", "value": "e"}]}))
    correct(tmp_path, "properties", id="a1")
    assert again(target, tmp_path).look_ups == 1


def test_a_killed_replay_is_repeated(target: Target, rejected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_BATCH_ROWS", 2)
    correct(rejected, "properties", id="a1")
    content = reject_path(rejected, "properties").read_text()

    def stop(table: str, counts: Counts) -> None:
        if counts.read:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay_rejects(target, load_options(rejected), stop)
    assert reject_path(rejected, "properties").read_text() == content
    assert again(target, rejected).counts == {"properties": Counts(4, 2, 2, 0)}
    assert not reject_path(rejected, "properties").exists()


def test_a_row_that_is_there_but_different_is_not_lost(target: Target, rejected: Path) -> None:
    correct(rejected, "properties", id="a1", name="name 0")
    before = versions(target)
    assert again(target, rejected).counts == {"properties": Counts(4, 0, 0, 4)}
    assert versions(target) == before
    assert {reject["reason"] for reject in rejects_of(rejected, "properties")} == {"another row has this key"}


def test_attributes_are_compared_as_values(target: Target, tmp_path: Path) -> None:
    attributes = [{"id": "a1", "bucket": "b", "name": name, "data": "{"} for name in ("n", "m")]
    load(target, write_input(tmp_path, {"actors": [ACTOR], "attributes": attributes}))
    correct(tmp_path, "attributes", name="n", data='{"b": 1,  "a": null}')
    assert again(target, tmp_path).counts == {"attributes": Counts(2, 1, 1, 0)}


def test_a_text_that_became_a_document(target: Target, tmp_path: Path) -> None:
    (write_input(tmp_path, {"actors": []}) / "actors.json").write_text('[\n{"id": "a1" "passphrase": "p"}\n]\n')
    load(target, tmp_path)
    (reject,) = rejects_of(tmp_path, "actors")
    for document in (reject["document"].replace('" "', '", "'), ACTOR):
        reject_path(tmp_path, "actors").write_text(json.dumps(reject | {"document": document}))
        again(target, tmp_path)
    assert stored(target) == expected({"actors": [ACTOR]})


@pytest.mark.parametrize("line", ["x", "[]", "{}", '"text"'])
def test_a_line_that_is_no_reject(target: Target, rejected: Path, line: str) -> None:
    with reject_path(rejected, "properties").open("a") as file:
        file.write(line)
    content = reject_path(rejected, "properties").read_text()
    with pytest.raises(SourceError, match=r"properties\.ndjson, line 5: this is not a reject"):
        again(target, rejected)
    assert reject_path(rejected, "properties").read_text() == content


def test_an_unfinished_load_comes_first(target: Target, tmp_path: Path) -> None:
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": [*properties(2), *ORPHANS]})

    def stop(table: str, counts: Counts) -> None:
        if counts.rejected:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files(target, ExportDirectory.at(directory), load_options(directory), stop)
    with pytest.raises(UsageError, match="finish it first"):
        again(target, directory)
