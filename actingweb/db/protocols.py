"""The interface that applications program against; every backend's classes fit these protocols.

What holds for every method: an argument that is missing (None or "") never raises; None, False and empty results mean
that the database answered; a fault raises a `DbError`; an argument that cannot be stored raises `DbInputError` and
leaves everything as it was. Keys, names and values are text; lone surrogates in them become U+FFFD. Times in results
are aware UTC datetimes; time arguments are datetimes or ISO 8601 text, naive ones being UTC.

A `handle` is None or the loaded row, read-only, with its columns as attributes and items.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = [
    "DbActorListProtocol",
    "DbActorProtocol",
    "DbAttributeBucketListProtocol",
    "DbAttributeProtocol",
    "DbPeerTrusteeListProtocol",
    "DbPeerTrusteeProtocol",
    "DbPropertyListProtocol",
    "DbPropertyProtocol",
    "DbSubscriptionDiffListProtocol",
    "DbSubscriptionDiffProtocol",
    "DbSubscriptionListProtocol",
    "DbSubscriptionProtocol",
    "DbTrustListProtocol",
    "DbTrustProtocol",
    "SubscriptionSuspensionProtocol",
]


@runtime_checkable
class DbActorProtocol(Protocol):
    """One actor."""

    handle: Any

    def get(self, actor_id: str | None = None) -> dict[str, Any] | None:
        """Load the actor and return its `id`, `creator` and `passphrase`; None if there is none."""

    def get_by_creator(self, creator: str | None = None) -> list[dict[str, Any]] | None:
        """Return the actors of a creator by id, None without a creator.

        A creator with `@` is compared in lower case. The handle is set if there is exactly one. On DynamoDB an actor
        made a moment ago may be missing: the read goes through an index.
        """

    def create(self, actor_id: str | None = None, creator: str | None = None, passphrase: str | None = None) -> bool:
        """Store a new actor. False if the id is taken, which changes nothing, or missing."""

    def modify(self, creator: str | None = None, passphrase: str | bytes | None = None) -> bool:
        """Change what is given and not empty; `passphrase` is text or UTF-8. False without a handle or row."""

    def delete(self) -> bool:
        """Delete the handle's actor. False without a handle.

        On PostgreSQL its rows in all other tables but the attributes go with it; on DynamoDB the caller wipes them
        list by list before.
        """


@runtime_checkable
class DbActorListProtocol(Protocol):
    """All actors."""

    handle: Any

    def fetch(self) -> list[dict[str, Any]]:
        """Return `id` and `creator` of all actors, by id."""

    def iterate(self, page_size: int = 500) -> Iterator[dict[str, Any]]:
        """Yield `id` and `creator` of all actors in any order, in bounded memory, `page_size` to a request."""


@runtime_checkable
class DbPropertyProtocol(Protocol):
    """One property of an actor: a name and a text.

    A property is indexed if look-up mode is on and its name is listed and does not begin with `list:`. The first
    actor that stores a value of an indexed property claims it, and is found by it until it changes or deletes the
    property.
    """

    handle: Any

    def get(self, actor_id: str | None = None, name: str | None = None) -> str | None:
        """Return the stored text, None if there is none."""

    def get_many(self, actor_id: str | None = None, names: Any = None) -> dict[str, str]:
        """Return the stored texts of those of these names, or of one given as text, that exist, by name.

        The handle stays as it is.
        """

    def set(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        """Store a value: text as it is, anything else as JSON or else its `str`. None and "" delete.

        False only if the actor or name is missing.
        """

    def set_many(
        self,
        actor_id: str | None = None,
        values: Mapping[str, Any] | None = None,
        chunk_size: int | None = None,
    ) -> bool:
        """Store values by name, each as `set` does, all of them or none. The handle stays as it is.

        False only if the actor, the values or a name is missing, which changes nothing; no values at all are True. A
        value or name that cannot be stored, and names that become equal, raise `DbInputError` before anything is
        stored.

        PostgreSQL stores any number in one transaction. On DynamoDB one holds at most 100 actions and 4 MB; a plain
        name counts as one action, an indexed one as four, or two if its value is empty. More raise `DbInputError`, or
        go in transactions of `chunk_size` names each, in the order of the names: a fault then leaves those stored that
        went before, and the call can be repeated.
        """

    def delete(self) -> bool:
        """Delete the handle's property. False without a handle."""

    def get_actor_id_from_property(self, name: str | None = None, value: str | None = None) -> str | None:
        """Return the actor whose property of this name holds exactly this value, None if there is none.

        In look-up mode only indexed names can be asked for, and only the actor with the claim is found.
        """

    def get_range(
        self,
        actor_id: str | None = None,
        lower: str | None = None,
        upper: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        """Return the properties with lower <= name <= upper in bytes, by name; with `keys_only`, "" for values.

        `lower=""` is the start; `upper=""` is nothing.
        """

    def get_prefix(
        self,
        actor_id: str | None = None,
        prefix: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        """Return the properties whose name begins with `prefix`, by name; with `keys_only`, "" for values."""

    def get_last_in_range(
        self, actor_id: str | None = None, lower: str | None = None, upper: str | None = None
    ) -> str | None:
        """Return the byte-greatest name with lower <= name <= upper, None if there is none."""

    def create_if_not_exists(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        """Store a value as `set` does if there is none yet; True if this call stored it. Empty values: False."""

    def set_if_value_equals(
        self,
        actor_id: str | None = None,
        name: str | None = None,
        expected: str | None = None,
        value: str | None = None,
    ) -> bool:
        """Store the text `value`, "" included, if the stored text is exactly `expected`; True if it was."""

    def delete_if_value_equals(
        self, actor_id: str | None = None, name: str | None = None, value: str | None = None
    ) -> bool:
        """Delete the property if the stored text is exactly `value`; True if it was."""

    def batch_delete(self, actor_id: str | None = None, names: Any = None) -> None:
        """Delete the properties of these names, or of one name given as text. Absent ones are fine."""


@runtime_checkable
class DbPropertyListProtocol(Protocol):
    """All properties of an actor."""

    handle: Any
    actor_id: str | None
    props: dict[str, str] | None

    def fetch(self, actor_id: str | None = None) -> dict[str, str] | None:
        """Return the properties whose name does not begin with `list:`, by name; None without an actor."""

    def fetch_all_including_lists(self, actor_id: str | None = None) -> dict[str, str] | None:
        """Return all properties, by name; None without an actor."""

    def delete(self) -> bool:
        """Delete all properties of the actor last fetched, and its claims. False without a fetch."""


@runtime_checkable
class DbTrustProtocol(Protocol):
    """One trust relationship of an actor with a peer.

    Results always have the texts `id`, `peerid`, `baseuri`, `type`, `relationship`, `secret`, `desc` and
    `verification_token` and the flags `approved`, `peer_approved` and `verified`; the other columns and
    `last_connected_at` only when they are not empty, times as ISO 8601 text.
    """

    handle: Any

    def get(
        self, actor_id: str | None = None, peerid: str | None = None, token: str | None = None
    ) -> dict[str, Any] | None:
        """Return the actor's trust with a peer, or without `peerid` the one whose secret is `token`; else None."""

    def get_many(self, actor_id: str | None = None, peerids: Any = None) -> list[dict[str, Any]]:
        """Return the actor's trusts with these peers, or with one given as text, as `get` does, by peer.

        Peers without a trust are left out. The handle stays as it is.
        """

    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        baseuri: str = "",
        peer_type: str = "",
        relationship: str = "",
        secret: str = "",
        approved: bool | str = False,
        verified: bool | str = False,
        peer_approved: bool | str = False,
        verification_token: str = "",
        desc: str = "",
        peer_identifier: str | None = None,
        established_via: str | None = None,
        created_at: datetime | str | None = None,
        last_accessed: datetime | str | None = None,
        last_connected_via: str | None = None,
        client_name: str | None = None,
        client_version: str | None = None,
        client_platform: str | None = None,
        oauth_client_id: str | None = None,
        aw_supported: str | None = None,
        aw_version: str | None = None,
        capabilities_fetched_at: datetime | str | None = None,
    ) -> bool:
        """Store a trust, replacing one with the same peer but for its `created_at`. False without actor or peer.

        `created_at` defaults to now, `last_accessed` to the `created_at` argument or now, `last_connected_via` to
        `established_via`. Flags given as text are False for "", 0, false, no and off.
        """

    def modify(
        self,
        baseuri: str | None = None,
        secret: str | None = None,
        desc: str | None = None,
        approved: bool | str | None = None,
        verified: bool | str | None = None,
        verification_token: str | None = None,
        peer_approved: bool | str | None = None,
        peer_identifier: str | None = None,
        established_via: str | None = None,
        created_at: datetime | str | None = None,
        last_accessed: datetime | str | None = None,
        last_connected_via: str | None = None,
        client_name: str | None = None,
        client_version: str | None = None,
        client_platform: str | None = None,
        oauth_client_id: str | None = None,
        aw_supported: str | None = None,
        aw_version: str | None = None,
        capabilities_fetched_at: datetime | str | None = None,
    ) -> bool:
        """Change what is not None; empty `baseuri`, `secret`, `desc`, `verification_token` and times count as None.

        False without a handle or when the row is gone.
        """

    def delete(self) -> bool:
        """Delete the handle's trust. False without a handle."""

    @classmethod
    def is_token_in_db(cls, actor_id: str | None = None, token: str | None = None) -> bool:
        """Tell whether a trust of the actor has this secret."""


@runtime_checkable
class DbTrustListProtocol(Protocol):
    """All trusts of an actor."""

    handle: Any
    actor_id: str | None
    trusts: list[dict[str, Any]] | None

    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's trusts by peer, shaped as by `DbTrust.get`."""

    def delete(self) -> bool:
        """Delete all trusts of the actor last fetched. False without a fetch."""


@runtime_checkable
class DbPeerTrusteeProtocol(Protocol):
    """One peer that an actor itself created. Results have `id`, `peerid`, `baseuri`, `type` and `passphrase`."""

    handle: Any

    def get(
        self, actor_id: str | None = None, peer_type: str | None = None, peerid: str | None = None
    ) -> dict[str, Any] | Literal[False] | None:
        """Return the peer trustee, or without `peerid` the only one of a type; None if none, False if several."""

    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        peer_type: str | None = None,
        baseuri: str | None = None,
        passphrase: str | None = None,
    ) -> bool:
        """Store a new peer trustee. False if it exists, which changes nothing, or actor, peer or type is missing."""

    def modify(self, peer_type: str | None = None, baseuri: str | None = None, passphrase: str | None = None) -> bool:
        """Change what is given and not empty. False without a handle or when the row is gone."""

    def delete(self) -> bool:
        """Delete the handle's peer trustee. False without a handle."""


@runtime_checkable
class DbPeerTrusteeListProtocol(Protocol):
    """All peer trustees of an actor."""

    handle: Any
    actor_id: str | None
    peertrustees: list[dict[str, Any]] | None

    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's peer trustees by peer."""

    def delete(self) -> bool:
        """Delete all peer trustees of the actor last fetched. False without a fetch."""


@runtime_checkable
class DbSubscriptionProtocol(Protocol):
    """One subscription of a peer to an actor.

    Results have the texts `id`, `peerid`, `subscriptionid`, `granularity`, `target`, `subtarget` and `resource`
    ("" when unset), the int `sequence` and the bool `callback`.
    """

    handle: Any

    def get(
        self, actor_id: str | None = None, peerid: str | None = None, subid: str | None = None
    ) -> dict[str, Any] | None:
        """Return the subscription; None if there is none or a part of the key is missing."""

    def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        subid: str | None = None,
        granularity: str | None = None,
        target: str | None = None,
        subtarget: str | None = None,
        resource: str | None = None,
        seqnr: int = 0,
        callback: bool | str = False,
    ) -> bool:
        """Store a new subscription. False if it exists, which changes nothing, or a part of the key is missing."""

    def modify(
        self,
        peerid: str | None = None,
        subid: str | None = None,
        granularity: str | None = None,
        target: str | None = None,
        subtarget: str | None = None,
        resource: str | None = None,
        seqnr: int | None = None,
        callback: bool | str | None = None,
    ) -> bool:
        """Change what is given; empty texts count as not given. False without a handle or when the row is gone.

        Raise `DbInputError` for another `peerid` or `subid` than the row's: the key cannot change.
        """

    def increment_seqnr(self, by: int = 1) -> int | None:
        """Add to the sequence number atomically and return the new one; None without a handle or row."""

    def delete(self) -> bool:
        """Delete the handle's subscription, not its diffs. False without a handle."""


