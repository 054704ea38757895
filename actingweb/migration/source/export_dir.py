"""The directory that an import reads: an export, or files made by hand."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from actingweb.migration.batches import Batch
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.mapping import ALL, CLAIMS, MAPPINGS, TableMapping, Tables
from actingweb.migration.source.files import FileSource
from actingweb.migration.source.input_file import open_input
from actingweb.migration.source.manifest import MANIFEST, Manifest, read_manifest

__all__ = ["ExportDirectory", "ExportedTable", "ExportedTables"]

_OPTIONAL = frozenset({"subscription_suspensions", *(mapping.name for mapping in CLAIMS)})
"""Tables that older deployments or older exports do not have."""

_CHUNK = 1024 * 1024
_KINDS = (".json", ".ndjson", ".jsonl")
_SUFFIXES = (*_KINDS, *(f"{kind}.gz" for kind in _KINDS))


class ExportedTable(Protocol):
    """The documents of a table, as one stream that can be read repeatedly."""

    def batches(self, checkpoint: Any = None, /) -> Iterable[Batch]:
        """Yield the documents behind `checkpoint`. Raise `SourceError` if they cannot be read."""


class ExportedTables(Protocol):
    """The documents of all tables of a deployment."""

    @property
    def directory(self) -> Path:
        """The directory that contains them."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The tables, other than claims, that are not here; the deployment may not have had them."""

    @property
    def claims(self) -> tuple[TableMapping, ...]:
        """The tables of claims that are here; exports of earlier releases have none."""

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """The tables to load, parents before children, claims last."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the exports."""

    def file(self, table: str, /) -> ExportedTable | None:
        """Return the documents of a table; None if the table is not here."""

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each table for which it is known."""

    def identities(self) -> dict[str, str]:
        """Read everything, and return a text for each table that identifies its content.

        Raise `SourceError` if something is damaged.
        """


@dataclass(frozen=True)
class ExportDirectory:
    """A directory with one file per table; implements `ExportedTables`.

    Attributes:
        manifest: the manifest of the export; None for files made by hand.
        paths: the files, by table.
        missing: the optional tables, other than claims, that have no file.
        chosen: the tables to read.
    """

    directory: Path
    manifest: Manifest | None
    paths: dict[str, Path]
    missing: tuple[str, ...]
    notes: tuple[str, ...] = ()
    chosen: Tables = ALL

    @classmethod
    def at(cls, directory: Path, chosen: Tables = ALL) -> "ExportDirectory":
        """Return the files of a directory. Raise `UsageError` if one is missing or the export is unfinished."""
        names = _names_in(directory)
        manifest = read_manifest(directory)
        if manifest is not None and not manifest.complete:
            raise UsageError(f"the export in {directory} is unfinished: finish it with `export --resume`")
        if manifest is not None and manifest.chosen is not None:
            _require_exported(directory, manifest.chosen, chosen)
        paths = _paths(directory, names, manifest, chosen)
        missing = tuple(mapping.name for mapping in chosen if mapping not in CLAIMS and mapping.name not in paths)
        return cls(directory, manifest, paths, missing, chosen=chosen)

    @property
    def claims(self) -> tuple[TableMapping, ...]:
        """The tables of claims that have a file."""
        return tuple(mapping for mapping in CLAIMS if mapping.name in self.paths)

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """The tables to load, claims last."""
        return tuple(mapping for mapping in self.chosen if mapping not in CLAIMS or mapping in self.claims)

    def file(self, table: str) -> FileSource | None:
        """Return the documents of a table; None if it has no file."""
        path = self.paths.get(table)
        return None if path is None else FileSource(path)

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each table for which it is known."""
        entries = self.manifest.tables if self.manifest else {}
        return {table: entry.rows for table, entry in entries.items() if table in self.paths}

    def identities(self) -> dict[str, str]:
        """Read all files, and return a text for each table that identifies its content.

        Raise `SourceError` if a file does not match the manifest, or is incomplete.
        """
        return {mapping.name: self._identity(mapping.name) for mapping in self.mappings}

    def _identity(self, table: str) -> str:
        path = self.paths.get(table)
        if path is None:
            return "no file"
        digest = _digest(path)
        entry = None if self.manifest is None else self.manifest.tables.get(table)
        if entry is None:
            FileSource(path).check()
        elif entry.sha256 != digest:
            raise SourceError(
                f"{path} is not what was exported: its digest differs from that in {MANIFEST}. Copy it again, or, if "
                f"it was changed on purpose, remove {MANIFEST}"
            )
        return digest


def _require_exported(directory: Path, exported: list[str], chosen: Tables) -> None:
    """Raise `UsageError` unless the export of some tables has all that are to be read."""
    if any(mapping.name not in exported for mapping in chosen if mapping not in CLAIMS):
        raise UsageError(f"{directory} has an export of a part only: choose it by --tables {','.join(exported)}")


def _paths(directory: Path, names: list[str], manifest: Manifest | None, chosen: Tables) -> dict[str, Path]:
    """Return the files of the tables. Raise `UsageError` if one is missing."""
    paths = {}
    for mapping in chosen:
        if (name := _file_of(mapping, directory, names)) is not None:
            paths[mapping.name] = directory / name
        elif not _may_be_missing(mapping, manifest, names):
            raise UsageError(f"{directory / mapping.name}.json is missing{_hint(names)}")
    return paths


def _names_in(directory: Path) -> list[str]:
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}") from None


def _file_of(mapping: TableMapping, directory: Path, names: list[str]) -> str | None:
    """Return the name of a table's file, None if it has none. Raise `UsageError` if it has several."""
    found = [name for name in names if name in _file_names(mapping.name)]
    if len(found) > 1:
        raise UsageError(f"{directory} has {' and '.join(found)} for one table: leave one of them")
    return found[0] if found else None


def _file_names(table: str) -> list[str]:
    return [f"{table}{suffix}" for suffix in _SUFFIXES]


def _may_be_missing(mapping: TableMapping, manifest: Manifest | None, names: list[str]) -> bool:
    """Tell whether the deployment may lack the table. A file with a similar name shows that it has the table."""
    if mapping.name not in _OPTIONAL or (manifest is not None and mapping.name in manifest.tables):
        return False
    known = tuple(name.rstrip("s") for name in (mapping.name, mapping.layout.suffix))
    return not any(_stem(name).rstrip("s").endswith(known) for name in names)


def _stem(name: str) -> str:
    return next((name.lower().removesuffix(suffix) for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")


def _hint(names: list[str]) -> str:
    if {"AWSDynamoDB", "manifest-summary.json"} & set(names):
        return ": if DynamoDB exported these files to S3, use --format dynamodb-export"
    known = [name for mapping in (*MAPPINGS, *CLAIMS) for name in _file_names(mapping.name)]
    others = [name for name in names if _stem(name) and name not in known and name != MANIFEST]
    return f"; there are {', '.join(others[:10])}, whose names are not those of tables" if others else ""


def _digest(path: Path) -> str:
    """Return the digest of a file's uncompressed content."""
    digest = hashlib.sha256()
    with open_input(path) as (file, _):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
