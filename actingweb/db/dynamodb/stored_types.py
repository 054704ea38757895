"""Decodes stored attributes that have the type of the layout, or another type because another tool wrote them.

The library and the migration read every column by the same rules:

* NULL is None. It reads like an absent attribute in optional columns and in texts that may be empty. It is a fault in
  keys, in the value of a property and in look-up rows.
* A text is S. A number is not read as a text: it does not tell whether `007` or `7.0` was written.
* A flag is BOOL, or N 1 or 0, which PynamoDB once wrote, or S `true`, `false`, `1` or `0`, in any case.
* A number is whole, in N or in S: `7`, `7.0`, `7E0`.
* A time is ISO 8601 text in S. A number is not read as a time: it does not tell seconds from milliseconds.
* A JSON value is JSON text in S, or BOOL, N, M or L, whose members are JSON values themselves. Sets, binary values and
  numbers with more digits than a float has are not JSON values.

Everything else is a fault that names the attribute and its type, never the value.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, get_args

from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault
from actingweb.db.policy import json_values
from actingweb.db.records import Record

__all__ = [
    "MAY_BE_EMPTY",
    "Attribute",
    "column_of",
    "in_utc",
    "is_needed",
    "missing",
    "reader_of",
    "time_of",
    "value_of",
]

Attribute = dict[str, Any]
"""A stored attribute: its type, as `S`, and its content."""

MAY_BE_EMPTY = frozenset({"subtarget"})
"""The part of a key that may be empty, and is then left out."""

_NEVER_NONE = frozenset({"value", "actor_id", "property_name"})
"""Texts outside keys that are never None."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,4})?")
_HIGHEST_EXPONENT = 125
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_DATE_DIGITS = 8


class _UnclearError(ValueError):
    """The meaning of a stored value is not certain. The text describes the value without quoting it."""


def time_of(text: str) -> datetime:
    """Return the time, in UTC, of an ISO 8601 text; a naive one is taken as UTC. Raise `ValueError`."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is UTC:
        return value
    if text.isdigit() and len(text) > _DATE_DIGITS:
        # Epoch milliseconds can look like a time of another century.
        raise ValueError("digits are no time")
    return in_utc(value)


def in_utc(value: datetime) -> datetime:
    """Return a time in UTC; a naive one is taken as UTC. Raise `ValueError`."""
    if value.tzinfo is UTC:
        return value
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time is out of range") from None


def _decimal(text: str) -> Decimal:
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError("text is no number")
    number = Decimal(text)
    if number.adjusted() > _HIGHEST_EXPONENT:
        raise ValueError("a number is larger than any that is stored")
    return number


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return _whole(text)


def _whole(text: str) -> int:
    number = _decimal(text)
    if number != int(number):
        raise ValueError("a number is not whole")
    return int(number)


def _number(text: str) -> int | float:
    """Return exactly this number, as an int or a float."""
    number = _decimal(text)
    if number == int(number):
        return int(number)
    nearest = float(number)
    if Decimal(repr(nearest)) != number:
        raise _UnclearError("a number with more digits than a float has")
    return nearest


def _flag_of_number(text: str) -> bool:
    number = _whole(text)
    if number not in (0, 1):
        raise ValueError("a number is not a flag")
    return number == 1


def _flag_of_text(text: str) -> bool:
    flag = _FLAGS.get(text.strip().lower())
    if flag is None:
        raise ValueError("text is not a flag")
    return flag


def _list(members: list[Attribute]) -> list[Any]:
    return list(map(_member, members))


def _map(members: dict[str, Attribute]) -> dict[str, Any]:
    return {name: _member(member) for name, member in members.items()}


def _member(attribute: Attribute) -> Any:
    """Return the JSON value of a member of a native list or map."""
    ((stored, content),) = attribute.items()
    read = _MEMBERS.get(stored)
    if read is None:
        raise _UnclearError(f"type {stored}, which is not a JSON value")
    return read(content)


_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _number,
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": _map,
    "L": _list,
}
_READERS: dict[Any, dict[str, Callable[[Any], Any]]] = {
    # The first type of each is the layout's.
    str: {"S": str},
    bool: {"BOOL": bool, "N": _flag_of_number, "S": _flag_of_text},
    int: {"N": _whole_number, "S": _whole},
    datetime: {"S": time_of},
    Any: {"S": json_values.decoded, "BOOL": bool, "N": _number, "M": _map, "L": _list},
}
_NOUNS: dict[Any, str] = {str: "text", bool: "a flag", int: "a whole number", datetime: "a time", Any: "a JSON value"}


def column_of(declared: Any) -> Any:
    """Return the type of a column without None."""
    return next(part for part in get_args(declared) or (declared,) if part is not NoneType)


@cache
def reader_of(record: type[Record], name: str) -> tuple[str, Callable[[Any], Any]]:
    """Return the type in which the layout stores a column, and the function that reads it or raises `ValueError`."""
    return next(iter(_READERS[column_of(record.types[name])].items()))


@cache
def is_needed(record: type[Record], name: str) -> bool:
    """Tell whether every item must have this column: a part of the key, or the id of an actor."""
    return (name in record.key and name not in MAY_BE_EMPTY) or name == "actor_id"


def _may_be_none(record: type[Record], name: str) -> bool:
    declared = record.types[name]
    if NoneType in get_args(declared) or declared is Any or name in MAY_BE_EMPTY:
        return True
    return declared is str and name not in record.key and name not in _NEVER_NONE


def value_of(record: type[Record], name: str, attribute: Attribute) -> Any:
    """Return the value of a stored attribute in a column, None if there is no value.

    Raise the `Fault` of a `DbError` if its meaning is not certain.
    """
    ((stored, content),) = attribute.items()
    if stored == "NULL" and _may_be_none(record, name):
        return None
    column = column_of(record.types[name])
    read = _READERS[column].get(stored)
    if read is None:
        raise _unclear(f"the stored attribute {name} has type {stored}, which is not {_NOUNS[column]}")
    try:
        return read(content)
    except _UnclearError as unclear:
        reason = f"the stored attribute {name} holds {unclear}"
    except (ValueError, RecursionError):
        reason = f"the stored attribute {name} has type {stored}, but its content is not {_NOUNS[column]}"
        if column is Any:
            reason += ", or contains a number with more digits than `sys.set_int_max_str_digits` allows"
    raise _unclear(reason)


def missing(name: str) -> Fault:
    """Return the fault of an item that lacks an attribute which every item must have."""
    return _unclear(f"the stored item has no attribute {name}")


def _unclear(reason: str) -> Fault:
    return Fault(DbError, f"{reason}: correct the item, docs/backends.md says what is read")
