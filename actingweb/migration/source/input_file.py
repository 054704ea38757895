"""Open input files: decompress gzip, and report other formats by name."""

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from actingweb.migration.errors import SourceError

__all__ = ["open_input"]

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"

_UTF_16 = "text in UTF-16 or UTF-32, as PowerShell writes it: convert it to UTF-8"
_COMPRESSED = "compressed, and not by gzip: unpack it"
_ARCHIVE = "an archive: unpack it"
_ION = "Ion: export the table again with the format DynamoDB JSON"
_OTHERS = [
    (rb"\xff\xfe|\xfe\xff|\x00{2,3}[\[{]|\x00[\[{]|[\[{]\x00", _UTF_16),
    (_GZIP, "compressed by gzip twice: unpack it"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf\x27\x1c|.{257}ustar", _ARCHIVE),
    (rb"\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|BZh|\xfd7zXZ\x00|\x5d\x00\x00|\xff\x06\x00\x00sNaPpY", _COMPRESSED),
    (rb"\xe0\x01\x00\xea|\$ion_", _ION),
    (rb"PAR1|Obj\x01|ORC", "Parquet, Avro or ORC: export the table as JSON"),
    (rb"<", "XML or HTML, perhaps an error message in the place of the file: fetch it again"),
]
_SIGNATURES = [(re.compile(pattern, re.DOTALL), name) for pattern, name in _OTHERS]


@contextmanager
def open_input(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a file, decompressed if it is a gzip file, and the offset of its text, which is behind a byte order mark.

    Raise `SourceError` if it cannot be read or is known not to be JSON, here or while the caller reads it.
    """
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == _GZIP
            raw.seek(0)
            # `GzipFile` has all that is used of `BinaryIO`.
            file: BinaryIO = gzip.GzipFile(fileobj=raw) if is_gzip else raw  # type: ignore[assignment]
            head = file.read(512)
            file.seek(0)
            start = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
            if (kind := _kind_of(head[start:])) is not None:
                raise SourceError(f"{path} is {kind}")
            yield file, start
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise SourceError(f"{path} is a damaged gzip file, or its end is missing: copy it again") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def _kind_of(head: bytes) -> str | None:
    """Return what kind of file begins like this; None for what may be JSON."""
    text = head.lstrip(_BLANKS)
    return next((name for pattern, name in _SIGNATURES if pattern.match(head) or pattern.match(text)), None)
