"""Rows that could not be loaded, kept with the reason in files that their owner alone may read."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from actingweb.migration.canonical import TableForm
from actingweb.migration.documents import content_of
from actingweb.migration.errors import SourceError
from actingweb.migration.files import private_descriptor

__all__ = ["Reject", "RejectFile"]


class Reject(NamedTuple):
    """A document that was not loaded."""

    document: bytes
    reason: str


class RejectFile:
    """The reject file of one table, which appears with its first reject.

    Each line is a JSON object: `table`, `row` (the place of the document in its file, from 1; null if the source has no
    order), `reason`, `key` (the columns of the primary key, as far as the document has them) and `document` (the
    document, or its text if it is no JSON object).
    """

    def __init__(self, directory: Path, form: TableForm) -> None:
        self.path = directory / f"{form.name}.ndjson"
        self.form = form

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def rest(self) -> "RejectFile":
        """Return a new, empty file beside this one, which `replace_by` puts in its place."""
        rest = RejectFile(self.path.parent, self.form)
        rest.path = self.path.with_suffix(".ndjson.tmp")
        rest.cut(0)
        return rest

    def replace_by(self, rest: "RejectFile") -> None:
        """Put `rest` in the place of this file; without any reject, there is no file."""
        if rest.path.exists():
            rest.path.replace(self.path)
        else:
            self.path.unlink()

    def set_aside(self) -> None:
        """Rename what an earlier load left, which may hold corrections by hand."""
        if not self.path.exists():
            return
        names = (self.path.with_suffix(f".ndjson.{number}") for number in range(1, 1_000_000))
        self.path.rename(next(name for name in names if not name.exists()))

    def cut(self, size: int) -> None:
        """Forget what was written behind `size` bytes, by a batch that was not completed."""
        if size == 0:
            self.path.unlink(missing_ok=True)
        elif self.size > size:
            os.truncate(self.path, size)

    def add(self, rejects: Iterable[tuple[int | None, Reject]]) -> int:
        """Append rejects with their places; return the bytes of the file, all of which are safe on disk."""
        lines = [self._line(place, reject) for place, reject in rejects]
        if lines:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = private_descriptor(self.path, os.O_WRONLY | os.O_APPEND)
            with os.fdopen(descriptor, "ab") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        return self.size

    def places(self) -> Iterator[int]:
        """Yield the places of the rejects, ascending."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    yield json.loads(line)["row"]

    def documents(self) -> Iterator[tuple[bytes, int | None]]:
        """Yield each document, which the user may have corrected, with its place.

        Raise `SourceError` naming the line if one is not as this class writes it.
        """
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    fields = json.loads(line)
                    document, place = fields["document"], fields.get("row")
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise SourceError(f"{self.path}, line {number}: this is no reject with a document") from None
                text = document if isinstance(document, str) else json.dumps(document)
                yield text.encode(errors="replace"), place

    def _line(self, place: int | None, reject: Reject) -> bytes:
        content = content_of(reject.document)
        known = content if isinstance(content, dict) else {}
        fields = {
            "table": self.form.name,
            "row": place,
            "reason": reject.reason,
            "key": {name: known[name] for name in self.form.record.key if name in known},
        }
        if isinstance(content, dict):
            # As it was, digits of numbers included; line ends can be between its texts only.
            document = reject.document.replace(b"\n", b" ").replace(b"\r", b" ")
        else:
            document = json.dumps(reject.document.decode(errors="replace")).encode()
        return json.dumps(fields).encode()[:-1] + b', "document": ' + document + b"}\n"
