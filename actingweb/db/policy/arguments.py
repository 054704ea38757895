"""Checks arguments and returns them in their stored form. Every check raises the `Fault` of a `DbInputError`.

To clean a text is to replace each lone surrogate in it by U+FFFD.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from actingweb.db.faults import input_error
from actingweb.db.utils import clean_text

__all__ = [
    "integer",
    "mapping",
    "now",
    "optional_text",
    "positive",
    "stored_text",
    "text",
    "text_or_empty",
    "texts",
    "to_bool",
    "to_utc",
    "without_none",
]

_FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


def text(value: object, name: str) -> str:
    """Return the argument `name` cleaned, for a read or a comparison."""
    if not isinstance(value, str):
        raise input_error(f"{name} must be text")
    # Most texts are ASCII and need no call.
    return value if value.__class__ is str and value.isascii() else clean_text(value)


def stored_text(value: object, name: str) -> str:
    """Return the argument `name` cleaned, for a write."""
    if value.__class__ is str and isinstance(value, str) and value.isascii() and "\x00" not in value:
        return value
    cleaned = text(value, name)
    if "\x00" in cleaned:
        raise input_error(f"{name} contains U+0000")
    return cleaned


def optional_text(value: object, name: str) -> str | None:
    """Return the argument `name` cleaned, for a write, or None for None."""
    return None if value is None else stored_text(value, name)


def text_or_empty(value: object, name: str) -> str:
    """Return the argument `name` cleaned, for a write; a falsy one is the empty text."""
    return stored_text(value or "", name)


def texts(values: object, name: str) -> list[str]:
    """Return the texts of an iterable, or one text, as a list: cleaned, in order, without empty and repeated ones."""
    if not values:
        return []
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, Iterable) or isinstance(values, bytes):
        raise input_error(f"{name} must be texts")
    return list(dict.fromkeys(text(value, name) for value in values if value))


def integer(value: object, name: str) -> int:
    """Return the argument `name` if it is an integer and not a bool."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise input_error(f"{name} must be an integer")
    return int(value)


def positive(value: object, name: str) -> int:
    """Return the argument `name` if it is an integer above zero."""
    number = integer(value, name)
    if number < 1:
        raise input_error(f"{name} must be at least 1")
    return number


def mapping(value: object, name: str) -> Mapping[Any, Any]:
    """Return the argument `name` if it is a mapping."""
    if not isinstance(value, Mapping):
        raise input_error(f"{name} must be a mapping")
    return value


def to_bool(value: object) -> bool:
    """Return a flag as a bool. The texts "", 0, false, no and off are False; for other types the truth value counts."""
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE_WORDS
    return bool(value)


def to_utc(value: object, name: str) -> datetime | None:
    """Return a datetime or ISO 8601 text as a datetime in UTC, or None for None and "". Naive times are UTC."""
    if value is None or value == "":
        return None
    if value.__class__ is datetime and value.tzinfo is UTC:
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise input_error(f"{name} is not an ISO 8601 time") from None
    if not isinstance(value, datetime):
        raise input_error(f"{name} must be a datetime or ISO 8601 text")
    try:
        return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
    except OverflowError:
        raise input_error(f"{name} is out of range") from None


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def without_none(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes whose value is not None. `modify` does not change the other columns."""
    return {name: value for name, value in changes.items() if value is not None}