@runtime_checkable
class DbSubscriptionListProtocol(Protocol):
    """All subscriptions to an actor."""

    handle: Any
    actor_id: str | None
    subscriptions: list[dict[str, Any]] | None

    def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's subscriptions by peer and subscription id."""

    def delete(self) -> bool:
        """Delete all subscriptions of the actor last fetched. False without a fetch."""


@runtime_checkable
class DbSubscriptionDiffProtocol(Protocol):
    """One change that a subscription has not delivered yet.

    Results have `id`, `subscriptionid`, `timestamp` (of the create), `data` and the int `sequence`.
    """

    handle: Any

    def get(
        self, actor_id: str | None = None, subid: str | None = None, seqnr: int | None = None
    ) -> dict[str, Any] | None:
        """Return the diff of a number, or of the lowest number for None. Without any argument, the handle's."""

    def create(
        self, actor_id: str | None = None, subid: str | None = None, diff: str | None = "", seqnr: int = 1
    ) -> bool:
        """Store a new diff. False if the number is taken, which changes nothing, or actor or id is missing."""

    def create_many(
        self, actor_id: str | None = None, diffs: Iterable[tuple[str, int, str | None]] | None = None
    ) -> list[bool]:
        """Store new diffs, given as `(subid, seqnr, diff)`, and return for each, in order, what `create` answers.

        Of two with one number the first is stored. All have the time of this call. The handle stays as it is. What
        cannot be stored raises `DbInputError` before anything is stored.

        PostgreSQL stores them in one statement. On DynamoDB up to 100, or 4 MB, go in one transaction, more in several:
        a fault then leaves those stored that went before.
        """

    def delete(self) -> bool:
        """Delete the handle's diff. False without a handle."""


