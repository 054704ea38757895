"""The manifest: what an export consists of, and while it is unfinished, from where it goes on."""

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from actingweb.db import __version__
from actingweb.migration.errors import UsageError
from actingweb.migration.files import open_private

__all__ = [
    "MANIFEST",
    "MANIFEST_PARTS",
    "Manifest",
    "TableEntry",
    "flush_directory",
    "now",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "manifest.json"
_TEMPORARY = f"{MANIFEST}.tmp"
MANIFEST_PARTS = frozenset({MANIFEST, _TEMPORARY})
"""The names under which a manifest may lie in its directory."""

_FORMAT = 1


class TableEntry(BaseModel):
    """The file of one table.

    Attributes:
        table: the DynamoDB table; None if it does not exist, its file being empty.
        source: tells this table, read in these segments, from another.
        rows, bytes: of the file; while it is unfinished, of that part which is safe on disk.
        sha256: the digest of the file, once it is complete.
        marks: from where each segment goes on, as far as it was begun, while the file is unfinished.
        done: the segments that are read whole, while the file is unfinished.
    """

    table: str | None
    source: str
    rows: int = 0
    bytes: int = 0
    sha256: str | None = None
    marks: dict[int, str] = Field(default_factory=dict)
    done: set[int] = Field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether the file is."""
        return self.sha256 is not None


class Manifest(BaseModel):
    """An export.

    Attributes:
        tool: name and version of what made it.
        segments: in how many parallel parts each table is read.
        complete: whether all tables are there.
        tables: by the name of the file without its ending.
    """

    format: int = _FORMAT
    tool: str = Field(default_factory=lambda: f"actingweb-db {__version__}")
    segments: int
    started_at: datetime
    finished_at: datetime | None = None
    complete: bool = False
    tables: dict[str, TableEntry] = Field(default_factory=dict)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a directory, None if it has none. Raise `UsageError` if it cannot be read."""
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValidationError:
        raise UsageError(f"{path} is not the manifest of an export") from None
    if manifest.format != _FORMAT:
        raise UsageError(f"{path} has format {manifest.format}, made by {manifest.tool}: this release reads {_FORMAT}")
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, safe on disk when this returns."""
    temporary = directory / _TEMPORARY
    with open_private(temporary) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / MANIFEST)
    flush_directory(directory)


def flush_directory(directory: Path) -> None:
    """Make the names in a directory safe on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def now() -> datetime:
    """Return the time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
