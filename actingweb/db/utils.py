"""Text, time and JSON helpers that applications and both backends share."""

import logging
import re
from datetime import UTC, datetime
from typing import Any

from actingweb.db.exceptions import DbInputError

__all__ = ["canonical_connection_method", "compute_lookup_key", "ensure_timezone_aware_iso", "sanitize_json_data"]

logger = logging.getLogger(__name__)

_SURROGATE = "[\ud800-\udfff]"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KNOWN_METHODS = frozenset({"trust", "subscription", "mcp"})


def clean_text(text: str) -> str:
    """Return `text` as a plain `str` with each lone surrogate replaced by U+FFFD, because UTF-8 cannot encode it."""
    if text.__class__ is not str:
        # A subclass can override methods, so that they do not describe the text itself.
        text = str.__str__(text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub(_SURROGATE, _REPLACEMENT, text)
    return text


def ensure_timezone_aware_iso(dt: datetime) -> str:
    """Return `dt` as ISO 8601 text. A naive value is in UTC; an aware one keeps its offset."""
    return (dt.replace(tzinfo=UTC) if dt.tzinfo is None else dt).isoformat()


def sanitize_json_data(data: Any, *, log_source: str = "") -> Any:
    """Return a copy of `data` with every surrogate in its texts and keys replaced by U+FFFD.

    With `log_source`, log one WARNING with the number of texts that changed. Raise `DbInputError` if two keys become
    equal, or if `data` is nested too deeply.
    """
    changed: list[None] = []
    try:
        result = _sanitized(data, changed)
    except RecursionError:
        raise DbInputError("sanitize", reason="the data is nested too deeply or contains itself") from None
    if changed and log_source:
        logger.warning("%s: invalid Unicode replaced in %d texts", log_source, len(changed))
    return result


def _sanitized(data: Any, changed: list[None]) -> Any:
    if isinstance(data, str):
        text = clean_text(data)
        if text != data:
            changed.append(None)
        return text
    if isinstance(data, dict):
        result = {_sanitized(key, changed): _sanitized(value, changed) for key, value in data.items()}
        if len(result) < len(data):
            raise DbInputError("sanitize", reason="two keys of an object are equal")
        return result
    if isinstance(data, list):
        return [_sanitized(value, changed) for value in data]
    if isinstance(data, tuple):
        return tuple(_sanitized(value, changed) for value in data)
    return data


def canonical_connection_method(method: object) -> str | None:
    """Return the canonical name of a connection method, as `oauth` for `OAuth2`; None if it is empty or not text."""
    if not isinstance(method, str) or not (word := method.strip().lower()):
        return None
    if word.startswith("oauth"):
        return "oauth"
    return word if word in _KNOWN_METHODS else method


def compute_lookup_key(property_name: str, value: str) -> str:
    """Return the key of a look-up row: the hex SHA-256 of name, zero byte and value in UTF-8. This never changes."""
    # Imported here, because it loads OpenSSL and many processes look up nothing.
    import hashlib

    return hashlib.sha256(f"{clean_text(property_name)}\x00{clean_text(value)}".encode()).hexdigest()