@runtime_checkable
class DbSubscriptionDiffListProtocol(Protocol):
    """The diffs of a subscription, or of all subscriptions to an actor."""

    handle: Any
    actor_id: str | None
    subid: str | None
    diffs: list[dict[str, Any]] | None

    def fetch(self, actor_id: str | None = None, subid: str | None = None) -> list[dict[str, Any]]:
        """Return a subscription's diffs by number, or all of the actor's by number and id. The text is `diff`."""

    def delete(self, seqnr: int | None = None) -> bool:
        """Delete what was last fetched up to and including a number, all for None or 0. False without a fetch."""


@runtime_checkable
class SubscriptionSuspensionProtocol(Protocol):
    """The suspended targets of one actor. A suspended target suspends all its subtargets."""

    _actor_id: str | None

    def is_suspended(self, target: str, subtarget: str | None = None) -> bool:
        """Tell whether the target, or this subtarget of it, is suspended."""

    def suspend(self, target: str, subtarget: str | None = None) -> bool:
        """Suspend exactly this pair; True if it was not suspended before."""

    def resume(self, target: str, subtarget: str | None = None) -> bool:
        """Resume exactly this pair; True if it was suspended."""

    def get_all_suspended(self) -> list[tuple[str, str | None]]:
        """Return the suspended pairs, sorted."""

    def delete_all(self) -> bool:
        """Resume everything. False without an actor."""


