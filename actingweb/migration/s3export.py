"""Exports of DynamoDB tables to S3, in a directory: `AWSDynamoDB/<export>/manifest-summary.json` and the rest."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from actingweb.db.dynamodb.tables import names_of
from actingweb.migration.batches import Batch, gathered
from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.notation import plain
from actingweb.migration.s3manifest import FILES, SUMMARY, DataFile, Summary, data_files, read_summary
from actingweb.migration.tables import CLAIMS, FORMS

__all__ = ["S3Exports"]

_SUFFIXES = {form.name: form.layout.suffix for form in (*FORMS, *CLAIMS)}
_REQUIRED = FORMS[0].name
_TRACES = {FILES, "_started"}
"""What an export has before its summary is written."""

Found = dict[Path, Summary]
"""Exports: their directories and summaries."""


@dataclass(frozen=True)
class _Table:
    """The documents of a table, whose export may be spread over many files."""

    summary: Summary
    files: tuple[DataFile, ...]

    @classmethod
    def at(cls, place: Path, summary: Summary) -> "_Table":
        """Return an export. Raise `UsageError` for a kind that is not read, `SourceError` for one that is not whole."""
        return cls(summary, data_files(place, summary))

    @property
    def identity(self) -> str:
        """Tells this content from any other, the files being what the manifest says."""
        digest = hashlib.sha256("\n".join(f"{file.path.name} {file.md5}" for file in self.files).encode())
        return f"{self.summary.table_arn} {self.summary.export_arn} {digest.hexdigest()}"

    def check(self) -> None:
        """Read it to its end. Raise `SourceError` if a file is not what the manifest says."""
        for file in self.files:
            file.check()

    def batches(self, mark: tuple[int, int] | None = None) -> Iterator[Batch]:
        """Yield the documents behind `mark`, the index of a file and an offset in it, as one stream."""
        first, offset = mark or (0, 0)
        return gathered(self._documents(first, offset), 0, (first, offset))

    def _documents(self, first: int, offset: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
        for index, file in enumerate(self.files[first:], first):
            for line, behind in file.lines(offset):
                yield plain(line), (index, behind)
            offset = 0


@dataclass(frozen=True)
class S3Exports:
    """The exports of a deployment's tables: `Documents`.

    Attributes:
        tables: by name.
        missing: tables, other than claims, that are not there.
        notes: what a person should know.
    """

    directory: Path
    tables: dict[str, _Table]
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @classmethod
    def at(cls, directory: Path, prefix: str) -> "S3Exports":
        """Return the exports in a directory, or anywhere below it, of tables whose names begin with a prefix.

        Raise `UsageError` if there is none of the actors, two of one table, or one of a kind that is not read;
        `SourceError` if one is not whole.
        """
        found = {place: read_summary(place) for place in _places(directory)}
        chosen = {table: place for table, suffix in _SUFFIXES.items() for place in _of(names_of(prefix, suffix), found)}
        if _REQUIRED not in chosen:
            raise UsageError(
                f"{directory} has no export of {' or '.join(names_of(prefix, _SUFFIXES[_REQUIRED]))}, but of "
                f"{', '.join(summary.table for summary in found.values())}: check --table-prefix (AWS_DB_PREFIX)"
            )
        if len({found[place].place for place in chosen.values()}) > 1:
            raise UsageError(f"{directory} has tables of several regions or accounts: leave those of one deployment")
        tables = {table: _Table.at(place, found[place]) for table, place in chosen.items()}
        missing = tuple(form.name for form in FORMS if form.name not in tables)
        return cls(directory, tables, missing, tuple(_notes(found, chosen)))

    @property
    def claims(self) -> tuple[TableForm, ...]:
        """The tables of claims that are here."""
        return tuple(form for form in CLAIMS if form.name in self.tables)

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """The tables, claims last."""
        return (*FORMS, *self.claims)

    def file(self, table: str) -> _Table | None:
        """Return the documents of a table, None if there is no export of it."""
        return self.tables.get(table)

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        return {name: table.summary.item_count for name, table in self.tables.items()}

    def identities(self) -> dict[str, str]:
        """Return what tells each table's content from any other, having read all files.

        Raise `SourceError` if a file is not what its manifest says.
        """
        for table in self.tables.values():
            table.check()
        identities = {form.name: "no export" for form in FORMS}
        return identities | {name: table.identity for name, table in self.tables.items()}


def _places(directory: Path) -> list[Path]:
    """Return the directories of exports."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory")
    places: list[Path] = []
    for parent, directories, names in os.walk(directory, onerror=_unreadable):
        directories.sort()
        if SUMMARY in names:
            places.append(Path(parent))
        elif _TRACES & set(names):
            raise UsageError(f"{parent} has no {SUMMARY}: this export failed, is not finished, or was not copied whole")
    if not places:
        raise UsageError(f"there is no {SUMMARY} in {directory} or below: it holds no export of DynamoDB to S3")
    return places


def _unreadable(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: {error.strerror}")


def _of(names: list[str], found: Found) -> list[Path]:
    """Return the export of the table with one of these names, if there is one. Raise `UsageError` for two."""
    places = [place for place, summary in found.items() if summary.table in names]
    if len(places) > 1:
        described = " and ".join(f"{place} ({found[place].table})" for place in places)
        raise UsageError(f"{described} are exports of one table: leave one of them")
    return places


def _notes(found: Found, chosen: dict[str, Path]) -> Iterator[str]:
    for place, summary in found.items():
        if place not in chosen.values():
            yield f"{place} is an export of {summary.table}, none of the tables, and was not read"
    times = sorted({found[place].export_time for place in chosen.values()})
    if len(times) > 1:
        yield f"the tables are as they were at different times, from {times[0]} to {times[-1]}"
