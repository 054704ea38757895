"""Export of DynamoDB tables to files, one JSON array for each, which any interruption leaves ready to be continued.

A file grows under the name `<table>.json.part`. The manifest holds its size and the marks of the segments at that
size; it is written after the file is safe on disk, so what lies behind that size is cut off when the export goes on.
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
from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import TargetError, UsageError
from actingweb.migration.files import private_descriptor
from actingweb.migration.manifest import (
    MANIFEST_PARTS,
    Manifest,
    TableEntry,
    flush_directory,
    now,
    read_manifest,
    write_manifest,
)
from actingweb.migration.source import DynamoDBSource
from actingweb.migration.tables import CLAIMS, FORMS

__all__ = ["ExportSummary", "export_tables"]

_CHECKPOINT_SECONDS = 1.0


@dataclass(frozen=True)
class ExportSummary:
    """What an export consists of.

    Attributes:
        read: how many rows of each table this run read; the manifest counts those of all runs.
    """

    manifest: Manifest
    read: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The tables that the deployment does not have; their files are empty."""
        return [name for name, entry in self.manifest.tables.items() if entry.table is None]


def export_tables(
    source: DynamoDBSource,
    directory: Path,
    *,
    resume: bool = False,
    on_rows: Callable[[str, int], None] = lambda _name, _rows: None,
) -> ExportSummary:
    """Write all tables to a directory, which is made unless it is there and empty.

    `resume` goes on with the unfinished export that the directory holds, if it holds one, and leaves a finished one as
    it is. `on_rows` is called with a table and how many of its rows are exported so far, by all runs.

    Raise `UsageError` for a directory that holds anything else or is in use, `SourceError` if a table cannot be read,
    `TargetError` if a file cannot be written.
    """
    with _write_faults(directory), _held(directory):
        manifest = _manifest_to_continue(directory, resume)
        if manifest is not None and manifest.complete:
            return ExportSummary(manifest)
        if manifest is None:
            manifest = _new_manifest(source)
        else:
            source = _same_source(source, manifest, directory)
        write_manifest(directory, manifest)
        summary = ExportSummary(manifest)
        for form in _forms(manifest):
            before = manifest.tables[form.name].rows
            _Export(source, directory, manifest, form, on_rows).run()
            summary.read[form.name] = manifest.tables[form.name].rows - before
        manifest.complete, manifest.finished_at = True, now()
        write_manifest(directory, manifest)
        return summary


@contextmanager
def _write_faults(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        failure = TargetError(f"{error.filename or directory}: {error.strerror}")
    else:
        return
    raise failure


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Keep other exports out of the directory, which is made if it is absent."""
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
    """Return the manifest of an export that may go on, None for a directory that is free; it is private from then."""
    manifest = read_manifest(directory)
    if manifest is None and not set(os.listdir(directory)) <= MANIFEST_PARTS:
        raise UsageError(f"{directory} holds other files: name an empty directory, or one that is not there yet")
    if manifest is not None and not resume:
        state = "a finished" if manifest.complete else "an unfinished"
        remedy = "name another directory" if manifest.complete else "go on with --resume, or name another directory"
        raise UsageError(f"{directory} holds {state} export of {manifest.started_at:%Y-%m-%d %H:%M} UTC: {remedy}")
    directory.chmod(0o700)
    return manifest


def _new_manifest(source: DynamoDBSource) -> Manifest:
    manifest = Manifest(segments=source.segments, started_at=now())
    _add_entries(manifest, source)
    return manifest


def _add_entries(manifest: Manifest, source: DynamoDBSource) -> None:
    """Add the tables that are not in the manifest: an export that an earlier release began has no claims."""
    for form in source.forms:
        if form.name not in manifest.tables:
            table = source.table_name(form) if source.exists(form) else None
            manifest.tables[form.name] = TableEntry(table=table, source=source.identity(form))


def _forms(manifest: Manifest) -> list[TableForm]:
    return [form for form in (*FORMS, *CLAIMS) if form.name in manifest.tables]


def _same_source(source: DynamoDBSource, manifest: Manifest, directory: Path) -> DynamoDBSource:
    """Return the source, read in the segments of the manifest. Raise `UsageError` if it is another."""
    source = replace(source, segments=manifest.segments)
    _add_entries(manifest, source)
    for form in _forms(manifest):
        found, expected = source.identity(form), manifest.tables[form.name].source
        if found != expected:
            raise UsageError(f"{directory} holds an export of {expected}, which cannot go on with {found}")
    return source


@dataclass
class _Export:
    """The export of one table."""

    source: DynamoDBSource
    directory: Path
    manifest: Manifest
    form: TableForm
    on_rows: Callable[[str, int], None]

    def __post_init__(self) -> None:
        self.entry = self.manifest.tables[self.form.name]
        self.path = self.directory / f"{self.form.name}.json"
        self.part = self.directory / f"{self.form.name}.json.part"

    def run(self) -> None:
        """Read what is left of the table and put the file in its place."""
        if not self.entry.complete:
            with self._opened() as file:
                self._read(file)
        if self.part.exists():
            self.part.replace(self.path)
            flush_directory(self.directory)
        if not self.path.exists() or self.path.stat().st_size != self.entry.bytes:
            raise UsageError(f"{self.path} is not the file that was exported: start anew in another directory")

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file behind what is safe, the digest being that of the content before."""
        descriptor = private_descriptor(self.part, os.O_RDWR)
        with os.fdopen(descriptor, "r+b") as file:
            if file.seek(0, os.SEEK_END) < self.entry.bytes:
                raise UsageError(f"{self.part} was cut off: start anew in another directory")
            file.truncate(self.entry.bytes)
            file.seek(0)
            self.digest = hashlib.file_digest(file, "sha256")
            yield file

    def _read(self, file: BinaryIO) -> None:
        entry = self.entry
        if entry.bytes == 0:
            self._write(file, b"[\n")
        due = time.monotonic() + _CHECKPOINT_SECONDS
        for batch in self.source.batches(self.form, entry.marks.get, entry.done.__contains__):
            self._add(file, batch)
            self.on_rows(self.form.name, entry.rows)
            if time.monotonic() >= due:
                self._checkpoint(file)
                due = time.monotonic() + _CHECKPOINT_SECONDS
        self._write(file, b"\n]\n" if entry.rows else b"]\n")
        entry.marks, entry.done, entry.sha256 = {}, set(), self.digest.hexdigest()
        self._checkpoint(file)

    def _add(self, file: BinaryIO, batch: Batch) -> None:
        if batch.documents:
            separator = b",\n" if self.entry.rows else b""
            self._write(file, separator + b",\n".join(batch.documents))
            self.entry.rows += len(batch.documents)
        if batch.last:
            self.entry.done.add(batch.stream)
            self.entry.marks.pop(batch.stream, None)
        else:
            self.entry.marks[batch.stream] = batch.mark

    def _write(self, file: BinaryIO, text: bytes) -> None:
        file.write(text)
        self.digest.update(text)
        self.entry.bytes += len(text)

    def _checkpoint(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        write_manifest(self.directory, self.manifest)
