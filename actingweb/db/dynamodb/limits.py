"""The limits of the database. Sizes are in bytes of UTF-8."""

from typing import Any

from actingweb.db.dynamodb.items import Item, encode, size_of
from actingweb.db.dynamodb.layouts import DELIMITER, Layout, compose
from actingweb.db.faults import input_error
from actingweb.db.policy.entity import Limits
from actingweb.db.records import Record

__all__ = [
    "HASH_BYTES",
    "INDEX_BYTES",
    "RANGE_BYTES",
    "TRANSACTION_ACTIONS",
    "TRANSACTION_BYTES",
    "DynamoLimits",
    "check_item",
    "check_row",
    "check_transaction",
    "checked_item",
    "too_long",
]

HASH_BYTES = 2048
RANGE_BYTES = 1024
INDEX_BYTES = 2048
ITEM_BYTES = 400 * 1024
_OTHER_BYTES = 8 * 1024
TRANSACTION_ACTIONS = 100
TRANSACTION_BYTES = 4_000_000
DIGITS = 38


def too_long(name: str, value: str, limit: int) -> str | None:
    """Return why a text does not fit into `limit` bytes, or None."""
    if len(value) * 4 <= limit:
        return None
    size = len(value.encode())
    return f"{name} is {size} bytes, the limit is {limit}" if size > limit else None


class DynamoLimits(Limits):
    """The limits of one table."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._indexed = frozenset(layout.indexes.values())

    def key(self, record: type[Record], values: tuple[Any, ...]) -> str | None:
        hash_problem = too_long(record.key[0], values[0], HASH_BYTES) if values else None
        return hash_problem or (self._range_problem(values[1:]) if len(values) > 1 else None)

    def _range_problem(self, parts: tuple[Any, ...]) -> str | None:
        for part in parts:
            if isinstance(part, int) and (problem := self.number(part)) is not None:
                return problem
        text = compose([str(part) for part in parts])
        if self._layout.composed and len(parts) < len(self._layout.record.key) - 1:
            text += DELIMITER
        return too_long(self._layout.range or "", text, RANGE_BYTES)

    def field(self, record: type[Record], name: str, value: str) -> str | None:
        is_key = record is self._layout.record and name in self._indexed
        return too_long(name, value, INDEX_BYTES) if is_key else None

    def limited(self, record: type[Record]) -> frozenset[str]:
        return super().limited(record) | (self._indexed if record is self._layout.record else frozenset())

    def number(self, value: int) -> str | None:
        # Compared without converting to text, because Python limits the digits of such a conversion.
        if abs(value) < 10**DIGITS:
            return None
        return f"a number has more than {DIGITS} digits"


def checked_item(layout: Layout, record: Record) -> Item:
    """Return the item of a record. Reject one that is too large."""
    item = encode(layout, record)
    if not _is_small(record):
        check_item(item)
    return item


def check_row(layout: Layout, record: Record) -> None:
    """Reject a record whose item would be too large."""
    if not _is_small(record):
        check_item(encode(layout, record))


def _is_small(record: Record) -> bool:
    """Tell without encoding a record whether its item is far from too large, as nearly every item is."""
    # A character takes four bytes at most, and again in a composed key; numbers, times and names take much less.
    return sum([len(value) for value in record if isinstance(value, str)]) * 8 + _OTHER_BYTES <= ITEM_BYTES


def check_item(item: Item) -> None:
    """Reject an item that is too large."""
    size = size_of(item)
    if size > ITEM_BYTES:
        raise input_error(f"the item is {size} bytes, the limit is {ITEM_BYTES}")


def check_transaction(actions: int, size: int) -> None:
    """Reject a transaction with too many actions or too many bytes."""
    if actions > TRANSACTION_ACTIONS:
        raise input_error(
            f"the values need up to {actions} actions, the limit of a transaction is {TRANSACTION_ACTIONS}: "
            "pass chunk_size, or a smaller one"
        )
    if size > TRANSACTION_BYTES:
        raise input_error(
            f"the values need {size} bytes, the limit of a transaction is {TRANSACTION_BYTES}: "
            "pass chunk_size, or a smaller one"
        )
