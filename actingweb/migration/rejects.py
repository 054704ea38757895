"""Reject files: the rows that could not be loaded, each with the reason. Only their owner may read them."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from actingweb.migration.batches import Reject
from actingweb.migration.documents import content_of, digest_of
from actingweb.migration.errors import SourceError
from actingweb.migration.mapping import TableMapping
from actingweb.migration.private_files import private_descriptor

__all__ = ["RejectFile", "Rejected"]


class Rejected(NamedTuple):
    """A document of a reject file, with its row number and the digest of the source's document, if these are known."""

    document: bytes
    row: int | None
    digest: str | None


class RejectFile:
    """The reject file of one table, which appears with its first reject.

    Each line is a JSON object: `table`, `row` (the number of the document in its file, from 1; null if the source has
    no order), `reason`, `key` (the columns of the primary key that the document has), `digest` (of the source's
    document) and `document` (the document, or its text if it is not a JSON object), which the user may correct.

    Beside it, `TABLE.corrected.ndjson` has such lines for the corrected documents that were loaded.
    """

    def __init__(self, directory: Path, mapping: TableMapping) -> None:
        self.path = directory / f"{mapping.name}.ndjson"
        self._corrected = directory / f"{mapping.name}.corrected.ndjson"
        self.mapping = mapping

    @property
    def size(self) -> int:
        """The size of the file in bytes; 0 if there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def rest(self) -> "RejectFile":
        """Return an empty file beside this one, for `replace_by`."""
        rest = RejectFile(self.path.parent, self.mapping)
        rest.path = self.path.with_suffix(".ndjson.tmp")
        rest.cut(0)
        return rest

    def replace_by(self, rest: "RejectFile") -> None:
        """Replace this file by `rest`; delete it if `rest` has no rejects."""
        if rest.path.exists():
            rest.path.replace(self.path)
        else:
            self.path.unlink()

    def set_aside(self) -> None:
        """Rename the files of an earlier load, which may contain manual corrections."""
        for path in (self.path, self._corrected):
            if path.exists():
                names = (path.with_suffix(f".ndjson.{number}") for number in range(1, 1_000_000))
                path.rename(next(name for name in names if not name.exists()))

    def cut(self, size: int) -> None:
        """Truncate the file to `size` bytes, to undo a batch that was not committed."""
        if size == 0:
            self.path.unlink(missing_ok=True)
        elif self.size > size:
            os.truncate(self.path, size)

    def add(self, rejects: Iterable[tuple[int | None, Reject]]) -> int:
        """Append rejects with their row numbers and flush them to disk; return the size of the file."""
        _append(self.path, [self._line(row_number, reject) for row_number, reject in rejects])
        return self.size

    def add_corrected(self, documents: Iterable[Rejected]) -> None:
        """Remember documents that were loaded in the place of those of the source, unless they are the same.

        A document may be added again.
        """
        corrected = (one for one in documents if one.digest not in (None, digest_of(one.document)))
        lines = [self._line(one.row, Reject(one.document, "corrected", one.digest)) for one in corrected]
        _append(self._corrected, lines)

    def corrected(self) -> dict[str, bytes]:
        """Return the documents that were loaded in the place of others, by the digests of those."""
        documents = _documents(self._corrected) if self._corrected.exists() else ()
        return {one.digest: one.document for one in documents if one.digest is not None}

    def row_numbers(self) -> Iterator[int]:
        """Yield the row numbers of the rejects, ascending."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    yield json.loads(line)["row"]

    def documents(self) -> Iterator[Rejected]:
        """Yield each document. Raise `SourceError` naming the line if one is not a reject."""
        return _documents(self.path)

    def _line(self, row_number: int | None, reject: Reject) -> bytes:
        content = content_of(reject.document)
        known = content if isinstance(content, dict) else {}
        fields = {
            "table": self.mapping.name,
            "row": row_number,
            "reason": reject.reason,
            "key": {name: known[name] for name in self.mapping.record.key if name in known},
            "digest": reject.digest or digest_of(reject.document),
        }
        if isinstance(content, dict):
            # Unchanged, with all digits of its numbers. Line ends can be between tokens only.
            document = reject.document.replace(b"\n", b" ").replace(b"\r", b" ")
        else:
            document = json.dumps(reject.document.decode(errors="replace")).encode()
        return json.dumps(fields).encode()[:-1] + b', "document": ' + document + b"}\n"


def _append(path: Path, lines: list[bytes]) -> None:
    """Append lines to a file, and flush them to disk."""
    if not lines:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(private_descriptor(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _documents(path: Path) -> Iterator[Rejected]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                fields = json.loads(line)
                document, row_number, digest = fields["document"], fields.get("row"), fields.get("digest")
            except (ValueError, KeyError, TypeError, AttributeError):
                raise SourceError(f"{path}, line {number}: this is not a reject with a document") from None
            text = document if isinstance(document, str) else json.dumps(document)
            yield Rejected(text.encode(errors="replace"), row_number, digest)
