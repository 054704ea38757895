"""Tables: items by key, in the order in which a scan returns them."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from tests.live.histories.fake.expressions import Item, comparable
from tests.live.histories.fake.faults import invalid
from tests.live.histories.fake.streams import PARTITIONS, Stream

__all__ = ["Key", "Table"]

Json = dict[str, Any]
Key = tuple[Any, ...]
"""The contents of the key attributes."""


@dataclass(eq=False)
class Table:
    """A table.

    Attributes:
        definition: the request that created it.
        polls: how often it must be described until it is active.
        stream: the one that takes the records, or the last one that did.
    """

    name: str
    definition: Json
    polls: int = 0
    stream: Stream | None = None
    time_to_live: str | None = None
    items: dict[Key, Item] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The name that is unique in the world."""
        return f"arn:aws:dynamodb:us-west-1:000000000000:table/{self.name}"

    @property
    def key_names(self) -> list[str]:
        """The key attributes, the hash key first."""
        return [part["AttributeName"] for part in self.definition["KeySchema"]]

    def key_of(self, item: Item) -> Key:
        """Return the key of an item or of a request. Raise `ServiceError` if it has none."""
        contents = []
        for name in self.key_names:
            content = item.get(name, {}).get("S")
            if content is None:
                raise invalid(
                    f"One or more parameter values were invalid: Missing the key {name} in the item"
                    if len(item) != len(self.key_names)
                    else "The provided key element does not match the schema"
                )
            if not content:
                raise invalid(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty string value. Key: {name}"
                )
            contents.append(content)
        return tuple(contents)

    def key_only(self, key: Json) -> Key:
        """Return the key of a request that has nothing else in its place. Raise `ServiceError`."""
        if set(key) != set(self.key_names):
            raise invalid("The provided key element does not match the schema")
        return self.key_of(key)

    def key_item(self, key: Key) -> Item:
        """Return the key attributes."""
        return {name: {"S": content} for name, content in zip(self.key_names, key, strict=True)}

    def store(self, key: Key, item: Item | None) -> None:
        """Store an item, or remove it, and write the record of the change, if it is one."""
        old = self.items.get(key)
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item
        if self.stream is not None and old != item:
            self.stream.append(part_of(key), self.key_item(key), old, item)

    def sorted(self, index: str | None = None) -> list[Item]:
        """Return the items in the order of a scan, or of an index."""
        if index is None:
            return [self.items[key] for key in sorted(self.items, key=place_of)]
        names = self._index_key(index)
        present = [self.items[key] for key in sorted(self.items, key=place_of)]
        present = [item for item in present if all(name in item for name in names)]
        return sorted(present, key=lambda item: comparable("S", item[names[0]]["S"]))

    def described(self) -> Json:
        """Return the table as DescribeTable does."""
        description: Json = {
            "TableName": self.name,
            "TableArn": self.arn,
            "TableId": str(md5(self.name.encode()).hexdigest()),
            "TableStatus": "UPDATING" if self.polls else "ACTIVE",
            "KeySchema": self.definition["KeySchema"],
            "AttributeDefinitions": self.definition["AttributeDefinitions"],
            "ItemCount": len(self.items),
            "TableSizeBytes": 100 * len(self.items),
            "CreationDateTime": 1767225600.0,
            "BillingModeSummary": {"BillingMode": self.definition.get("BillingMode", "PAY_PER_REQUEST")},
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0},
        }
        if self.stream is not None:
            description |= {"LatestStreamArn": self.stream.arn, "LatestStreamLabel": self.stream.label}
            if self.stream.enabled:
                description["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": self.stream.view}
        indexes = self.definition.get("GlobalSecondaryIndexes", [])
        if indexes:
            description["GlobalSecondaryIndexes"] = [{**index, "IndexStatus": "ACTIVE"} for index in indexes]
        return description

    def _index_key(self, index: str) -> list[str]:
        for one in self.definition.get("GlobalSecondaryIndexes", []):
            if one["IndexName"] == index:
                return [part["AttributeName"] for part in one["KeySchema"]]
        raise invalid(f"The table does not have the specified index: {index}")


def _digest(key: Key) -> int:
    return int.from_bytes(md5(str(key[0]).encode()).digest()[:8])


def part_of(key: Key) -> int:
    """Return the part of the key space that a key belongs to."""
    return _digest(key) * PARTITIONS >> 64


def place_of(key: Key) -> tuple[int, tuple[bytes, ...]]:
    """Return a value in whose order a scan returns the items."""
    return _digest(key), tuple(str(content).encode() for content in key)


def segment_of(key: Key, segments: int) -> int:
    """Return the segment of a parallel scan that a key belongs to."""
    return _digest(key) * segments >> 64
