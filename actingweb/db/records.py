"""The stored rows, one record type per table. Only this module lists the columns, with their types and order.

Both backends derive their SELECT and INSERT lists, item encodings, models and schema from these types.
"""

from collections import namedtuple
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self, dataclass_transform

__all__ = [
    "ActorRecord",
    "AttributeRecord",
    "EncodedAttribute",
    "PeerTrusteeRecord",
    "PropertyLookupRecord",
    "PropertyRecord",
    "Record",
    "SubscriptionDiffRecord",
    "SubscriptionRecord",
    "SubscriptionSuspensionRecord",
    "TrustRecord",
]


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Record(tuple[Any, ...]):
    """One stored row: read-only, with its fields as attributes and as items (`record.id`, `record["id"]`).

    A subclass declares its columns as annotations, in the order of the table; `| None` marks one that may be absent.
    A record is made with a named value for every column. Times are aware and in UTC.

    Attributes:
        table: the PostgreSQL table, and the suffix of the DynamoDB table unless that names its own.
        key: the columns of the primary key, in order; they come first.
        fields: the columns, in order.
    """

    __slots__ = ()

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]
    fields: ClassVar[tuple[str, ...]]
    types: ClassVar[dict[str, Any]]

    def __init_subclass__(cls, *, table: str, key: tuple[str, ...]) -> None:
        cls.table = table
        cls.key = key
        cls.types = dict(cls.__annotations__)
        cls.fields = tuple(cls.types)
        # A named tuple is created and read faster than any other type with named fields.
        model = namedtuple(cls.__name__, cls.fields)  # type: ignore[misc]
        for name in ("__new__", *cls.fields):
            setattr(cls, name, model.__dict__[name])

    @classmethod
    def make(cls, row: Iterable[Any]) -> Self:
        """Return the record of a row whose values are in the order of `fields`."""
        return tuple.__new__(cls, row)

    def replace(self, **values: Any) -> Self:
        """Return a copy with the named fields changed."""
        row = list(self)
        for name, value in values.items():
            row[self.fields.index(name)] = value
        return self.make(row)

    def asdict(self) -> dict[str, Any]:
        """Return the fields as a new dict, in the order of the table."""
        return dict(zip(self.fields, self, strict=True))

    def key_values(self) -> tuple[Any, ...]:
        """Return the values of the primary key."""
        return tuple.__getitem__(self, slice(len(self.key)))

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            if item not in self.types:
                raise KeyError(item)
            return getattr(self, item)
        return tuple.__getitem__(self, item)

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).make, (tuple(self),)

    def __repr__(self) -> str:
        key = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.key)
        return f"{type(self).__name__}({key})"


class ActorRecord(Record, table="actors", key=("id",)):
    """An actor. PostgreSQL's table also has `created_at`, which is never read."""

    __slots__ = ()
    id: str
    creator: str
    passphrase: str


class PropertyRecord(Record, table="properties", key=("id", "name")):
    """A property of an actor."""

    __slots__ = ()
    id: str
    name: str
    value: str


class PropertyLookupRecord(Record, table="property_lookup", key=("lookup_key",)):
    """The claim of an actor on one value of an indexed property. It contains a hash of the value, never the value."""

    __slots__ = ()
    lookup_key: str
    property_name: str
    actor_id: str


class TrustRecord(Record, table="trusts", key=("id", "peerid")):
    """A trust relationship of an actor with a peer."""

    __slots__ = ()
    id: str
    peerid: str
    baseuri: str
    type: str
    relationship: str
    secret: str
    desc: str | None
    approved: bool
    peer_approved: bool
    verified: bool
    verification_token: str | None
    peer_identifier: str | None
    established_via: str | None
    created_at: datetime | None
    last_accessed: datetime | None
    last_connected_via: str | None
    client_name: str | None
    client_version: str | None
    client_platform: str | None
    oauth_client_id: str | None
    aw_supported: str | None
    aw_version: str | None
    capabilities_fetched_at: datetime | None


class PeerTrusteeRecord(Record, table="peertrustees", key=("id", "peerid")):
    """A peer that the actor itself created."""

    __slots__ = ()
    id: str
    peerid: str
    baseuri: str
    type: str
    passphrase: str


class SubscriptionRecord(Record, table="subscriptions", key=("id", "peerid", "subid")):
    """A subscription of a peer to an actor."""

    __slots__ = ()
    id: str
    peerid: str
    subid: str
    granularity: str | None
    target: str | None
    subtarget: str | None
    resource: str | None
    seqnr: int
    callback: bool


class SubscriptionDiffRecord(Record, table="subscription_diffs", key=("id", "subid", "seqnr")):
    """One change that a subscription has not delivered yet."""

    __slots__ = ()
    id: str
    subid: str
    seqnr: int
    timestamp: datetime
    diff: str


class SubscriptionSuspensionRecord(Record, table="subscription_suspensions", key=("id", "target", "subtarget")):
    """A suspended target; `subtarget` is empty for the whole target."""

    __slots__ = ()
    id: str
    target: str
    subtarget: str
    suspended_at: datetime


class AttributeRecord(Record, table="attributes", key=("id", "bucket", "name")):
    """An internal attribute as it is read.

    Attributes:
        data: the JSON value.
        ttl_timestamp: the epoch second at which the attribute expires.
    """

    __slots__ = ()
    id: str
    bucket: str
    name: str
    data: Any
    timestamp: datetime | None
    ttl_timestamp: int | None


class EncodedAttribute(Record, table=AttributeRecord.table, key=AttributeRecord.key):
    """An internal attribute as it is written: the columns of `AttributeRecord`, but `data` is JSON text."""

    __slots__ = ()
    id: str
    bucket: str
    name: str
    data: str
    timestamp: datetime | None
    ttl_timestamp: int | None
