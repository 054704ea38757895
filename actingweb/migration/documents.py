"""Documents: DynamoDB items as plain JSON objects, and the conversion of values whose type is not the layout's.

A document has the item's attributes as `Model.to_dict()` and the exported files have them. Values that plain JSON
cannot tell apart stay in DynamoDB JSON, as in `{"SS": ["a"]}`.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.stored_types import Attribute, reader_of, value_of
from actingweb.db.faults import Fault
from actingweb.db.records import Record

__all__ = [
    "Document",
    "content_of",
    "corrected",
    "digest_of",
    "document_of",
    "is_dynamodb_json",
    "item_of",
    "key_of",
    "read_error",
]

Document = dict[str, Any]

_ABSENT = object()
_CONTENTS: dict[str, type] = {"S": str, "N": str, "B": str, "BOOL": bool, "NULL": bool, "M": dict, "L": list}
_CONTENTS |= {"SS": list, "NS": list, "BS": list}


def content_of(document: bytes) -> Any:
    """Return the decoded text of a document, None if it is not JSON."""
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def digest_of(document: bytes) -> str:
    """Return a digest of a document's content, in whatever order its attributes are."""
    content = content_of(document)
    return hashlib.sha256(document if content is None else json.dumps(content, sort_keys=True).encode()).hexdigest()


def document_of(item: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return the document of an item, without loss."""
    # Nearly all attributes are strings.
    return {name: value["S"] if "S" in value else _plain(value) for name, value in item.items()}


def item_of(document: Mapping[str, Any]) -> Item:
    """Return the item that a document was made of."""
    return {name: _typed(value) for name, value in document.items()}


def _looks_typed(value: Any) -> bool:
    """Tell whether the outermost level of a value looks like DynamoDB JSON."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((stored, content),) = value.items()
    return stored in _CONTENTS and isinstance(content, _CONTENTS[stored])


def is_dynamodb_json(value: Any) -> bool:
    """Tell whether a value is an attribute in DynamoDB JSON, at all levels."""
    if not _looks_typed(value):
        return False
    members = value.get("L") or value.get("M", {}).values()
    return all(map(is_dynamodb_json, members))


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
    return dict(value) if _looks_typed(value) else {"M": value}


def corrected(record: type[Record], document: Document) -> Document:
    """Return a document whose values have the types of the layout, as far as the library can read them.

    Other values, and JSON columns, stay as they are.
    """
    read = {name: _read(record, name, value) for name, value in document.items()}
    if all(value is read[name] for name, value in document.items()):
        return document
    return {name: value for name, value in read.items() if value is not _ABSENT}


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
        return _ABSENT
    return read.isoformat() if isinstance(read, datetime) else read


def read_error(record: type[Record], document: Document, name: str) -> str | None:
    """Return why the library cannot read a column of a document; None if it can, or if the column is JSON."""
    if name not in document or record.types.get(name, Any) is Any:
        return None
    try:
        value_of(record, name, _typed(document[name]))
    except Fault as fault:
        return fault.reason
    return None


def key_of(record: type[Record], document: bytes) -> Document:
    """Return the columns of the primary key that a document has."""
    content = content_of(document)
    if not isinstance(content, dict):
        return {}
    return corrected(record, {name: content[name] for name in record.key if name in content})
