"""Rows that could not be loaded, kept with the reason in files that their owner alone may read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actingweb.migration.canonical import TableForm

__all__ = ["Reject", "RejectFile", "reject_of"]


@dataclass(frozen=True)
class Reject:
    """A row that was not loaded.

    Attributes:
        key: the columns of its primary key, as far as it has them.
        document: the original content: the document, or its text if it is no JSON object.
    """

    reason: str
    key: dict[str, Any]
    document: Any

    def line(self, table: str) -> bytes:
        """Return the line of the reject file."""
        fields = {"table": table, "reason": self.reason, "key": self.key, "document": self.document}
        return json.dumps(fields).encode() + b"\n"


def reject_of(form: TableForm, document: bytes, reason: str) -> Reject:
    """Return the reject of a document."""
    try:
        content = json.loads(document)
    except ValueError:
        content = document.decode(errors="replace")
    known = content if isinstance(content, dict) else {}
    return Reject(reason, {name: known[name] for name in form.record.key if name in known}, content)


class RejectFile:
    """The reject file of one table, which appears with its first reject."""

    def __init__(self, directory: Path, table: str) -> None:
        self.path = directory / f"{table}.ndjson"
        self._table = table

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Forget what was written behind `size` bytes, by a batch that was not completed."""
        if size == 0:
            self.path.unlink(missing_ok=True)
        elif self.size > size:
            os.truncate(self.path, size)

    def add(self, rejects: list[Reject]) -> int:
        """Append rejects, safe on disk when this returns the bytes of the file."""
        if rejects:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.writelines(reject.line(self._table) for reject in rejects)
                file.flush()
                os.fsync(file.fileno())
        return self.size
