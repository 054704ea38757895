"""How each record is stored in its DynamoDB table: name, keys, attributes, indexes, time to live.

Requests, table creation, table checks, the PynamoDB models and the migration all take the layout from here. The
attributes and their types are those of the record; key attributes and keys of indexes are texts.
"""

from collections.abc import Mapping
from typing import Any

from actingweb.db.records import (
    ActorRecord,
    AttributeRecord,
    PeerTrusteeRecord,
    PropertyLookupRecord,
    PropertyRecord,
    Record,
    SubscriptionDiffRecord,
    SubscriptionRecord,
    SubscriptionSuspensionRecord,
    TrustRecord,
)

__all__ = [
    "ACTORS",
    "ATTRIBUTES",
    "DELIMITER",
    "PEER_TRUSTEES",
    "PROPERTIES",
    "PROPERTIES_WITH_INDEX",
    "PROPERTY_LOOKUPS",
    "PROPERTY_LOOKUPS_V1",
    "SUBSCRIPTIONS",
    "SUBSCRIPTION_DIFFS",
    "SUBSCRIPTION_SUSPENSIONS",
    "TRUSTS",
    "Layout",
    "compose",
    "required_layouts",
]

DELIMITER = ":"
"""Separates the parts of a composed key."""


class Layout:
    """How a record is stored in its table.

    Attributes:
        suffix: the table's name without the prefix.
        hash: the hash attribute.
        range: the range attribute, if there is one.
        key_names: both.
        composed: the range attribute that joins all key parts after the first, if there is one.
        sparse: texts that are left out of the item when they are empty.
        indexes: the hash attribute of each global secondary index, by the index's name; an index has all attributes.
        ttl: the attribute that holds the epoch second after which the database deletes the item.
        first_part: the attribute that stores the first part of a composed key. Different parts can join to the same
            range key (`a:b`+`c`, `a`+`b:c`); the stored first part says which parts an item belongs to.
    """

    def __init__(
        self,
        record: type[Record],
        suffix: str,
        *,
        composed: str | None = None,
        sparse: frozenset[str] = frozenset(),
        indexes: Mapping[str, str] | None = None,
        ttl: str | None = None,
    ) -> None:
        self.record = record
        self.suffix = suffix
        self.composed = composed
        self.sparse = sparse
        self.indexes = indexes or {}
        self.ttl = ttl
        self.hash = record.key[0]
        self.range = composed or (record.key[1] if len(record.key) > 1 else None)
        self.key_names = [self.hash, self.range] if self.range else [self.hash]
        self.first_part = record.key[1] if composed else None

    def key_texts(self, values: tuple[Any, ...]) -> list[str]:
        """Return the texts of the key attributes for a whole key."""
        texts = list(map(str, values))
        return [texts[0], compose(texts[1:])] if self.composed else texts


def compose(parts: list[str]) -> str:
    """Return the composed key of parts; an empty part is left out."""
    return DELIMITER.join(part for part in parts if part)


class _PropertyLookupV1Record(Record, table="property_lookup", key=("property_name", "value")):
    """A row of the first look-up table."""

    __slots__ = ()
    property_name: str
    value: str
    actor_id: str


ACTORS = Layout(ActorRecord, "actors", sparse=frozenset({"creator"}), indexes={"creator-index": "creator"})
ATTRIBUTES = Layout(AttributeRecord, "attributes", composed="bucket_name", ttl="ttl_timestamp")
PEER_TRUSTEES = Layout(PeerTrusteeRecord, "peertrustees")
PROPERTIES = Layout(PropertyRecord, "properties")
# The key of an index cannot be an empty text.
PROPERTIES_WITH_INDEX = Layout(
    PropertyRecord, "properties", sparse=frozenset({"value"}), indexes={"property-index": "value"}
)
"""The table of properties as the legacy reverse look-up needs it."""
PROPERTY_LOOKUPS = Layout(PropertyLookupRecord, "property_lookup_v2")
PROPERTY_LOOKUPS_V1 = Layout(_PropertyLookupV1Record, "property_lookup")
"""The first look-up table, which the library reads and never creates."""
SUBSCRIPTIONS = Layout(SubscriptionRecord, "subscriptions", composed="peer_sub_id")
SUBSCRIPTION_DIFFS = Layout(SubscriptionDiffRecord, "subscriptiondiffs", composed="subid_seqnr")
SUBSCRIPTION_SUSPENSIONS = Layout(
    SubscriptionSuspensionRecord, "subscription_suspensions", composed="target_key", sparse=frozenset({"subtarget"})
)
TRUSTS = Layout(TrustRecord, "trusts", sparse=frozenset({"secret"}), indexes={"secret-index": "secret"})


def required_layouts(use_lookup_table: bool) -> list[Layout]:
    """Return the layouts of the tables that must exist, in lookup mode or in legacy mode."""
    layouts = [
        ACTORS,
        ATTRIBUTES,
        PEER_TRUSTEES,
        PROPERTIES if use_lookup_table else PROPERTIES_WITH_INDEX,
        SUBSCRIPTIONS,
        SUBSCRIPTION_DIFFS,
        SUBSCRIPTION_SUSPENSIONS,
        TRUSTS,
    ]
    return [*layouts, PROPERTY_LOOKUPS] if use_lookup_table else layouts
