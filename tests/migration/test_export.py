"""Export of DynamoDB tables to files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actingweb.migration.documents import Document
from actingweb.migration.errors import SourceError, TargetError, UsageError
from actingweb.migration.jobs import export
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.mapping import CLAIMS_V2, MAPPINGS
from actingweb.migration.source.endpoint import RetryLimits
from actingweb.migration.source.files import FileSource
from actingweb.migration.source.manifest import Manifest, read_manifest
from actingweb.migration.source.scan import DynamoDBSource
from testbed.dynamodb_proxy import SpoilingProxy, failing, spoiling_proxy
from tests.migration.deployment import (
    ACTORS,
    PROPERTIES,
    SmallPages,
    create_table,
    documents_in,
    in_order,
    properties,
    source_of,
    store,
)
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("deployment")

_EXPORTED = (*MAPPINGS, CLAIMS_V2)
_FILES = {f"{mapping.name}.json" for mapping in _EXPORTED} | {"manifest.json"}
_ACTORS: list[Document] = [{"id": f"a{number}", "creator": "ö\n", "passphrase": ""} for number in range(7)]


@pytest.fixture
def stored(ddb: DynamoDBClient) -> list[Document]:
    """Store some actors and properties; return the properties."""
    store(ddb, ACTORS, _ACTORS)
    store(ddb, PROPERTIES, properties(60))
    return properties(60)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return where the export goes."""
    return tmp_path / "new" / "export"


def _manifest(directory: Path) -> Manifest:
    manifest = read_manifest(directory)
    assert manifest is not None
    return manifest


def _content(directory: Path, name: str) -> list[Document]:
    return in_order(json.loads((directory / f"{name}.json").read_bytes()))


def _assert_complete(directory: Path, stored: list[Document]) -> None:
    assert set(os.listdir(directory)) == _FILES
    assert _content(directory, "actors") == in_order(_ACTORS)
    assert _content(directory, "properties") == in_order(stored)
    manifest = _manifest(directory)
    assert manifest.complete
    for name, entry in manifest.tables.items():
        content = (directory / f"{name}.json").read_bytes()
        assert (entry.rows, entry.bytes) == (len(json.loads(content)), len(content))
        assert entry.sha256 == hashlib.sha256(content).hexdigest()


