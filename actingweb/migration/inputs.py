"""The directory that an import reads: an export, or files made by hand."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.files import FileSource
from actingweb.migration.manifest import MANIFEST, Manifest, read_manifest
from actingweb.migration.tables import FORMS

__all__ = ["Input"]

_OPTIONAL = frozenset({"subscription_suspensions"})
"""Tables that older deployments do not have."""


@dataclass(frozen=True)
class Input:
    """A directory with the file of every table.

    Attributes:
        missing: optional tables that have no file.
    """

    directory: Path
    manifest: Manifest | None
    missing: tuple[str, ...]

    @classmethod
    def at(cls, directory: Path) -> "Input":
        """Return what is in a directory. Raise `UsageError` if a file is missing or the export is unfinished."""
        if not directory.is_dir():
            raise UsageError(f"{directory} is no directory")
        manifest = read_manifest(directory)
        if manifest is not None and not manifest.complete:
            raise UsageError(f"the export in {directory} is unfinished: finish it with `export --resume`")
        missing = [form.name for form in FORMS if not _path(directory, form.name).is_file()]
        for table in missing:
            if table not in _OPTIONAL or (manifest is not None and table in manifest.tables):
                raise UsageError(f"{_path(directory, table)} is missing")
        return cls(directory, manifest, tuple(missing))

    def file(self, table: str) -> FileSource | None:
        """Return the documents of a table, None if it has no file."""
        return None if table in self.missing else FileSource(_path(self.directory, table))

    def identities(self) -> dict[str, str]:
        """Return what tells each table's content from any other, having read all files.

        Raise `SourceError` if a file is not what the manifest says.
        """
        return {form.name: self._identity(form.name) for form in FORMS}

    def _identity(self, table: str) -> str:
        if table in self.missing:
            return "no file"
        path = _path(self.directory, table)
        digest = _digest(path)
        entry = None if self.manifest is None else self.manifest.tables.get(table)
        if entry is not None and entry.sha256 != digest:
            raise SourceError(
                f"{path} is not what was exported: its digest differs from that in {MANIFEST}. Copy it again, or, if "
                f"it was changed on purpose, remove {MANIFEST}"
            )
        return digest


def _path(directory: Path, table: str) -> Path:
    return directory / f"{table}.json"


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
