"""The job that exports DynamoDB tables to files, each a JSON array; it can be resumed after any interruption.

A file grows under the name `<table>.json.part`. The manifest holds its size and, for that size, the checkpoint of each
segment. It is written once the file is on disk, so a resumed export truncates the file to that size.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from actingweb.migration.batches import Batch
from actingweb.migration.errors import TargetError, UsageError, is_full
from actingweb.migration.mapping import ALL, CLAIMS, TableMapping, chosen
from actingweb.migration.private_files import flush_directory, private_descriptor
from actingweb.migration.source.manifest import (
    MANIFEST_PARTS,
    Manifest,
    TableEntry,
    now,
    read_manifest,
    write_manifest,
)
from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["ExportSummary", "export_tables"]

_CHECKPOINT_SECONDS = 1.0


@dataclass(frozen=True)
class ExportSummary:
    """What an export consists of.

    Attributes:
        read: how many rows of each table this run read; the manifest has the numbers of all runs.
    """

    manifest: Manifest
    read: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The tables that the deployment does not have, so that their files are empty."""
        return [name for name, entry in self.manifest.tables.items() if entry.table is None]


def export_tables(
    source: DynamoDBSource,
    directory: Path,
    *,
    resume: bool = False,
    on_rows: Callable[[str, int], None] = lambda _name, _rows: None,
) -> ExportSummary:
    """Write all tables to a directory, which is created or must be empty.

    `resume` continues an unfinished export of the same tables in the directory, and leaves a finished one as it is.
    `on_rows` is called with a table and the number of its rows that all runs have exported, first before this run reads
    any.

    Raise `UsageError` if the directory contains anything else or is in use, `SourceError` if a table cannot be read,
    `TargetError` if a file cannot be written.
    """
    with _write_errors(directory), _locked(directory):
        manifest = _manifest_to_continue(directory, resume)
        if manifest is not None and manifest.complete:
            return ExportSummary(manifest)
        if manifest is None:
            manifest = _new_manifest(source)
        else:
            source = _same_source(source, manifest, directory)
        write_manifest(directory, manifest)
        summary = ExportSummary(manifest)
        for mapping in _mappings_in(manifest):
            before = manifest.tables[mapping.name].rows
            _Export(source, directory, manifest, mapping, on_rows).run()
            summary.read[mapping.name] = manifest.tables[mapping.name].rows - before
        manifest.complete, manifest.finished_at = True, now()
        write_manifest(directory, manifest)
        return summary


@contextmanager
def _write_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = ": make room, then continue with --resume" if is_full(error) else ""
        failure = TargetError(f"{error.filename or directory}: {error.strerror}{advice}")
    else:
        return
    raise failure


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Create the directory if it is absent, and lock it against other exports."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another export is writing to {directory}") from None


def _manifest_to_continue(directory: Path, resume: bool) -> Manifest | None:
    """Return the manifest of the export to continue, None if the directory is free; make the directory private."""
    manifest = read_manifest(directory)
    if manifest is None and not set(os.listdir(directory)) <= MANIFEST_PARTS:
        raise UsageError(f"{directory} contains other files: name an empty directory, or one that does not exist")
    if manifest is not None and not resume:
        started = f"of {manifest.started_at:%Y-%m-%d %H:%M} UTC"
        if manifest.complete:
            raise UsageError(f"{directory} contains a finished export {started}: name another directory")
        raise UsageError(
            f"{directory} contains an unfinished export {started}: continue it with --resume, or name another directory"
        )
    directory.chmod(0o700)
    return manifest


def _new_manifest(source: DynamoDBSource) -> Manifest:
    manifest = Manifest(segments=source.segments, started_at=now(), chosen=_names(source))
    _add_entries(manifest, source)
    return manifest


def _add_entries(manifest: Manifest, source: DynamoDBSource) -> None:
    """Add the tables that the manifest lacks: an earlier release did not export the claims."""
    for mapping in source.mappings:
        if mapping.name not in manifest.tables:
            table = source.table_name(mapping) if source.exists(mapping) else None
            manifest.tables[mapping.name] = TableEntry(table=table, source=source.identity(mapping))


