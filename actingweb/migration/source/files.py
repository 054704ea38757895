"""Files of documents, read in constant memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from actingweb.migration.batches import Batch, batched
from actingweb.migration.errors import SourceError
from actingweb.migration.source.dynamodb_json import foreign_format, is_dynamodb_json, plain_document
from actingweb.migration.source.input_file import open_input
from actingweb.migration.source.json_text import LARGEST_DOCUMENT, MalformedError, objects_in

__all__ = ["FileSource"]

Documents = Iterator[tuple[bytes, int]]
"""Documents, each with the offset behind it in the uncompressed text."""

_OPENING = b"[\n"


class FileSource:
    """The documents of a file, compressed by gzip or not.

    The file is a JSON array of objects, a sequence of objects (NDJSON), or a sequence of responses to scans. An array
    with one object per line, as the export writes it, is read fastest. In all of them the objects may be items in
    DynamoDB JSON. Raise `SourceError` if the file cannot be read or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def batches(self, checkpoint: int | None = None) -> Iterator[Batch]:
        """Yield the documents behind `checkpoint`, an offset in the uncompressed text, as one stream."""
        with self._read(checkpoint) as (documents, is_typed):
            read = ((plain_document(document), behind) for document, behind in documents) if is_typed else documents
            yield from batched(read, 0, checkpoint or 0)

    def check(self) -> None:
        """Read the file to its end without decoding the documents. Raise `SourceError` if it is incomplete."""
        with self._read(None) as (documents, _):
            for _ in documents:
                pass

    @contextmanager
    def _read(self, checkpoint: int | None) -> Iterator[tuple[Documents, bool]]:
        """Yield the documents behind `checkpoint` as they are in the file, and whether they are DynamoDB JSON."""
        try:
            with open_input(self._path) as (file, start):
                split = _lines if _has_one_document_per_line(file, start) else objects_in
                first, _ = next(split(file, start, None), (b"{}", 0))
                if (name := foreign_format(first)) is not None:
                    raise SourceError(f"{self._path} contains {name}")
                yield split(file, start, checkpoint or None), is_dynamodb_json(first)
        except MalformedError as error:
            raise SourceError(f"{self._path} is not JSON with the rows of a table: {error}") from None


def _has_one_document_per_line(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    first = file.readline(8)
    second = file.readline(LARGEST_DOCUMENT).rstrip()
    return first == _OPENING and second[:1] == b"{" and second.rstrip(b",")[-1:] == b"}"


def _lines(file: BinaryIO, start: int, checkpoint: int | None) -> Documents:
    """Yield each document and the offset behind its line."""
    offset = file.seek(start + len(_OPENING) if checkpoint is None else checkpoint)
    while (line := file.readline(LARGEST_DOCUMENT)) and line[:1] != b"]":
        offset += len(line)
        yield line.rstrip(b",\r\n"), offset
    if not line:
        raise MalformedError("it ends before its closing bracket")
    while rest := file.read(LARGEST_DOCUMENT):
        if not rest.isspace():
            raise MalformedError(f"something follows the array behind byte {offset}")
