"""Which text is stored for the value of a property."""

import json
from typing import Any

from actingweb.db.faults import input_error
from actingweb.db.policy import json_values
from actingweb.db.policy.arguments import stored_text
from actingweb.db.utils import clean_text

__all__ = ["stored_value"]


def stored_value(value: Any) -> str:
    """Return the stored text of a value: a text itself, "" for None, otherwise its JSON or, failing that, its `str`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return stored_text(value, "value")
    try:
        encoded = json.dumps(_with_text_keys(value))
    except (TypeError, ValueError, RecursionError):
        encoded = _as_text(value)
    return stored_text(encoded, "value")


def _with_text_keys(value: Any) -> Any:
    """Return the value with cleaned keys and texts. Reject objects in which two keys become equal."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: _with_text_keys(item) for key, item in json_values.with_text_keys(value, "value").items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(item) for item in value]
    return value


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a caller's class can raise anything
        raise input_error("value has no text form") from None
