"""The tiny space of rows that histories write: a few keys of several tables, and values that collide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from actingweb.db.dynamodb.items import Item, encode
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.records import (
    ActorRecord,
    EncodedAttribute,
    PropertyLookupRecord,
    PropertyRecord,
    SubscriptionRecord,
)
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, CLAIMS_V2, MAPPINGS, PROPERTIES, TableMapping

__all__ = ["ATTRIBUTES", "INDEXED", "NAMES", "SUBSCRIPTIONS", "TABLES", "VALUES", "Rows", "definition"]

ATTRIBUTES, SUBSCRIPTIONS = MAPPINGS[2], MAPPINGS[5]
TABLES = (ACTORS, PROPERTIES, ATTRIBUTES, SUBSCRIPTIONS, CLAIMS_V2, CLAIMS_V1)
INDEXED = "email"
NAMES = (INDEXED, "name")
VALUES = ("x", "y")
# Both pairs join to the same range key.
_SUBSCRIPTION_PARTS = (("p", "q:s"), ("p:q", "s"), ("p", "s"))
_UNSTORABLE = "\x00"


def definition(layout: Layout, name: str) -> dict[str, Any]:
    """Return the request that creates the table of a layout."""
    keys = [
        {"AttributeName": part, "KeyType": kind}
        for part, kind in zip(layout.key_names, ("HASH", "RANGE"), strict=False)
    ]
    attributes = [{"AttributeName": part, "AttributeType": "S"} for part in layout.key_names]
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": keys,
        "AttributeDefinitions": attributes,
    }


class Rows:
    """Makes random items of the tables.

    Attributes:
        actors: the ids of the actors.
        storable: whether PostgreSQL can hold all of them, each with a key of its own.
    """

    def __init__(self, random: Random, actors: list[str], *, storable: bool = False) -> None:
        self.random = random
        self.actors = actors
        self.storable = storable
        self._written = 0
        self._makers: dict[TableMapping, Callable[[], Item]] = {
            ACTORS: self.actor,
            PROPERTIES: lambda: self.property(self.some_actor(), random.choice(NAMES), random.choice(VALUES)),
            ATTRIBUTES: self.attribute,
            SUBSCRIPTIONS: self.subscription,
            CLAIMS_V2: lambda: self.claim(self.some_actor(), random.choice(NAMES), random.choice(VALUES)),
            CLAIMS_V1: self._older_claim,
        }

    def some_actor(self) -> str:
        """Return the id of an actor."""
        return self.random.choice(self.actors)

    def some(self, mapping: TableMapping) -> Item:
        """Return any item of a table; the key is one of few."""
        return self._makers[mapping]()

    def _is_bad(self, probability: float) -> bool:
        return not self.storable and self.random.random() < probability

    def _new_text(self) -> str:
        self._written += 1
        return f"v{self._written}"

    def actor(self, actor_id: str | None = None) -> Item:
        """Return the item of an actor, with content that no other has."""
        record = ActorRecord(
            id=actor_id or self.some_actor(), creator=self.random.choice(["", "c"]), passphrase=self._new_text()
        )
        return encode(ACTORS.layout, record)

    def property(self, actor_id: str, name: str, value: str) -> Item:
        """Return the item of a property, sometimes with a value that PostgreSQL cannot store."""
        stored = _UNSTORABLE if self._is_bad(0.05) else value
        return encode(PROPERTIES.layout, PropertyRecord(id=actor_id, name=name, value=stored))

    def claim(self, actor_id: str, name: str, value: str) -> Item:
        """Return the item of a claim."""
        record = PropertyLookupRecord(lookup_key=compute_lookup_key(name, value), property_name=name, actor_id=actor_id)
        return encode(CLAIMS_V2.layout, record)

    def _older_claim(self) -> Item:
        texts = {
            "property_name": self.random.choice(NAMES),
            "value": self.random.choice(VALUES),
            "actor_id": self.some_actor(),
        }
        return {name: {"S": text} for name, text in texts.items()}

    def attribute(self) -> Item:
        """Return the item of an attribute."""
        record = EncodedAttribute(
            id=self.some_actor(),
            bucket="b",
            name="n",
            data=f'{{"a": "{self._new_text()}"}}',
            timestamp=datetime(2026, 1, 1, tzinfo=UTC),
            ttl_timestamp=None,
        )
        return encode(ATTRIBUTES.layout, record)

    def subscription(self) -> Item:
        """Return the item of a subscription, sometimes with a number that is none."""
        peerid, subid = self.random.choice(_SUBSCRIPTION_PARTS[1:] if self.storable else _SUBSCRIPTION_PARTS)
        record = SubscriptionRecord(
            id=self.some_actor(),
            peerid=peerid,
            subid=subid,
            granularity=self._new_text(),
            target=None,
            subtarget=None,
            resource=None,
            seqnr=self.random.randrange(3),
            callback=False,
        )
        item = encode(SUBSCRIPTIONS.layout, record)
        return item | {"seqnr": {"S": "not a number"}} if self._is_bad(0.1) else item

    def keys(self, mapping: TableMapping) -> Iterator[Item]:
        """Yield one item for each of the few keys of a table."""
        wanted: dict[str, Item] = {}
        for _ in range(40):
            item = self.some(mapping)
            wanted.setdefault(str([item[name] for name in mapping.layout.key_names]), item)
        yield from wanted.values()
