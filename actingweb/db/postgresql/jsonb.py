"""Writes JSON text so that every number comes back from `jsonb` equal.

`jsonb` stores decimal digits and returns no exponent, so `1e23` would come back as the integer 10**23. But the value of
the float 1e23 is 99999999999999991611392. Floats from 1e16 on are whole numbers, so all their digits are written.
"""

import math
import re
from typing import Any

from actingweb.db.policy import json_values

__all__ = ["encoded", "normalized"]

_ALL_WHOLE = 1e16
"""Python writes floats from this one on with an exponent; all of them are whole numbers."""

_TOKEN = r'(?s)"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?'
# A fast first test: most texts do not contain these characters.
_POSSIBLE = re.compile(r"[0-9][eE.][-+0-9]")
# A number with an exponent, or with a point and more digits than a float can represent exactly.
_SUSPECT = r"(?:^|[\[:,])\s*-?(?:\d+(?:\.\d+)?[eE]|(?=[\d.]{17})\d+\.)"


def encoded(data: Any, name: str) -> str:
    """Do the same as `json_values.encoded`, with the floats in the form for `jsonb`."""
    text = json_values.encoded(data, name)
    return re.sub(_TOKEN, _written, text) if "e+" in text else text


def normalized(text: str) -> str:
    """Return JSON text of any origin with the floats in the form for `jsonb`; keep numbers too large for a float."""
    return re.sub(_TOKEN, _written, text) if _POSSIBLE.search(text) and re.search(_SUSPECT, text) else text


def _written(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] == '"' or text.lstrip("-").isdigit():
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return str(int(number)) if abs(number) >= _ALL_WHOLE else repr(number)
