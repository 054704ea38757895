"""Documents: items as JSON, and what in them has another type than the layout's."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.stored_types import Attribute, reader_of, value_of
from actingweb.db.faults import Fault
from actingweb.db.records import Record

__all__ = ["Document", "content_of", "corrected", "document_of", "is_notation", "item_of", "objection"]

Document = dict[str, Any]

_NOTHING = object()
_CONTENTS: dict[str, type] = {"S": str, "N": str, "B": str, "BOOL": bool, "NULL": bool, "M": dict, "L": list}
_CONTENTS |= {"SS": list, "NS": list, "BS": list}


def content_of(document: bytes) -> Any:
    """Return what the text of a document says, None if it is no JSON."""
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def document_of(item: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return the document of any item, without loss: what JSON cannot tell apart stays in DynamoDB's own notation."""
    # Nearly all attributes are texts.
    return {name: value["S"] if "S" in value else _plain(value) for name, value in item.items()}


def item_of(document: Mapping[str, Any]) -> Item:
    """Return the item whose document this is."""
    return {name: _typed(value) for name, value in document.items()}


def _is_attribute(value: Any) -> bool:
    """Tell whether a value looks like an attribute in DynamoDB's own notation."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((stored, content),) = value.items()
    return stored in _CONTENTS and isinstance(content, _CONTENTS[stored])


def is_notation(value: Any) -> bool:
    """Tell whether a value is an attribute in DynamoDB's own notation with all its members."""
    if not _is_attribute(value):
        return False
    members = value.get("L") or value.get("M", {}).values()
    return all(map(is_notation, members))


def _plain(value: Mapping[str, Any]) -> Any:
    if len(value) == 1:
        kind, content = next(iter(value.items()))
        if kind == "BOOL":
            return content
        if kind == "NULL":
            return None
        if kind == "N" and content.lstrip("-").isdigit():
            return int(content)
    return json.loads(json.dumps(dict(value), default=_base64))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _typed(value: Any) -> Attribute:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": value}
    if value is None:
        return {"NULL": True}
    return dict(value) if _is_attribute(value) else {"M": value}


def corrected(record: type[Record], document: Document) -> Document:
    """Return a document in which what the library reads in another type than the layout's has that of the layout.

    What it does not read stays as it is, as does JSON.
    """
    read = {name: _read(record, name, value) for name, value in document.items()}
    if all(value is read[name] for name, value in document.items()):
        return document
    return {name: value for name, value in read.items() if value is not _NOTHING}


def _read(record: type[Record], name: str, value: Any) -> Any:
    if record.types.get(name, Any) is Any:
        return value
    attribute = _typed(value)
    if reader_of(record, name)[0] in attribute and not isinstance(value, dict | float):
        return value
    try:
        read = value_of(record, name, attribute)
    except Fault:
        return value
    if read is None:
        return _NOTHING
    return read.isoformat() if isinstance(read, datetime) else read


def objection(record: type[Record], document: Document, name: str) -> str | None:
    """Return why the library does not read a column of a document, None if it does or if it is JSON."""
    if name not in document or record.types.get(name, Any) is Any:
        return None
    try:
        value_of(record, name, _typed(document[name]))
    except Fault as fault:
        return fault.reason
    return None
