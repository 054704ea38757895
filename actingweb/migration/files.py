"""Files of documents: JSON arrays, read and written in constant memory."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from actingweb.migration.batches import Batch, gathered
from actingweb.migration.errors import SourceError

__all__ = ["FileSource", "open_private", "private_descriptor"]

_CHUNK = 1024 * 1024
_LARGEST_DOCUMENT = 16 * 1024 * 1024
_OPENING = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*")
_SEPARATOR = re.compile(rb"[ \t\r\n,]*")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}]', re.DOTALL)
"""A whole text, a quote that begins one which is cut off, or a brace."""


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
    """The documents of a JSON array of objects.

    One object on a line, as the export writes it, is the fast form; any other layout, as of `json.dump(indent=2)`, is
    read too. Raise `SourceError` if the file cannot be read or is no such array.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def identity(self) -> str:
        """Tells this content of the file from another."""
        facts = self._stat()
        return f"{self._path.name} {facts.st_size} {facts.st_mtime_ns}"

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self._stat().st_size

    def batches(self, mark: int | None = None) -> Iterator[Batch]:
        """Yield the documents behind `mark`, a number of bytes, as one stream."""
        start = mark or 0
        try:
            with self._path.open("rb") as file:
                documents = _lines(file, start) if _has_a_document_a_line(file) else _objects(file, start)
                yield from gathered(documents, 0, start)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None
        except _MalformedError as error:
            raise SourceError(f"{self._path} is no JSON array of objects: {error}") from None

    def _stat(self) -> os.stat_result:
        try:
            return self._path.stat()
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from None


class _MalformedError(Exception):
    pass


def _has_a_document_a_line(file: BinaryIO) -> bool:
    first = file.readline(8)
    second = file.readline(_LARGEST_DOCUMENT).rstrip()
    return first == b"[\n" and second[:1] == b"{" and second.rstrip(b",")[-1:] == b"}"


def _lines(file: BinaryIO, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield each document and the offset behind its line."""
    file.seek(start or len(b"[\n"))
    offset = file.tell()
    for line in file:
        if line in (b"]\n", b"]"):
            return
        offset += len(line)
        yield line.rstrip(b",\n"), offset
    raise _MalformedError("it ends before its last bracket")


def _objects(file: BinaryIO, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield each document and the offset behind it, whatever the white space."""
    file.seek(start)
    offset, position, buffer = start, 0, b""
    separator = _SEPARATOR if start else _OPENING
    while True:
        found = separator.match(buffer, position)
        if found is not None:
            position, separator = found.end(), _SEPARATOR
        following = buffer[position : position + 1]
        if following == b"]" and separator is _SEPARATOR:
            return
        end = _end_of_object(buffer, position) if following == b"{" and separator is _SEPARATOR else 0
        if end:
            yield buffer[position:end], offset + end
            position = end
            continue
        chunk = file.read(_CHUNK)
        if not chunk or len(buffer) - position > _LARGEST_DOCUMENT or following not in (b"", b"{"):
            raise _MalformedError(f"there is no whole object at byte {offset + position}")
        buffer, offset, position = buffer[position:] + chunk, offset + position, 0


def _end_of_object(text: bytes, position: int) -> int:
    """Return where the object ends that begins at `position`, 0 if it is not there whole."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        match token[0]:
            case b"{":
                depth += 1
            case b"}":
                depth -= 1
                if depth == 0:
                    return token.end()
            case b'"':
                return 0
    return 0
