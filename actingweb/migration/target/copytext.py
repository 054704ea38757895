"""Rows in the text format of COPY, written for many rows at once."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

__all__ = ["copy_text"]

Row = tuple[Any, ...]

# Placeholders for separators and nulls, until the values are escaped.
_FIELD, _ROW, _NULL = "\x1f", "\x1e", "\x1d"
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_PLACEHOLDERS = ((_FIELD, "\t"), (_ROW, "\n"), (_NULL, "\\N"))
# As many rows as fit into a processor's cache.
_SLICE = 200

_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    bool: lambda value: "t" if value else "f",
    datetime: datetime.isoformat,
    type(None): lambda _: _NULL,
}


def copy_text(rows: Sequence[Row]) -> bytes:
    """Return the input of COPY FROM STDIN for rows of strings, integers, booleans, times and nulls."""
    return b"".join(_text(rows[start : start + _SLICE]) for start in range(0, len(rows), _SLICE))


def _text(rows: Sequence[Row]) -> bytes:
    try:
        lines = list(map(_FIELD.join, rows))
    except TypeError:
        lines = [_FIELD.join(map(_written, row)) for row in rows]
    text = _ROW.join(lines) + _ROW
    if not _is_unambiguous(text, rows):
        return "".join(map(_line, rows)).encode()
    for one, other in _ESCAPES + _PLACEHOLDERS:
        text = text.replace(one, other)
    return text.encode()


def _written(value: Any) -> str:
    return _WRITTEN[value.__class__](value)


def _is_unambiguous(text: str, rows: Sequence[Row]) -> bool:
    """Tell whether no value contains one of the placeholders."""
    fields, nulls = sum(len(row) - 1 for row in rows), sum(row.count(None) for row in rows)
    return (text.count(_FIELD), text.count(_ROW), text.count(_NULL)) == (fields, len(rows), nulls)


def _line(row: Row) -> str:
    return "\t".join("\\N" if value is None else _escaped(_written(value)) for value in row) + "\n"


def _escaped(text: str) -> str:
    for one, other in _ESCAPES:
        text = text.replace(one, other)
    return text
