"""JSON text whose numbers are equal after a round trip through `jsonb`.

`jsonb` stores the decimal digits of a number and returns no exponent, so 1e23 would be read as the integer 10**23. The
float 1e23 is another number, 99999999999999991611392. Floats from 1e16 on are whole numbers and are written in full.
"""

import math
import re
from typing import Any

from actingweb.db.policy import json_values

__all__ = ["encoded", "normalized"]

_ALL_WHOLE = 1e16
"""Python writes floats from here on with an exponent."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?', re.DOTALL)
# Most texts do not have these characters, and searching for them takes a fraction of the time.
_POSSIBLE = re.compile(r"[0-9][eE.][-+0-9]")
# A number with an exponent, or with a point and more digits than every float keeps.
_SUSPECT = re.compile(r"(?:^|[\[:,])\s*-?(?:\d+(?:\.\d+)?[eE]|(?=[\d.]{17})\d+\.)")


def encoded(data: Any, name: str) -> str:
    """Do what `json_values.encoded` does, for `jsonb`."""
    text = json_values.encoded(data, name)
    return _TOKEN.sub(_written, text) if "e+" in text else text


def normalized(text: str) -> str:
    """Return JSON text of any origin with its floats written in full; a number too large for a float stays as it is."""
    return _TOKEN.sub(_written, text) if _POSSIBLE.search(text) and _SUSPECT.search(text) else text


def _written(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] == '"' or text.lstrip("-").isdigit():
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return str(int(number)) if abs(number) >= _ALL_WHOLE else repr(number)
