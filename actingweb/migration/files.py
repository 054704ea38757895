"""Files of documents, read in constant memory, and files that their owner alone may read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from actingweb.migration.batches import Batch, gathered
from actingweb.migration.errors import SourceError
from actingweb.migration.json_text import LARGEST_DOCUMENT, MalformedError, objects_in
from actingweb.migration.notation import is_notation, plain, strange
from actingweb.migration.opening import opened

__all__ = ["FileSource", "open_private", "private_descriptor"]

Documents = Iterator[tuple[bytes, int]]
"""Documents, each with the offset behind it."""

_OPENING = b"[\n"


def open_private(path: Path) -> BinaryIO:
    """Open an empty file for writing that its owner alone may read, from its first byte on."""
    return os.fdopen(private_descriptor(path, os.O_WRONLY | os.O_TRUNC), "wb")


def private_descriptor(path: Path, flags: int) -> int:
    """Open a file, made if it is absent, that its owner alone may read from then on."""
    descriptor = os.open(path, flags | os.O_CREAT, 0o600)
    # What was there before may have been open to others; a pipe or a terminal stays as it is.
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor


class FileSource:
    """The documents of a file, packed by gzip or not.

    A JSON array of one object on a line, as the export writes it, is the fast form. Read too are any other array of
    objects, objects one after the other (NDJSON), and the answers to scans; and in all of them items in DynamoDB's own
    notation. Raise `SourceError` if the file cannot be read or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def batches(self, mark: int | None = None) -> Iterator[Batch]:
        """Yield the documents behind `mark`, an offset in the unpacked text, as one stream."""
        with self._read(mark) as (documents, is_translated):
            read = ((plain(document), behind) for document, behind in documents) if is_translated else documents
            yield from gathered(read, 0, mark or 0)

    def check(self) -> None:
        """Read it to its end, without a look into the documents."""
        with self._read(None) as (documents, _):
            for _ in documents:
                pass

    @contextmanager
    def _read(self, mark: int | None) -> Iterator[tuple[Documents, bool]]:
        """Yield the documents behind `mark` as they are in the file, and whether they need a translation."""
        try:
            with opened(self._path) as (file, start):
                form = _lines if _has_a_document_a_line(file, start) else objects_in
                first, _ = next(form(file, start, None), (b"{}", 0))
                if (name := strange(first)) is not None:
                    raise SourceError(f"{self._path} holds {name}")
                yield form(file, start, mark or None), is_notation(first)
        except MalformedError as error:
            raise SourceError(f"{self._path} is no JSON with the rows of a table: {error}") from None


def _has_a_document_a_line(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    first = file.readline(8)
    second = file.readline(LARGEST_DOCUMENT).rstrip()
    return first == _OPENING and second[:1] == b"{" and second.rstrip(b",")[-1:] == b"}"


def _lines(file: BinaryIO, start: int, mark: int | None) -> Documents:
    """Yield each document and the offset behind its line."""
    offset = file.seek(start + len(_OPENING) if mark is None else mark)
    while (line := file.readline(LARGEST_DOCUMENT)) and line[:1] != b"]":
        offset += len(line)
        yield line.rstrip(b",\r\n"), offset
    if not line:
        raise MalformedError("it ends before its last bracket")
    while rest := file.read(LARGEST_DOCUMENT):
        if not rest.isspace():
            raise MalformedError(f"something follows the array behind byte {offset}")
