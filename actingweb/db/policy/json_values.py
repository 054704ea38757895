"""JSON values: which ones can be stored, how they are encoded, and when two are equal."""

import json
import math
import sys
from collections.abc import Callable
from typing import Any

from actingweb.db.exceptions import DbError
from actingweb.db.faults import Fault, input_error
from actingweb.db.utils import clean_text

__all__ = ["MOST_DIGITS", "decoded", "encoded", "equal", "unreadable", "with_text_keys"]

MOST_DIGITS = 131_072
"""PostgreSQL's limit of digits of a whole number. Python's is lower by default: `sys.get_int_max_str_digits()`."""
_MOST_BITS = int(MOST_DIGITS * math.log2(10))

_UNREADABLE = (
    "stored JSON is unreadable: the text is not JSON, or a number in it has more digits than Python converts: see "
    "`sys.set_int_max_str_digits`"
)
_PLAIN = frozenset({str})
_AS_IT_IS = frozenset({bool, type(None)})
# `_checked` returns a copy, which cannot contain itself.
_encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode


def encoded(data: Any, name: str) -> str:
    """Return the argument `name` as JSON text, in the format of `json.dumps`, with surrogates replaced.

    Reject values that are not JSON, U+0000 in any text, and objects in which two keys become equal.
    """
    try:
        return _encode(_checked(data, name))
    except RecursionError:
        raise input_error(f"{name} is nested too deeply or contains itself") from None
    except TypeError:
        raise input_error(f"{name} holds an object with a key that is not text") from None
    except ValueError:
        raise _too_long(name, sys.get_int_max_str_digits()) from None


def _number(text: str) -> int | float:
    """Return a number that has a point or an exponent: as a float, or as an integer if it is too large for a float."""
    number = float(text)
    if math.isfinite(number):
        return number
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    zeros = int(exponent or 0) - len(fraction)
    if not 0 <= zeros <= MOST_DIGITS:
        raise ValueError("a number is too large")
    return int(whole + fraction) * int(10**zeros)


_decode = json.JSONDecoder(parse_float=_number).decode


def decoded(text: str) -> Any:
    """Return the value of JSON text. Raise `ValueError` for other text and for a number that Python cannot read."""
    return _decode(text)


def unreadable() -> Fault:
    """Return the fault of stored JSON that cannot be decoded."""
    return Fault(DbError, _UNREADABLE)


def equal(one: Any, other: Any) -> bool:
    """Tell whether two decoded values are equal. Key order does not matter; 1 equals 1.0; true does not equal 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def with_text_keys(data: dict[Any, Any], name: str) -> dict[str, Any]:
    """Return `data` with its keys as the texts that JSON writes for them. Reject keys that become equal.

    Raise `TypeError` for a key that JSON cannot write.
    """
    result = {_key(key): value for key, value in data.items()}
    if len(result) < len(data):
        raise input_error(f"{name} holds an object with two equal keys")
    return result


def _key(key: Any) -> str:
    if isinstance(key, str):
        return clean_text(key)
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    raise TypeError("an object has a key that is not text")


def _checked(data: Any, name: str) -> Any:
    """Return a copy of `data` that JSON can represent. Raise `Fault` for other data."""
    kind = data.__class__
    if kind in _AS_IT_IS or (kind is str and _is_plain(data)):
        return data
    check = _CHECKS.get(kind) or next((check for base, check in _CHECKS.items() if isinstance(data, base)), None)
    if check is None:
        raise input_error(f"{name} holds a {type(data).__name__}, which is not a JSON value")
    return check(data, name)


def _checked_integer(data: int, name: str) -> int:
    if data.bit_length() > _MOST_BITS:
        raise _too_long(name, MOST_DIGITS)
    return data


def _checked_text(data: str, name: str) -> str:
    cleaned = clean_text(data)
    if "\x00" in cleaned:
        raise input_error(f"{name} contains U+0000")
    return cleaned


def _checked_float(data: float, name: str) -> float:
    if not math.isfinite(data):
        raise input_error(f"{name} holds a number that is not finite")
    return data


def _checked_object(data: dict[Any, Any], name: str) -> dict[str, Any]:
    if _has_plain_keys(data):
        return {key: _checked(value, name) for key, value in data.items()}
    return {_checked(key, name): _checked(value, name) for key, value in with_text_keys(data, name).items()}


def _checked_array(data: list[Any] | tuple[Any, ...], name: str) -> list[Any]:
    return [_checked(value, name) for value in data]


# An instance of a subclass is checked by the first entry that is its base class.
_CHECKS: dict[type, Callable[[Any, str], Any]] = {
    int: _checked_integer,
    str: _checked_text,
    float: _checked_float,
    dict: _checked_object,
    list: _checked_array,
    tuple: _checked_array,
}


def _too_long(name: str, digits: int) -> Fault:
    return input_error(f"{name} holds a whole number of more than {digits} digits")


def _has_plain_keys(data: dict[Any, Any]) -> bool:
    """Tell whether all keys are texts that are stored unchanged. Nearly always they are, and need no copy."""
    return set(map(type, data)) <= _PLAIN and _is_plain("".join(data))


def _is_plain(text: str) -> bool:
    return text.isascii() and "\x00" not in text