@runtime_checkable
class DbAttributeProtocol(Protocol):
    """Internal attributes of an actor: JSON values by bucket and name.

    An entry is `{"data": value, "timestamp": datetime or None}`. An expired attribute is absent for everything but the
    deletes that sweep. All methods can be called on the class.
    """

    @classmethod
    def get_bucket(cls, actor_id: str | None = None, bucket: str | None = None) -> dict[str, dict[str, Any]] | None:
        """Return the entries of a bucket by name; None without actor or bucket."""

    @classmethod
    def get_attr(
        cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        """Return the entry, None if there is none."""

    @classmethod
    def get_attr_strict(
        cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        """Return the entry, None if there is none; the same as `get_attr`."""

    @classmethod
    def set_attr(
        cls,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        """Store an attribute whole: what is left out is cleared. Falsy data deletes. False if a key part is missing.

        `ttl_seconds` counts from now; the row stays an hour longer, for servers whose clocks differ.
        """

    @classmethod
    def delete_attr(cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None) -> bool:
        """Delete an attribute; True also if there was none. False if a key part is missing."""

    @classmethod
    def delete_attr_conditional(
        cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> bool:
        """Delete an attribute; True only if this call removed it. If it raises, the caller has not won."""

    @classmethod
    def conditional_update_attr(
        cls,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        old_data: Any = None,
        new_data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        """Replace the data if it equals `old_data` as a JSON value; True if it did. Never makes an attribute.

        `timestamp` and the time to live stay unless they are given.
        """

    @classmethod
    def delete_bucket(cls, actor_id: str | None = None, bucket: str | None = None) -> bool:
        """Delete a bucket; True also if it was empty. False without actor or bucket."""

    @classmethod
    def delete_expired(cls, now_epoch: int | None = None, buckets: Any = None) -> int:
        """Delete what expired before `now_epoch` (seconds, default now), in these buckets or all; return how many.

        PostgreSQL deletes 10,000 rows in one transaction and goes on until none is left; a fault leaves what is deleted
        by then deleted, and the call can be repeated. A row that another call is writing or deleting is not waited for:
        whether or not it stays expired, the next purge looks at it again.

        On DynamoDB 0, without a request: the table's own time to live does it.
        """

    @classmethod
    def delete_by_chain(
        cls,
        actor_id: str | None = None,
        buckets: Any = None,
        chain_id: Any = None,
        defer_name: str | None = None,
    ) -> int:
        """Delete the attributes in these buckets whose data is an object with this `chain_id`; return how many.

        The one named `defer_name` goes last, when all others are gone.
        """


@runtime_checkable
class DbAttributeBucketListProtocol(Protocol):
    """All attributes of an actor. All methods can be called on the class."""

    @classmethod
    def fetch(cls, actor_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]] | None:
        """Return the entries by bucket and name; None without an actor."""

    @classmethod
    def fetch_timestamps(cls, actor_id: str | None = None) -> dict[str, datetime | None] | None:
        """Return the latest timestamp in each bucket, None where no attribute has one; None without an actor."""

    @classmethod
    def delete(cls, actor_id: str | None = None) -> bool:
        """Delete all attributes of the actor; True also if there were none. False without an actor."""