@pytest.fixture
def proxy() -> Iterator[SpoilingProxy]:
    """Put a proxy in front of the server."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as running:
        yield running


def _small_pages(proxy: SpoilingProxy, segments: int = 3) -> DynamoDBSource:
    return SmallPages(None, None, proxy.url, None, segments, retry_limits=RetryLimits(0.1, 0.1))


def _interrupt(proxy: SpoilingProxy, directory: Path, pages: int) -> None:
    """Export until the endpoint fails, after some pages."""
    source = _small_pages(proxy)
    assert all(source.exists(mapping) for mapping in source.mappings)
    proxy.spoilers.extend([None] * pages)
    proxy.always = failing("InternalServerError", 500)
    with pytest.raises(SourceError):
        export_tables(source, directory)
    proxy.always = None


def test_all_tables_are_written(stored: list[Document], directory: Path) -> None:
    seen: list[tuple[str, int]] = []
    summary = export_tables(source_of(), directory, on_rows=lambda name, rows: seen.append((name, rows)))
    _assert_complete(directory, stored)
    assert summary.manifest == _manifest(directory)
    assert summary.read == {mapping.name: len(_content(directory, mapping.name)) for mapping in _EXPORTED}
    assert summary.missing == []
    assert dict(seen) == summary.read
    assert summary.manifest.finished_at is not None
    assert summary.manifest.finished_at >= summary.manifest.started_at
    assert summary.manifest.tool.startswith("actingweb-db ")
    assert summary.manifest.tables["subscription_diffs"].table == f"{os.environ['AWS_DB_PREFIX']}_subscriptiondiffs"


def test_one_object_stands_on_a_line(stored: list[Document], directory: Path) -> None:
    export_tables(source_of(), directory)
    first, *lines, last = (directory / "properties.json").read_text().split("\n")[:-1]
    assert (first, last) == ("[", "]")
    assert in_order(json.loads(line.removesuffix(",")) for line in lines) == in_order(stored)
    assert documents_in(FileSource(directory / "properties.json").batches()) == in_order(stored)
    assert (directory / "trusts.json").read_text() == "[\n]\n"
    assert documents_in(FileSource(directory / "trusts.json").batches()) == []


def test_the_jq_of_the_guide_works(stored: list[Document], directory: Path) -> None:
    export_tables(source_of(), directory)
    command = ["jq", '.[] | .id + ":" + .name', str(directory / "properties.json")]
    found = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert sorted(found) == sorted(json.dumps(f"{row['id']}:{row['name']}") for row in stored)


def test_the_owner_alone_may_read(ddb: DynamoDBClient, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(ddb, ACTORS, _ACTORS)
    directory.mkdir(parents=True, mode=0o755)
    before = os.umask(0)
    try:
        seen = set[int]()
        export_tables(source_of(), directory, on_rows=lambda *_: seen.update(_modes(directory)))
    finally:
        os.umask(before)
    assert seen == {0o600}
    assert set(_modes(directory)) == {0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


def _modes(directory: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in directory.iterdir()]


def test_absent_tables_have_empty_files(ddb: DynamoDBClient, directory: Path) -> None:
    prefix = f"{os.environ['AWS_DB_PREFIX']}{new_id('')[:8]}"
    create_table(ddb, f"{prefix}__actors")
    ddb.put_item(TableName=f"{prefix}__actors", Item={"id": {"S": "a"}})
    summary = export_tables(source_of(prefix=f"{prefix}_"), directory)
    assert summary.missing == [mapping.name for mapping in _EXPORTED[1:]]
    assert set(os.listdir(directory)) == _FILES
    assert _content(directory, "actors") == [{"id": "a"}]
    assert _content(directory, "subscription_suspensions") == []


def test_without_actors_there_is_no_export(directory: Path) -> None:
    with pytest.raises(SourceError, match="no_actors"):
        export_tables(source_of(prefix="no"), directory)
    assert list(directory.iterdir()) == []


def test_a_finished_export_is_not_touched(stored: list[Document], directory: Path) -> None:
    export_tables(source_of(), directory)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.iterdir()}
    with pytest.raises(UsageError, match=r"contains a finished export of .* UTC: name another directory"):
        export_tables(source_of(), directory)
    again = export_tables(source_of(), directory, resume=True)
    assert again.manifest.complete
    assert again.read == {}
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in directory.iterdir()} == before


@pytest.mark.parametrize("resume", [True, False])
def test_other_files_are_not_touched(directory: Path, resume: bool) -> None:
    directory.mkdir(parents=True, mode=0o755)
    (directory / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="contains other files"):
        export_tables(source_of(), directory, resume=resume)
    assert os.listdir(directory) == ["notes.txt"]
    assert directory.stat().st_mode & 0o777 == 0o755


def test_a_foreign_manifest_is_refused(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text('{"manifest_version": 3}')
    with pytest.raises(UsageError, match="is not the manifest of an export"):
        export_tables(source_of(), directory, resume=True)


def test_resume_starts_where_nothing_is(stored: list[Document], directory: Path) -> None:
    export_tables(source_of(), directory, resume=True)
    _assert_complete(directory, stored)


@pytest.mark.parametrize("pages", [3, 8, 12, 25, 30])
def test_an_interrupted_export_goes_on(
    stored: list[Document], directory: Path, proxy: SpoilingProxy, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(export, "_CHECKPOINT_SECONDS", 0.0)
    _interrupt(proxy, directory, pages)
    assert not _manifest(directory).complete
    with pytest.raises(UsageError, match=r"contains an unfinished export .*--resume"):
        export_tables(_small_pages(proxy), directory)
    before = len(_scans(proxy))
    # In the segments of the beginning, whatever is said now.
    export_tables(_small_pages(proxy, segments=7), directory, resume=True)
    assert _manifest(directory).segments == 3
    _assert_complete(directory, stored)
    # Of each segment at most the pages that were read ahead, and the empty tables in between, are read again.
    whole_export = 60 // 5 + 7 // 5 + 3 * len(_EXPORTED)
    assert len(_scans(proxy)) - before <= whole_export - pages + 2 * 3


def _scans(proxy: SpoilingProxy) -> list[object]:
    return [seen for seen in proxy.seen if seen.operation == "Scan"]


def test_another_source_does_not_go_on(
    stored: list[Document], directory: Path, proxy: SpoilingProxy, ddb: DynamoDBClient
) -> None:
    _interrupt(proxy, directory, 8)
    prefix = f"{os.environ['AWS_DB_PREFIX']}{new_id('')[:8]}"
    create_table(ddb, f"{prefix}_actors")
    with pytest.raises(UsageError, match=r"contains an export of .*actors.*, which cannot be continued with .*actors"):
        export_tables(source_of(prefix=prefix, host=proxy.url), directory, resume=True)


def test_a_damaged_part_does_not_go_on(stored: list[Document], directory: Path, proxy: SpoilingProxy) -> None:
    _interrupt(proxy, directory, 8)
    (directory / "actors.json").write_text("[]")
    with pytest.raises(UsageError, match=r"actors.json is not the file that was exported"):
        export_tables(_small_pages(proxy), directory, resume=True)


def test_a_part_that_was_cut_off_does_not_go_on(
    stored: list[Document], directory: Path, proxy: SpoilingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_CHECKPOINT_SECONDS", 0.0)
    _interrupt(proxy, directory, 10)
    os.truncate(directory / "properties.json.part", 3)
    with pytest.raises(UsageError, match=r"properties.json.part was truncated"):
        export_tables(_small_pages(proxy), directory, resume=True)


def test_two_exports_do_not_share_a_directory(directory: Path) -> None:
    directory.mkdir(parents=True)
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another export is writing"):
            export_tables(source_of(), directory, resume=True)
    finally:
        os.close(descriptor)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetError, match=r"file: File exists"):
        export_tables(source_of(), tmp_path / "file")


def test_a_full_disk_is_named(ddb: DynamoDBClient, directory: Path) -> None:
    stored = properties(100, "x" * 100)
    store(ddb, ACTORS, _ACTORS)
    store(ddb, PROPERTIES, stored)
    with _file_size_limit(8000), pytest.raises(TargetError, match=r"export: File too large: make room, .* --resume"):
        export_tables(source_of(), directory)
    export_tables(source_of(), directory, resume=True)
    _assert_complete(directory, stored)


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("seed", range(3))
def test_kills_lose_and_double_nothing(stored: list[Document], directory: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.migration.killed", str(directory), str(seed)]
    kills = int(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    assert kills >= 3
    _assert_complete(directory, stored)
