"""JSON text whose numbers `jsonb` gives back equal.

`jsonb` keeps the decimal digits of a number and writes no exponent, so 1e23 would come back as the integer 10**23. That
is not the float 1e23, which is 99999999999999991611392. Floats from 1e16 on are whole numbers and are written as such.
"""

import math
import re
from typing import Any

from actingweb.db.policy import json_values

__all__ = ["encoded", "normalized"]

_ALL_WHOLE = 1e16
"""From here on Python writes floats with an exponent."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?', re.DOTALL)
# Few texts have these characters at all, and finding them takes a fraction of the time.
_POSSIBLE = re.compile(r"[0-9][eE.][-+0-9]")
# A number with an exponent, or with a point and more digits than are always a float's own.
_SUSPECT = re.compile(r"(?:^|[\[:,])\s*-?(?:\d+(?:\.\d+)?[eE]|(?=[\d.]{17})\d+\.)")


def encoded(data: Any, name: str) -> str:
    """Do what `json_values.encoded` does, for `jsonb`."""
    text = json_values.encoded(data, name)
    return _TOKEN.sub(_written, text) if "e+" in text else text


def normalized(text: str) -> str:
    """Return JSON text of any origin with its floats as Python reads them; a number beyond every float stays."""
    return _TOKEN.sub(_written, text) if _POSSIBLE.search(text) and _SUSPECT.search(text) else text


def _written(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] == '"' or text.lstrip("-").isdigit():
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return str(int(number)) if abs(number) >= _ALL_WHOLE else repr(number)
