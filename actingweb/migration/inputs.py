"""The directory that an import reads: an export, or files made by hand."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.files import FileSource
from actingweb.migration.manifest import MANIFEST, Manifest, read_manifest
from actingweb.migration.opening import opened
from actingweb.migration.tables import CLAIMS, FORMS

__all__ = ["Documents", "Input", "TableInput"]

_OPTIONAL = frozenset({"subscription_suspensions", *(form.name for form in CLAIMS)})
"""Tables that older deployments, or exports, do not have."""

_CHUNK = 1024 * 1024
_KINDS = (".json", ".ndjson", ".jsonl")
_ENDINGS = (*_KINDS, *(f"{kind}.gz" for kind in _KINDS))


class TableInput(Protocol):
    """The documents of a table, as one stream that can be read again."""

    def batches(self, mark: Any = None, /) -> Iterable[Batch]:
        """Yield those behind `mark`. Raise `SourceError` if they cannot be read."""


class Documents(Protocol):
    """The documents of all tables."""

    @property
    def directory(self) -> Path:
        """Where they are."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The tables, other than claims, that have none here, which may be right."""

    @property
    def claims(self) -> tuple[TableForm, ...]:
        """The tables of claims that are here; none in exports of earlier releases."""

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """The tables to load, parents before children, claims last."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of them."""

    def file(self, table: str, /) -> TableInput | None:
        """Return the documents of a table, None if it has none."""

    def rows(self) -> dict[str, int]:
        """Return how many rows tables have, as far as that is known."""

    def identities(self) -> dict[str, str]:
        """Return what tells each table's content from any other, having read all of it.

        Raise `SourceError` if something is damaged.
        """


@dataclass(frozen=True)
class Input:
    """A directory with the file of every table: `Documents`.

    Attributes:
        paths: the files, by table.
        missing: optional tables that have no file.
        claims: the tables of claims that have a file; none in exports of earlier releases.
    """

    directory: Path
    manifest: Manifest | None
    paths: dict[str, Path]
    missing: tuple[str, ...]
    claims: tuple[TableForm, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def at(cls, directory: Path) -> "Input":
        """Return what is in a directory. Raise `UsageError` if a file is missing or the export is unfinished."""
        names = _names_in(directory)
        manifest = read_manifest(directory)
        if manifest is not None and not manifest.complete:
            raise UsageError(f"the export in {directory} is unfinished: finish it with `export --resume`")
        paths: dict[str, Path] = {}
        missing: list[str] = []
        for form in (*FORMS, *CLAIMS):
            found = [name for name in names if name in _file_names(form.name)]
            if len(found) > 1:
                raise UsageError(f"{directory} has {' and '.join(found)} for one table: leave one of them")
            if found:
                paths[form.name] = directory / found[0]
            elif not _may_be_missing(form, manifest, names):
                raise UsageError(f"{directory / form.name}.json is missing{_hint(names)}")
            elif form not in CLAIMS:
                missing.append(form.name)
        claims = tuple(form for form in CLAIMS if form.name in paths)
        return cls(directory, manifest, paths, tuple(missing), claims)

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """The tables, claims last."""
        return (*FORMS, *self.claims)

    def file(self, table: str) -> FileSource | None:
        """Return the documents of a table, None if it has no file."""
        path = self.paths.get(table)
        return None if path is None else FileSource(path)

    def rows(self) -> dict[str, int]:
        """Return how many rows tables have, as far as that is known."""
        return {table: entry.rows for table, entry in self.manifest.tables.items()} if self.manifest else {}

    def identities(self) -> dict[str, str]:
        """Return what tells each table's content from any other, having read all files.

        Raise `SourceError` if a file is not what the manifest says, or without one is not whole.
        """
        return {form.name: self._identity(form.name) for form in self.forms}

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


def _names_in(directory: Path) -> list[str]:
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory")
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}") from None


def _file_names(table: str) -> list[str]:
    return [f"{table}{ending}" for ending in _ENDINGS]


def _may_be_missing(form: TableForm, manifest: Manifest | None, names: list[str]) -> bool:
    """Tell whether a table without a file has none; one under another name, as of the DynamoDB table, is no such."""
    if form.name not in _OPTIONAL or (manifest is not None and form.name in manifest.tables):
        return False
    known = tuple(name.rstrip("s") for name in (form.name, form.layout.suffix))
    return not any(_stem(name).rstrip("s").endswith(known) for name in names)


def _stem(name: str) -> str:
    return next((name.lower().removesuffix(ending) for ending in _ENDINGS if name.lower().endswith(ending)), "")


def _hint(names: list[str]) -> str:
    if {"AWSDynamoDB", "manifest-summary.json"} & set(names):
        return ": if this is an export that DynamoDB made to S3, use --format dynamodb-export"
    known = [name for form in (*FORMS, *CLAIMS) for name in _file_names(form.name)]
    others = [name for name in names if _stem(name) and name not in known and name != MANIFEST]
    return f"; it has {', '.join(others[:10])}, whose name is no table's" if others else ""


def _digest(path: Path) -> str:
    """Return the digest of a file's content, unpacked."""
    digest = hashlib.sha256()
    with opened(path) as (file, _):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
