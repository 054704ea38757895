"""A directory with copies of exports of DynamoDB tables to S3: `AWSDynamoDB/<export>/manifest-summary.json` etc."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from actingweb.db.dynamodb.tables import names_of
from actingweb.migration.batches import Batch, batched
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.mapping import ALL, CLAIMS, MAPPINGS, TableMapping, Tables
from actingweb.migration.source.dynamodb_json import plain_document
from actingweb.migration.source.s3_manifest import FILES, SUMMARY, DataFile, ExportSummary, data_files, read_summary

__all__ = ["S3ExportDirectory"]

_SUFFIXES = {mapping.name: mapping.layout.suffix for mapping in ALL}
_REQUIRED = MAPPINGS[0].name
_TRACES = {FILES, "_started"}
"""What the directory of an export contains before its summary is written."""

Found = dict[Path, ExportSummary]
"""The exports that were found: their summaries, by directory."""


@dataclass(frozen=True)
class _ExportedTable:
    """The documents of a table, which its export may spread over many files."""

    summary: ExportSummary
    files: tuple[DataFile, ...]

    @classmethod
    def at(cls, export: Path, summary: ExportSummary) -> "_ExportedTable":
        """Return an export. Raise `UsageError` if it is of an unsupported kind, `SourceError` if it is incomplete."""
        return cls(summary, data_files(export, summary))

    @property
    def identity(self) -> str:
        """A text that identifies the content, provided that the files match the manifest."""
        digest = hashlib.sha256("\n".join(f"{file.path.name} {file.md5}" for file in self.files).encode())
        return f"{self.summary.table_arn} {self.summary.export_arn} {digest.hexdigest()}"

    def check(self) -> None:
        """Read all files. Raise `SourceError` if one does not match the manifest."""
        for file in self.files:
            file.check()

    def batches(self, checkpoint: tuple[int, int] | None = None) -> Iterator[Batch]:
        """Yield the documents behind `checkpoint`, the index of a file and an offset in it, as one stream."""
        first, offset = checkpoint or (0, 0)
        return batched(self._documents(first, offset), 0, (first, offset))

    def _documents(self, first: int, offset: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
        for index, file in enumerate(self.files[first:], first):
            for line, behind in file.lines(offset):
                yield plain_document(line), (index, behind)
            offset = 0


@dataclass(frozen=True)
class S3ExportDirectory:
    """The exports of a deployment's tables; implements `ExportedTables`.

    Attributes:
        tables: the exports, by table.
        missing: the tables, other than claims, that have no export.
        notes: what the user should know about the exports.
        chosen: the tables to read.
    """

    directory: Path
    tables: dict[str, _ExportedTable]
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    chosen: Tables = ALL

    @classmethod
    def at(cls, directory: Path, prefix: str, chosen: Tables = ALL) -> "S3ExportDirectory":
        """Return the exports, in a directory or below it, of the tables whose names begin with a prefix.

        Raise `UsageError` if there is no export of the actors, or there are two of one table, or one is of an
        unsupported kind; `SourceError` if one is incomplete.
        """
        found = {export: read_summary(export) for export in _export_directories(directory)}
        exports = _exports(directory, prefix, found)
        names = [mapping.name for mapping in chosen]
        tables = {name: _ExportedTable.at(exports[name], found[exports[name]]) for name in names if name in exports}
        missing = tuple(mapping.name for mapping in chosen if mapping not in CLAIMS and mapping.name not in tables)
        return cls(directory, tables, missing, tuple(_notes(found, exports)), chosen)

    @property
    def claims(self) -> tuple[TableMapping, ...]:
        """The tables of claims that have an export."""
        return tuple(mapping for mapping in CLAIMS if mapping.name in self.tables)

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """The tables to load, claims last."""
        return tuple(mapping for mapping in self.chosen if mapping not in CLAIMS or mapping in self.claims)

    def file(self, table: str) -> _ExportedTable | None:
        """Return the documents of a table; None if it has no export."""
        return self.tables.get(table)

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        return {name: table.summary.item_count for name, table in self.tables.items()}

    def identities(self) -> dict[str, str]:
        """Read all files, and return a text for each table that identifies its content.

        Raise `SourceError` if a file does not match its manifest.
        """
        for table in self.tables.values():
            table.check()
        identities = {mapping.name: "no export" for mapping in self.mappings}
        return identities | {name: table.identity for name, table in self.tables.items()}


def _exports(directory: Path, prefix: str, found: Found) -> dict[str, Path]:
    """Return the directory of the export of each table that has one. Raise `UsageError`, see `S3ExportDirectory.at`."""
    chosen = {}
    for table, suffix in _SUFFIXES.items():
        if (export := _export_of(names_of(prefix, suffix), found)) is not None:
            chosen[table] = export
    if _REQUIRED not in chosen:
        raise UsageError(
            f"{directory} has no export of {' or '.join(names_of(prefix, _SUFFIXES[_REQUIRED]))}, but of "
            f"{', '.join(summary.table for summary in found.values())}: check --table-prefix (AWS_DB_PREFIX)"
        )
    if len({found[export].region_and_account for export in chosen.values()}) > 1:
        raise UsageError(f"{directory} has tables of several regions or accounts: leave those of one deployment")
    return chosen


def _export_directories(directory: Path) -> list[Path]:
    """Return the directories of the exports in a directory."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    exports: list[Path] = []
    for parent, directories, names in os.walk(directory, onerror=_unreadable):
        directories.sort()
        if SUMMARY in names:
            exports.append(Path(parent))
        elif _TRACES & set(names):
            raise UsageError(f"{parent} has no {SUMMARY}: this export failed, is not finished, or was not copied whole")
    if not exports:
        raise UsageError(f"there is no {SUMMARY} in {directory} or below: it contains no export of DynamoDB to S3")
    return exports


def _unreadable(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: {error.strerror}")


def _export_of(names: list[str], found: Found) -> Path | None:
    """Return the export of the table that has one of these names, None if there is none."""
    exports = [export for export, summary in found.items() if summary.table in names]
    if len(exports) > 1:
        described = " and ".join(f"{export} ({found[export].table})" for export in exports)
        raise UsageError(f"{described} are exports of one table: leave one of them")
    return next(iter(exports), None)


def _notes(found: Found, chosen: dict[str, Path]) -> Iterator[str]:
    for export, summary in found.items():
        if export not in chosen.values():
            yield f"{export} is an export of {summary.table}, which is not a table of this deployment: it was not read"
    times = sorted({found[export].export_time for export in chosen.values()})
    if len(times) > 1:
        yield f"the tables were exported as of different times, from {times[0]} to {times[-1]}"
