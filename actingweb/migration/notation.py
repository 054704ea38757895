"""DynamoDB's own notation, `{"id": {"S": "a1"}}`, as its exports, its API and its command line have it."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from actingweb.migration.canonical import document_of

__all__ = ["Encoder", "decoded", "is_notation", "plain", "strange"]

T = TypeVar("T")
Encoder = Callable[[Any], bytes]

_KINDS: dict[str, type] = dict.fromkeys("SNB", str) | dict.fromkeys(("BOOL", "NULL"), bool)
_KINDS |= {"M": dict} | dict.fromkeys(("L", "SS", "NS", "BS"), list)
_BESIDE_AN_ITEM = {"Item", "ConsumedCapacity", "ResponseMetadata"}

_INCREMENTAL = "changes of an incremental export of DynamoDB, not the rows of a table: make a full export"
_STRANGE = {
    "NewImage": _INCREMENTAL,
    "OldImage": _INCREMENTAL,
    "Keys": _INCREMENTAL,
    "dynamodb": "records of DynamoDB Streams, not the rows of a table",
    "PutRequest": "requests of batch-write-item: take the items out of them",
    "Responses": "an answer to batch-get-item: take the items out of it",
    "Table": "the description of a table",
    "exportArn": "the summary of an export of DynamoDB: use --format dynamodb-export",
    "dataFileS3Key": "the manifest of an export of DynamoDB: use --format dynamodb-export",
    "document": "rows that an import rejected: use `replay`",
    "sha256": "a manifest",
}
"""What documents are that have such an attribute, and no `id` or other key."""


def decoded(text: bytes, use: Callable[[Any, Encoder], T]) -> T | None:
    """Return what `use` makes of JSON text and of what encodes documents; None for what is no JSON, or of no use.

    `use` raises `ValueError` for what it has no use for.
    """
    with suppress(ValueError):
        return use(from_json(text), to_json)
    # The slower decoder takes lone surrogates, and any depth.
    with suppress(ValueError, RecursionError):
        return use(json.loads(text), lambda content: json.dumps(content).encode())
    return None


def is_notation(document: bytes) -> bool:
    """Tell whether a document is an item in DynamoDB's notation, or an object that holds an item."""
    return bool(decoded(document, lambda content, _: _is_item(content) or _holds_item(content)))


def plain(document: bytes) -> bytes:
    """Return the document of an item in DynamoDB's notation, or of an object that holds it; any other as it is."""
    return decoded(document, _plain) or document


def strange(document: bytes) -> str | None:
    """Return what a document is that cannot be the row of a table, as far as it is known."""
    return decoded(document, lambda content, _: _strange(content))


def _strange(content: Any) -> str | None:
    if not isinstance(content, dict) or not content.keys().isdisjoint({"id", "property_name", "Item"}):
        return None
    return next((name for key, name in _STRANGE.items() if key in content), None)


def _plain(content: Any, encode: Encoder) -> bytes:
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
