"""The manifest of an export: its tables and, while it is unfinished, its checkpoints."""

import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actingweb.db.version import __version__
from actingweb.migration.errors import UsageError
from actingweb.migration.private_files import flush_directory, open_private

__all__ = [
    "MANIFEST",
    "MANIFEST_PARTS",
    "Manifest",
    "TableEntry",
    "now",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "manifest.json"
_TEMPORARY = f"{MANIFEST}.tmp"
MANIFEST_PARTS = frozenset({MANIFEST, _TEMPORARY})
"""The file names that a manifest may have in its directory."""

_FORMAT = 1


class TableEntry(BaseModel):
    """The file of one table.

    Attributes:
        table: the DynamoDB table; None if it does not exist, so that its file is empty.
        source: identifies the table and the number of segments.
        rows, bytes: the size of the file; while it is unfinished, of the part that is known to be on disk.
        sha256: the digest of the file; None while it is unfinished.
        checkpoints: by segment, where to continue an unfinished file; `marks` in the file.
        done: the segments that have been read to their end, while the file is unfinished.
    """

    model_config = ConfigDict(populate_by_name=True)

    table: str | None
    source: str
    rows: int = 0
    bytes: int = 0
    sha256: str | None = None
    checkpoints: dict[int, str] = Field(default_factory=dict, alias="marks")
    done: set[int] = Field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether the file is complete."""
        return self.sha256 is not None


class Manifest(BaseModel):
    """What an export consists of.

    Attributes:
        tool: the name and version of the tool that wrote it.
        segments: the number of segments of each scan.
        chosen: the tables that were to be exported; None for all.
        complete: whether all of them are exported.
        tables: the entries, by the name of the file without its suffix.
    """

    format: int = _FORMAT
    tool: str = Field(default_factory=lambda: f"actingweb-db {__version__}")
    segments: int
    started_at: datetime
    finished_at: datetime | None = None
    chosen: list[str] | None = None
    complete: bool = False
    tables: dict[str, TableEntry] = Field(default_factory=dict)


def read_manifest(directory: Path) -> Manifest | None:
    """Return the manifest of a directory; None if it has none. Raise `UsageError` if it cannot be read."""
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
    """Replace the manifest of a directory. It is on disk when this returns."""
    temporary = directory / _TEMPORARY
    with open_private(temporary) as file:
        file.write(manifest.model_dump_json(by_alias=True, indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / MANIFEST)
    flush_directory(directory)


def now() -> datetime:
    """Return the current time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
