"""Split JSON text into documents, in constant memory.

The text is an array of objects, a sequence of objects, or a sequence of pages of a scan.
"""

import re
from collections.abc import Generator, Iterator
from typing import BinaryIO

__all__ = ["LARGEST_DOCUMENT", "MalformedError", "objects_in"]

LARGEST_DOCUMENT = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_BLANKS = re.compile(rb"[ \t\r\n]*")
_SEPARATORS = re.compile(rb"[ \t\r\n,]*")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
"""A complete string, the quote of a string that is cut off, or a bracket."""
_WORD = re.compile(rb"[^\s,:\[\]{}\"]+(?=[\s,:\[\]{}\"])")
"""A complete number, `true`, `false` or `null`."""

_PAGE = re.compile(rb'"(Items|Count|ScannedCount|ConsumedCapacity|LastEvaluatedKey|NextToken|ResponseMetadata)"')
_CONTINUATION_KEYS = (b'"LastEvaluatedKey"', b'"NextToken"')
_NO_KEY = (b"null", b"{}", b'""')


class MalformedError(Exception):
    """The text is none of the formats that this module reads."""


def objects_in(file: BinaryIO, start: int, checkpoint: int | None) -> Iterator[tuple[bytes, int]]:
    """Yield each document of the text that begins at offset `start`, with the offset behind it.

    `checkpoint`, the offset behind a document, continues there. Raise `MalformedError`.
    """
    text = _Text(file, start)
    kind = text.peek()
    if kind == b"":
        raise MalformedError("it is empty; the file of a table without rows is []")
    if kind == b"[":
        return _array(text, checkpoint)
    if kind == b"{":
        return _pages(text, checkpoint) if text.is_page() else _stream(text, checkpoint)
    raise MalformedError("it begins neither with [ nor with {")


def _array(text: "_Text", checkpoint: int | None) -> Iterator[tuple[bytes, int]]:
    text.expect(b"[")
    if checkpoint is not None:
        text.seek(checkpoint)
    yield from text.objects(b"]")
    if text.peek():
        raise MalformedError(f"something follows the array at byte {text.offset}")


def _stream(text: "_Text", checkpoint: int | None) -> Iterator[tuple[bytes, int]]:
    start = text.offset
    if not text.take()[1:-1].strip():
        raise MalformedError("it begins with an empty object")
    text.seek(start if checkpoint is None else checkpoint)
    return text.objects(b"")


def _pages(text: "_Text", checkpoint: int | None) -> Iterator[tuple[bytes, int]]:
    continues = False
    if checkpoint is not None:
        text.seek(checkpoint)
        continues = yield from _page(text, within_items=True)
    while text.peek():
        text.expect(b"{")
        continues = yield from _page(text, within_items=False)
    if continues:
        raise MalformedError("the scan that it contains was not read to its end (LastEvaluatedKey or NextToken)")


def _page(text: "_Text", within_items: bool) -> Generator[tuple[bytes, int], None, bool]:
    """Yield the items of a page; return whether the scan continues behind it."""
    has_items, continues = within_items, False
    while within_items or text.separated() != b"}":
        if within_items:
            yield from text.objects(b"]")
            within_items = False
            continue
        name = text.take()
        text.expect(b":")
        if name == b'"Items"':
            text.expect(b"[")
            has_items = within_items = True
        else:
            continues = (text.take() not in _NO_KEY and name in _CONTINUATION_KEYS) or continues
    text.expect(b"}")
    if not has_items:
        raise MalformedError("a page of the scan has no Items")
    return continues


class _Text:
    """Text that is read in chunks."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self.seek(start)

    def seek(self, offset: int) -> None:
        """Continue at an offset."""
        self._file.seek(offset)
        self._buffer, self._position, self._before = b"", 0, offset

    @property
    def offset(self) -> int:
        """The current offset."""
        return self._before + self._position

    def peek(self, skipped: "re.Pattern[bytes]" = _BLANKS) -> bytes:
        """Skip what the pattern matches, and return the next byte without consuming it; empty at the end."""
        while True:
            found = skipped.match(self._buffer, self._position)
            if found is not None:
                self._position = found.end()
            if self._position < len(self._buffer) or not self._more():
                return self._buffer[self._position : self._position + 1]

    def separated(self) -> bytes:
        """Skip white space and commas, and return the next byte without consuming it; empty at the end."""
        return self.peek(_SEPARATORS)

    def expect(self, byte: bytes) -> None:
        """Consume a byte. Raise `MalformedError` for any other one."""
        if self.peek() != byte:
            raise MalformedError(f"there is no {byte.decode()} at byte {self.offset}")
        self._position += 1

    def is_page(self) -> bool:
        """Tell whether the object at the current offset is a page of a scan."""
        while len(self._buffer) < LARGEST_DOCUMENT and self._position + 100 > len(self._buffer) and self._more():
            pass
        inside = _BLANKS.match(self._buffer, self._position + 1)
        return inside is not None and _PAGE.match(self._buffer, inside.end()) is not None

    def objects(self, end: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield objects up to the closing bracket `end`, which is consumed, or up to the end of the text."""
        while (following := self.separated()) != end:
            if following == b"":
                raise MalformedError("it ends before its closing bracket")
            if following != b"{":
                raise MalformedError(f"there is no complete object at byte {self.offset}")
            yield self.take(), self.offset
        self._position += len(end)

    def take(self) -> bytes:
        """Consume and return the next value."""
        self.peek()
        while not (end := _end_of_value(self._buffer, self._position)):
            if len(self._buffer) - self._position > LARGEST_DOCUMENT or not self._more():
                raise MalformedError(f"there is no complete object at byte {self.offset}")
        value = self._buffer[self._position : end]
        self._position = end
        return value

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK)
        self._before += self._position
        self._buffer, self._position = self._buffer[self._position :] + chunk, 0
        return bool(chunk)


def _end_of_value(text: bytes, position: int) -> int:
    """Return where the value at `position` ends; 0 if it is incomplete."""
    word = _WORD.match(text, position)
    if word is not None:
        return word.end()
    depth = 0
    for token in _TOKEN.finditer(text, position):
        match token[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b'"':
                return 0
        if depth <= 0:
            return token.end()
    return 0
