"""Key conditions for ranges of names."""

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.limits import RANGE_BYTES, too_long

__all__ = ["between"]

_LAST_CHARACTER = "\U0010ffff"


def between(expression: Expression, lower: str, upper: str) -> str:
    """Return a key condition that selects at least the names from `lower` to `upper`.

    The database rejects bounds that are empty or longer than a key, so such bounds are replaced by ones of a wider
    range. The caller has to check the names.
    """
    below = _shortened(upper, RANGE_BYTES - len(_LAST_CHARACTER.encode()))
    below = upper if below == upper or not too_long("", upper, RANGE_BYTES) else below + _LAST_CHARACTER
    if not lower:
        return expression.compare("name", "<=", {"S": below})
    above = expression.value({"S": _shortened(lower, RANGE_BYTES)})
    return f"{expression.name('name')} BETWEEN {above} AND {expression.value({'S': below})}"


def _shortened(text: str, limit: int) -> str:
    """Return the longest beginning of `text` that fits into `limit` bytes."""
    return text.encode()[:limit].decode(errors="ignore")
