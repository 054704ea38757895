"""Encodes records as items and decodes items to records."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, cast

from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.stored_types import Attribute, column_of, is_needed, missing, reader_of, value_of
from actingweb.db.records import Record

__all__ = ["Item", "decode", "encode", "encode_field", "field_of", "key", "size_of", "text_of"]

R = TypeVar("R", bound=Record)
Item = dict[str, Attribute]


def _time_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "+0000"


_ENCODERS: dict[Any, Callable[[Any], dict[str, Any]]] = {
    str: lambda value: {"S": value},
    bool: lambda value: {"BOOL": value},
    int: lambda value: {"N": str(value)},
    datetime: lambda value: {"S": _time_text(value)},
    Any: lambda value: {"S": value},
}
_ABSENT: dict[Any, Any] = {str: "", bool: False, int: 0}
_NEEDED = object()


@cache
def _readers(record: type[Record]) -> list[tuple[str, str, Callable[[Any], Any], Any]]:
    """Return the name, the stored type, the decoder and the value of an absent attribute, for each column."""
    return [(name, *reader_of(record, name), _absent(record, name)) for name in record.types]


def _absent(record: type[Record], name: str) -> Any:
    return _NEEDED if is_needed(record, name) else _ABSENT.get(record.types[name])


def field_of(record: type[Record], item: Item, name: str) -> Any:
    """Return the value of one column, as `decode` does. Raise `Fault` if its meaning is not certain."""
    attribute = item.get(name)
    stored, read = reader_of(record, name)
    if attribute is None or stored not in attribute:
        return _unusual(record, name, attribute)
    try:
        return read(attribute[stored])
    except (ValueError, RecursionError):
        return value_of(record, name, attribute)


def text_of(record: type[Record], item: Item, name: str) -> str:
    """Return the text of an attribute, "" if there is none, as `decode` does. Raise `Fault` if it is not text."""
    attribute = item.get(name)
    if attribute is not None and "S" in attribute:
        text: str = attribute["S"]
        return text
    return cast(str, _unusual(record, name, attribute))


def decode(record: type[R], item: Item) -> R:
    """Return the record of an item. Raise the `Fault` of a `DbError` for a value whose meaning is not certain."""
    values = []
    for name, stored, decoder, absent in _readers(record):
        attribute = item.get(name)
        if attribute is None and absent is not _NEEDED:
            values.append(absent)
        elif attribute is None or stored not in attribute:
            values.append(_unusual(record, name, attribute))
        elif decoder is str:  # most columns, and they are texts already
            values.append(attribute[stored])
        else:
            try:
                value = decoder(attribute[stored])
            except (ValueError, RecursionError):
                value = value_of(record, name, attribute)
            values.append(value)
    return record.make(values)


def _unusual(record: type[Record], name: str, attribute: Attribute | None) -> Any:
    """Return the value of an attribute that is absent or has another type than the layout's."""
    value = None if attribute is None else value_of(record, name, attribute)
    if value is not None:
        return value
    if is_needed(record, name):
        raise missing(name)
    return _ABSENT.get(record.types[name])


@cache
def _writers(record: type[Record]) -> dict[str, Callable[[Any], dict[str, Any]]]:
    """Return the encoder of each column."""
    return {name: _ENCODERS[column_of(kind)] for name, kind in record.types.items()}


def encode_field(record: type[Record], name: str, value: Any) -> dict[str, Any]:
    """Return the stored form of a column's value; a JSON value is passed as text."""
    return _writers(record)[name](value)


def encode(layout: Layout, record: Record) -> Item:
    """Return the item of a record. Leave out None, and empty texts of the columns in `layout.sparse`."""
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
    if stored == "S":
        return len(value.encode())
    if stored == "N":
        digits = len(value.lstrip("-"))
        return (digits + 1) // 2 + 1 + int(value.startswith("-"))
    return 1 if stored in ("BOOL", "NULL") else len(repr(value))
