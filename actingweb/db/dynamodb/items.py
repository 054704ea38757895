"""Items as they are stored: the encoding of every column, and records from items."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args

from actingweb.db.dynamodb.tables import Layout
from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault
from actingweb.db.policy import json_values
from actingweb.db.records import Record

__all__ = ["Item", "decode", "encode", "encode_field", "key", "size_of", "text_of"]

R = TypeVar("R", bound=Record)
Item = dict[str, dict[str, Any]]


def _moment_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "+0000"


def _moment(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise Fault(DbError, "a stored time is unreadable") from None
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _json(text: str) -> Any:
    try:
        return json_values.decoded(text)
    except (ValueError, RecursionError):
        raise Fault(DbError, "stored JSON is unreadable") from None


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Fault(DbError, "a stored number is not whole") from None


_ENCODERS: dict[Any, Callable[[Any], dict[str, Any]]] = {
    str: lambda value: {"S": value},
    bool: lambda value: {"BOOL": value},
    int: lambda value: {"N": str(value)},
    datetime: lambda value: {"S": _moment_text(value)},
    Any: lambda value: {"S": value},
}
_DECODERS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("S", str),
    bool: ("BOOL", bool),
    int: ("N", _number),
    datetime: ("S", _moment),
    Any: ("S", _json),
}
_ABSENT: dict[Any, Any] = {str: "", bool: False, int: 0}


def _column(kind: Any) -> Any:
    return next(part for part in get_args(kind) or (kind,) if part is not NoneType)


@cache
def _readers(record: type[Record]) -> list[tuple[str, str, Callable[[Any], Any], Any]]:
    """Return, column by column, name, stored type, decoder and the value that an absent attribute reads as."""
    return [
        (name, *_DECODERS[_column(kind)], None if NoneType in get_args(kind) else _ABSENT.get(kind))
        for name, kind in record.types.items()
    ]


def text_of(item: Item, name: str) -> str:
    """Return the text of an attribute, "" if there is none, as `decode` does."""
    attribute = item.get(name)
    text: str = attribute["S"] if attribute is not None and "S" in attribute else ""
    return text


def decode(record: type[R], item: Item) -> R:
    """Return the record of an item. Raise the `Fault` of `DbError` for a value that is unreadable."""
    values = []
    for name, stored, decoder, absent in _readers(record):
        attribute = item.get(name)
        if attribute is None or stored not in attribute:
            values.append(absent)
        elif decoder is str:  # as most are, and texts already
            values.append(attribute[stored])
        else:
            values.append(decoder(attribute[stored]))
    return record.make(values)


@cache
def _writers(record: type[Record]) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return the encoder of each column."""
    return {name: _ENCODERS[_column(kind)] for name, kind in record.types.items()}


def encode_field(record: type[Record], name: str, value: Any) -> dict[str, Any]:
    """Return the stored form of a column's value; JSON is given as text."""
    return _writers(record)[name](value)


def encode(layout: Layout, record: Record) -> Item:
    """Return the item of a record, without what is None or sparse and empty."""
    item = {
        name: encoder(value)
        for (name, encoder), value in zip(_writers(layout.record).items(), record, strict=True)
        if value is not None and (value != "" or name not in layout.sparse)
    }
    return item | key(layout, record.key_values())


def key(layout: Layout, values: tuple[Any, ...]) -> Item:
    """Return the key attributes of a whole key."""
    return {name: {"S": text} for name, text in zip(layout.key_names, layout.key_texts(values), strict=True)}


def size_of(item: Item) -> int:
    """Return the bytes that the database counts for an item."""
    return sum(len(name.encode()) + _size(*next(iter(value.items()))) for name, value in item.items())


def _size(stored: str, value: Any) -> int:
    if stored == "N":
        digits = len(value.lstrip("-"))
        return (digits + 1) // 2 + 1 + int(value.startswith("-"))
    return len(value.encode()) if stored == "S" else 1