def _names(source: DynamoDBSource) -> list[str] | None:
    """Return the names of the tables to read, without claims; None for all."""
    return None if source.tables == ALL else [mapping.name for mapping in source.tables if mapping not in CLAIMS]


def _mappings_in(manifest: Manifest) -> list[TableMapping]:
    return [mapping for mapping in ALL if mapping.name in manifest.tables]


def _same_source(source: DynamoDBSource, manifest: Manifest, directory: Path) -> DynamoDBSource:
    """Return the source with the manifest's number of segments. Raise `UsageError` if it is another source."""
    if _names(source) not in (None, manifest.chosen):
        of = "all tables" if manifest.chosen is None else ", ".join(manifest.chosen)
        raise UsageError(f"{directory} contains an export of {of}: continue it with the same --tables, or without it")
    tables = ALL if manifest.chosen is None else chosen(manifest.chosen)
    source = replace(source, segments=manifest.segments, tables=tables)
    _add_entries(manifest, source)
    for mapping in _mappings_in(manifest):
        found, expected = source.identity(mapping), manifest.tables[mapping.name].source
        if found != expected:
            raise UsageError(f"{directory} contains an export of {expected}, which cannot be continued with {found}")
    return source


@dataclass
class _Export:
    """The export of one table."""

    source: DynamoDBSource
    directory: Path
    manifest: Manifest
    mapping: TableMapping
    on_rows: Callable[[str, int], None]

    def __post_init__(self) -> None:
        self.entry = self.manifest.tables[self.mapping.name]
        self.path = self.directory / f"{self.mapping.name}.json"
        self.part = self.directory / f"{self.mapping.name}.json.part"

    def run(self) -> None:
        """Read the rest of the table, and give the file its final name."""
        self.on_rows(self.mapping.name, self.entry.rows)
        if not self.entry.complete:
            with self._opened() as file:
                self._read(file)
        if self.part.exists():
            self.part.replace(self.path)
            flush_directory(self.directory)
        if not self.path.exists() or self.path.stat().st_size != self.entry.bytes:
            raise UsageError(f"{self.path} is not the file that was exported: start again in another directory")

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file at the size that the manifest states, and compute the digest up to there."""
        descriptor = private_descriptor(self.part, os.O_RDWR)
        with os.fdopen(descriptor, "r+b") as file:
            if file.seek(0, os.SEEK_END) < self.entry.bytes:
                raise UsageError(f"{self.part} was truncated: start again in another directory")
            file.truncate(self.entry.bytes)
            file.seek(0)
            self.digest = hashlib.file_digest(file, "sha256")
            yield file

    def _read(self, file: BinaryIO) -> None:
        entry = self.entry
        if entry.bytes == 0:
            self._write(file, b"[\n")
        next_checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
        for batch in self.source.batches(self.mapping, entry.checkpoints.get, entry.done.__contains__):
            self._add(file, batch)
            self.on_rows(self.mapping.name, entry.rows)
            if time.monotonic() >= next_checkpoint:
                self._checkpoint(file)
                next_checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
        self._write(file, b"\n]\n" if entry.rows else b"]\n")
        entry.checkpoints, entry.done, entry.sha256 = {}, set(), self.digest.hexdigest()
        self._checkpoint(file)

    def _add(self, file: BinaryIO, batch: Batch) -> None:
        if batch.documents:
            separator = b",\n" if self.entry.rows else b""
            self._write(file, separator + b",\n".join(batch.documents))
            self.entry.rows += len(batch.documents)
        if batch.last:
            self.entry.done.add(batch.stream)
            self.entry.checkpoints.pop(batch.stream, None)
        else:
            self.entry.checkpoints[batch.stream] = batch.checkpoint

    def _write(self, file: BinaryIO, text: bytes) -> None:
        file.write(text)
        self.digest.update(text)
        self.entry.bytes += len(text)

    def _checkpoint(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_manifest(self.directory, self.manifest)
