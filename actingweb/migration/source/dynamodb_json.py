"""DynamoDB JSON, `{"id": {"S": "a1"}}`, as the exports, the API and the command line of DynamoDB write it."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from actingweb.migration.documents import document_of

__all__ = ["Encoder", "decode", "foreign_format", "is_dynamodb_json", "plain_document"]

T = TypeVar("T")
Encoder = Callable[[Any], bytes]

_KINDS: dict[str, type] = dict.fromkeys("SNB", str) | dict.fromkeys(("BOOL", "NULL"), bool)
_KINDS |= {"M": dict} | dict.fromkeys(("L", "SS", "NS", "BS"), list)
_BESIDE_AN_ITEM = {"Item", "ConsumedCapacity", "ResponseMetadata"}

_INCREMENTAL = "changes of an incremental export of DynamoDB, not the rows of a table: make a full export"
_FOREIGN_FORMATS = {
    "NewImage": _INCREMENTAL,
    "OldImage": _INCREMENTAL,
    "Keys": _INCREMENTAL,
    "dynamodb": "records of DynamoDB Streams, not the rows of a table",
    "PutRequest": "requests of batch-write-item: take the items out of them",
    "Responses": "a response to batch-get-item: take the items out of it",
    "Table": "the description of a table",
    "exportArn": "the summary of an export of DynamoDB: use --format dynamodb-export",
    "dataFileS3Key": "the manifest of an export of DynamoDB: use --format dynamodb-export",
    "document": "rows that an import rejected: use `replay`",
    "sha256": "a manifest",
}
"""What a file contains whose first object has such an attribute, and no key of a row."""


def decode(text: bytes, use: Callable[[Any, Encoder], T]) -> T | None:
    """Decode JSON text and return `use(content, encoder)`; None if it is not JSON or `use` raises `ValueError`."""
    with suppress(ValueError):
        return use(from_json(text, cache_strings="keys"), to_json)
    # The slower decoder accepts lone surrogates, and deeper nesting.
    with suppress(ValueError, RecursionError):
        return use(json.loads(text), lambda content: json.dumps(content).encode())
    return None


def is_dynamodb_json(document: bytes) -> bool:
    """Tell whether a document is an item in DynamoDB JSON, or an object that contains one as `Item`."""
    return bool(decode(document, lambda content, _: _is_item(content) or _holds_item(content)))


def plain_document(document: bytes) -> bytes:
    """Convert an item in DynamoDB JSON, or an object that contains one, to a plain document; leave others unchanged."""
    return decode(document, _plain_document) or document


def foreign_format(document: bytes) -> str | None:
    """Return what a file contains whose first object this is; None if it may be the rows of a table."""
    return decode(document, lambda content, _: _foreign_format(content))


def _foreign_format(content: Any) -> str | None:
    if not isinstance(content, dict) or not content.keys().isdisjoint({"id", "property_name", "Item"}):
        return None
    return next((name for key, name in _FOREIGN_FORMATS.items() if key in content), None)


def _plain_document(content: Any, encode: Encoder) -> bytes:
    item = content["Item"] if _holds_item(content) else content
    if item is content and not _is_item(item):
        raise ValueError
    return encode(document_of(item) if _is_item(item) else item)


def _holds_item(content: Any) -> bool:
    return isinstance(content, dict) and "Item" in content and content.keys() <= _BESIDE_AN_ITEM


def _is_item(content: Any) -> bool:
    return isinstance(content, dict) and bool(content) and all(map(_is_typed, content.values()))


def _is_typed(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) != 1:
        return False
    kind, content = next(iter(value.items()))
    return kind in _KINDS and isinstance(content, _KINDS[kind])
