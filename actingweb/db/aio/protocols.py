"""The protocols of `actingweb.db.protocols`, with coroutines: what `actingweb.db.aio` returns.

`actingweb.db.protocols` has the rules that hold for every method.
"""

# scripts/generate_aio.py wrote this module.

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

__all__ = [
    "AsyncDbActorListProtocol",
    "AsyncDbActorProtocol",
    "AsyncDbAttributeBucketListProtocol",
    "AsyncDbAttributeProtocol",
    "AsyncDbPeerTrusteeListProtocol",
    "AsyncDbPeerTrusteeProtocol",
    "AsyncDbPropertyListProtocol",
    "AsyncDbPropertyProtocol",
    "AsyncDbSubscriptionDiffListProtocol",
    "AsyncDbSubscriptionDiffProtocol",
    "AsyncDbSubscriptionListProtocol",
    "AsyncDbSubscriptionProtocol",
    "AsyncDbTrustListProtocol",
    "AsyncDbTrustProtocol",
    "AsyncSubscriptionSuspensionProtocol",
]


@runtime_checkable
class AsyncDbActorProtocol(Protocol):
    """One actor."""

    @property
    def handle(self) -> Any: ...

    async def get(self, actor_id: str | None = None) -> dict[str, Any] | None:
        """Load an actor and return its `id`, `creator` and `passphrase`; None if there is no such actor."""

    async def get_by_creator(self, creator: str | None = None) -> list[dict[str, Any]] | None:
        """Return the actors of a creator, shaped as by `get` and in the order of their ids; None without a creator.

        A creator that contains `@` is stored and compared in lower case. If there is exactly one actor, it becomes the
        handle. On DynamoDB an actor that was just created may be missing, because the read uses an index.
        """

    async def create(
        self, actor_id: str | None = None, creator: str | None = None, passphrase: str | None = None
    ) -> bool:
        """Store a new actor. Return False, and change nothing, if the id is missing or exists already."""

    async def modify(self, creator: str | None = None, passphrase: str | bytes | None = None) -> bool:
        """Change the columns whose argument is not empty; bytes are UTF-8. False without a handle or a row."""

    async def delete(self) -> bool:
        """Delete the handle's actor. False without a handle.

        PostgreSQL also deletes the actor's rows in all other tables, except its attributes. On DynamoDB, delete them
        first, with the list classes.
        """


@runtime_checkable
class AsyncDbActorListProtocol(Protocol):
    """All actors."""

    @property
    def handle(self) -> Any: ...

    async def fetch(self) -> list[dict[str, Any]]:
        """Return `id` and `creator` of all actors, in the order of their ids."""

    def iterate(self, page_size: int = 500) -> AsyncGenerator[dict[str, Any], None]:
        """Yield `id` and `creator` of all actors in any order; read and hold `page_size` of them at a time."""


@runtime_checkable
class AsyncDbPropertyProtocol(Protocol):
    """One property of an actor: a text with a name.

    A property is indexed if USE_PROPERTY_LOOKUP_TABLE is true, INDEXED_PROPERTIES lists its name, and the name does not
    begin with `list:`. The first actor that stores a value under an indexed name claims it: a reverse look-up of the
    value returns that actor until it changes or deletes the property.
    """

    @property
    def handle(self) -> Any: ...

    async def get(self, actor_id: str | None = None, name: str | None = None) -> str | None:
        """Return the stored text, None if there is none."""

    async def get_many(self, actor_id: str | None = None, names: Any = None) -> dict[str, str]:
        """Return the stored texts by name; names that do not exist are left out. A single name may be given as text.

        The handle does not change.
        """

    async def set(self, actor_id: str | None = None, name: str | None = None, value: Any = None) -> bool:
        """Store a value: a text as it is, another value as JSON or, if it is not JSON, as its `str`.

        None and "" delete the property. False only if the actor or the name is missing.
        """

    async def set_many(
        self, actor_id: str | None = None, values: Mapping[str, Any] | None = None, chunk_size: int | None = None
    ) -> bool:
        """Store several values by name, as `set` does, either all of them or none. The handle does not change.

        Return False, and change nothing, if the actor, the values or a name is missing; an empty mapping is True.
        Raise `DbInputError`, before anything is stored, for a name or value that cannot be stored, and for names that
        become equal when their surrogates are replaced.

        PostgreSQL stores any number of values in one transaction. A transaction of DynamoDB holds at most 100 actions
        and 4 MB: a plain name takes one action, an indexed name four, or two if its value is empty. A larger call
        raises `DbInputError` unless `chunk_size` is given. It is then divided, in the order of the names, into
        transactions of `chunk_size` names each. After a fault the earlier transactions are stored, and the call can be
        repeated.
        """

    async def delete(self) -> bool:
        """Delete the handle's property. False without a handle."""

    async def get_actor_id_from_property(self, name: str | None = None, value: str | None = None) -> str | None:
        """Return the actor whose property of this name has exactly this value, None if there is none.

        With USE_PROPERTY_LOOKUP_TABLE, only indexed names are found, and only the actor that claims the value.
        """

    async def get_range(
        self,
        actor_id: str | None = None,
        lower: str | None = None,
        upper: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        """Return the properties with lower <= name <= upper in bytes, in the order of their names.

        With `keys_only` all values are "". `lower=""` begins with the first name; `upper=""` finds nothing.
        """

    async def get_prefix(
        self,
        actor_id: str | None = None,
        prefix: str | None = None,
        keys_only: bool = False,
        consistent_read: bool = True,
    ) -> dict[str, str]:
        """Return the properties whose name begins with `prefix`, by name; with `keys_only` all values are ""."""

    async def get_last_in_range(
        self, actor_id: str | None = None, lower: str | None = None, upper: str | None = None
    ) -> str | None:
        """Return the greatest name, in bytes, with lower <= name <= upper; None if there is none."""

    async def create_if_not_exists(
        self, actor_id: str | None = None, name: str | None = None, value: Any = None
    ) -> bool:
        """Store a value as `set` does if none is stored; True if this call stored it. False for an empty value."""

    async def set_if_value_equals(
        self,
        actor_id: str | None = None,
        name: str | None = None,
        expected: str | None = None,
        value: str | None = None,
    ) -> bool:
        """Store the text `value`, which may be "", if the stored text is exactly `expected`; True if it was stored."""

    async def delete_if_value_equals(
        self, actor_id: str | None = None, name: str | None = None, value: str | None = None
    ) -> bool:
        """Delete the property if the stored text is exactly `value`; True if it was deleted."""

    async def batch_delete(self, actor_id: str | None = None, names: Any = None) -> None:
        """Delete the properties of these names; a single name may be given as text. Absent ones are ignored."""


@runtime_checkable
class AsyncDbPropertyListProtocol(Protocol):
    """All properties of an actor."""

    @property
    def handle(self) -> Any: ...

    @property
    def actor_id(self) -> str | None: ...

    @property
    def props(self) -> dict[str, str] | None: ...

    async def fetch(self, actor_id: str | None = None) -> dict[str, str] | None:
        """Return the properties whose name does not begin with `list:`, by name; None without an actor."""

    async def fetch_all_including_lists(self, actor_id: str | None = None) -> dict[str, str] | None:
        """Return all properties, by name; None without an actor."""

    async def delete(self) -> bool:
        """Delete all properties and claims of the actor of the last fetch. False without a fetch."""


@runtime_checkable
class AsyncDbTrustProtocol(Protocol):
    """One trust relationship of an actor with a peer.

    Results always have the texts `id`, `peerid`, `baseuri`, `type`, `relationship`, `secret`, `desc` and
    `verification_token` and the bools `approved`, `peer_approved` and `verified`. They have the other columns and
    `last_connected_at` only if these are not empty. Times are ISO 8601 text.
    """

    @property
    def handle(self) -> Any: ...

    async def get(
        self, actor_id: str | None = None, peerid: str | None = None, token: str | None = None
    ) -> dict[str, Any] | None:
        """Return the trust with a peer or, without `peerid`, the one whose secret is `token`; None if there is none."""

    async def get_many(self, actor_id: str | None = None, peerids: Any = None) -> list[dict[str, Any]]:
        """Return the trusts with these peers, shaped as by `get`, in the order of the peers.

        A single peer may be given as text.

        Peers without a trust are left out. The handle does not change.
        """

    async def create(
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
        """Store a trust. One with the same peer is replaced, except its `created_at`. False without actor or peer.

        `created_at` defaults to now, `last_accessed` to the argument `created_at` or now, `last_connected_via` to
        `established_via`. Flags may be text: "", 0, false, no and off are False.
        """

    async def modify(
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
        """Change the columns whose argument is not None. False without a handle or if the row is gone.

        An empty `baseuri`, `secret`, `desc`, `verification_token` or time counts as None.
        """

    async def delete(self) -> bool:
        """Delete the handle's trust. False without a handle."""

    async def is_token_in_db(self, actor_id: str | None = None, token: str | None = None) -> bool:
        """Tell whether a trust of the actor has this secret."""


@runtime_checkable
class AsyncDbTrustListProtocol(Protocol):
    """All trusts of an actor."""

    @property
    def handle(self) -> Any: ...

    @property
    def actor_id(self) -> str | None: ...

    @property
    def trusts(self) -> list[dict[str, Any]] | None: ...

    async def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's trusts, shaped as by `DbTrust.get`, in the order of the peers."""

    async def delete(self) -> bool:
        """Delete all trusts of the actor that was last fetched. False without a fetch."""


@runtime_checkable
class AsyncDbPeerTrusteeProtocol(Protocol):
    """One peer that an actor itself created. Results have `id`, `peerid`, `baseuri`, `type` and `passphrase`."""

    @property
    def handle(self) -> Any: ...

    async def get(
        self, actor_id: str | None = None, peer_type: str | None = None, peerid: str | None = None
    ) -> dict[str, Any] | Literal[False] | None:
        """Return the peer trustee or, without `peerid`, the only one of the type; None if none, False if several."""

    async def create(
        self,
        actor_id: str | None = None,
        peerid: str | None = None,
        peer_type: str | None = None,
        baseuri: str | None = None,
        passphrase: str | None = None,
    ) -> bool:
        """Store a new peer trustee. False, without a change, if it exists or actor, peer or type is missing."""

    async def modify(
        self, peer_type: str | None = None, baseuri: str | None = None, passphrase: str | None = None
    ) -> bool:
        """Change the columns whose argument is not empty. False without a handle or if the row is gone."""

    async def delete(self) -> bool:
        """Delete the handle's peer trustee. False without a handle."""


@runtime_checkable
class AsyncDbPeerTrusteeListProtocol(Protocol):
    """All peer trustees of an actor."""

    @property
    def handle(self) -> Any: ...

    @property
    def actor_id(self) -> str | None: ...

    @property
    def peertrustees(self) -> list[dict[str, Any]] | None: ...

    async def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's peer trustees in the order of the peers."""

    async def delete(self) -> bool:
        """Delete all peer trustees of the actor that was last fetched. False without a fetch."""


@runtime_checkable
class AsyncDbSubscriptionProtocol(Protocol):
    """One subscription of a peer to an actor.

    Results have the texts `id`, `peerid`, `subscriptionid`, `granularity`, `target`, `subtarget` and `resource`
    ("" when unset), the int `sequence` and the bool `callback`.
    """

    @property
    def handle(self) -> Any: ...

    async def get(
        self, actor_id: str | None = None, peerid: str | None = None, subid: str | None = None
    ) -> dict[str, Any] | None:
        """Return the subscription; None if there is none or a part of the key is missing."""

    async def create(
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
        """Store a new subscription. False, without a change, if it exists or a part of the key is missing."""

    async def modify(
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
        """Change the columns whose argument is not None; an empty text counts as None. False without a handle or row.

        Raise `DbInputError` if `peerid` or `subid` differs from the row's, because a key cannot change.
        """

    async def increment_seqnr(self, by: int = 1) -> int | None:
        """Add to the sequence number in one atomic step and return the new one; None without a handle or row."""

    async def delete(self) -> bool:
        """Delete the handle's subscription, but not its diffs. False without a handle."""


@runtime_checkable
class AsyncDbSubscriptionListProtocol(Protocol):
    """All subscriptions to an actor."""

    @property
    def handle(self) -> Any: ...

    @property
    def actor_id(self) -> str | None: ...

    @property
    def subscriptions(self) -> list[dict[str, Any]] | None: ...

    async def fetch(self, actor_id: str | None = None) -> list[dict[str, Any]]:
        """Return the actor's subscriptions in the order of peer and subscription id."""

    async def delete(self) -> bool:
        """Delete all subscriptions of the actor that was last fetched. False without a fetch."""


@runtime_checkable
class AsyncDbSubscriptionDiffProtocol(Protocol):
    """One diff: a change that a subscription has not delivered yet.

    Results have the texts `id`, `subscriptionid` and `data`, `timestamp`, the time of the create, and the int
    `sequence`.
    """

    @property
    def handle(self) -> Any: ...

    async def get(
        self, actor_id: str | None = None, subid: str | None = None, seqnr: int | None = None
    ) -> dict[str, Any] | None:
        """Return the diff with number `seqnr`, by default the lowest one; without arguments, the handle's diff."""

    async def create(
        self, actor_id: str | None = None, subid: str | None = None, diff: str | None = "", seqnr: int = 1
    ) -> bool:
        """Store a new diff. False, without a change, if the number exists or actor or subscription is missing."""

    async def create_many(
        self, actor_id: str | None = None, diffs: Iterable[tuple[str, int, str | None]] | None = None
    ) -> list[bool]:
        """Store new diffs, given as `(subid, seqnr, diff)`, and return for each, in order, what `create` returns.

        Of two with the same number the first is stored. All get the time of this call. The handle does not change.
        A diff that cannot be stored raises `DbInputError` before any is stored.

        PostgreSQL stores all in one statement. DynamoDB stores up to 100 diffs or 4 MB in one transaction, and more in
        several; after a fault the earlier transactions are stored.
        """

    async def delete(self) -> bool:
        """Delete the handle's diff. False without a handle."""


@runtime_checkable
class AsyncDbSubscriptionDiffListProtocol(Protocol):
    """The diffs of a subscription, or of all subscriptions to an actor."""

    @property
    def handle(self) -> Any: ...

    @property
    def actor_id(self) -> str | None: ...

    @property
    def subid(self) -> str | None: ...

    @property
    def diffs(self) -> list[dict[str, Any]] | None: ...

    async def fetch(self, actor_id: str | None = None, subid: str | None = None) -> list[dict[str, Any]]:
        """Return a subscription's diffs in the order of their numbers; without `subid` all of the actor's diffs.

        Those are in the order of number and subscription.

        Results are shaped as by `DbSubscriptionDiff.get`, but the text is `diff` instead of `data`.
        """

    async def delete(self, seqnr: int | None = None) -> bool:
        """Delete the diffs with numbers up to `seqnr` of the actor and subscription of the last fetch.

        None and 0 delete all. Diffs that were stored after the fetch are deleted too. False without a fetch.
        """


@runtime_checkable
class AsyncSubscriptionSuspensionProtocol(Protocol):
    """The suspended targets of one actor. A suspended target suspends all its subtargets."""

    async def is_suspended(self, target: str, subtarget: str | None = None) -> bool:
        """Tell whether the target, or this subtarget of it, is suspended."""

    async def suspend(self, target: str, subtarget: str | None = None) -> bool:
        """Suspend exactly this pair; True if this call suspended it."""

    async def resume(self, target: str, subtarget: str | None = None) -> bool:
        """Resume exactly this pair; True if this call resumed it."""

    async def get_all_suspended(self) -> list[tuple[str, str | None]]:
        """Return the suspended pairs of target and subtarget, sorted; subtarget None stands for the whole target."""

    async def delete_all(self) -> bool:
        """Resume everything. False without an actor."""


@runtime_checkable
class AsyncDbAttributeProtocol(Protocol):
    """Internal attributes of an actor: JSON values by bucket and name.

    An entry is `{"data": value, "timestamp": datetime or None}`. An expired attribute counts as absent, but calls that
    delete several attributes delete it too. All methods can be called on the class.
    """

    async def get_bucket(
        self, actor_id: str | None = None, bucket: str | None = None
    ) -> dict[str, dict[str, Any]] | None:
        """Return the entries of a bucket by name; None without actor or bucket."""

    async def get_attr(
        self, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        """Return the entry, None if there is none."""

    async def get_attr_strict(
        self, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        """Return the entry, None if there is none; the same as `get_attr`."""

    async def set_attr(
        self,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        """Store an attribute. It replaces the whole row, so arguments left out are cleared. Falsy data deletes it.

        The attribute expires `ttl_seconds` from now and one hour more, because the clocks of servers differ. False if
        a part of the key is missing.
        """

    async def delete_attr(
        self, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> bool:
        """Delete an attribute; True even if there was none. False if a part of the key is missing."""

    async def delete_attr_conditional(
        self, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> bool:
        """Delete an attribute; True only if this call deleted it. Exactly one of concurrent callers gets True.

        A caller that gets an error must not act as if it had deleted the attribute.
        """

    async def conditional_update_attr(
        self,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        old_data: Any = None,
        new_data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        """Replace the data if it equals `old_data` as a JSON value; True if it was replaced.

        It never creates an attribute. The stored timestamp and time to live stay unless they are given.
        """

    async def delete_bucket(self, actor_id: str | None = None, bucket: str | None = None) -> bool:
        """Delete a bucket; True even if it was empty. False without actor or bucket."""

    async def delete_expired(self, now_epoch: int | None = None, buckets: Any = None) -> int:
        """Delete the attributes, in these buckets or in all, that are expired at `now_epoch`; return how many.

        `now_epoch` is in seconds and defaults to now.

        PostgreSQL deletes up to 10,000 rows in each transaction until none is left. After a fault the earlier
        transactions stay done, and the call can be repeated. It skips rows that another call is writing or deleting;
        the next purge looks at them again.

        On DynamoDB the call returns 0 without a request, because the table's time to live deletes the rows.
        """

    async def delete_by_chain(
        self, actor_id: str | None = None, buckets: Any = None, chain_id: Any = None, defer_name: str | None = None
    ) -> int:
        """Delete the attributes in these buckets whose data is an object with this `chain_id`; return how many.

        DynamoDB deletes the attribute named `defer_name` last, after all others; PostgreSQL deletes all at once.
        """


@runtime_checkable
class AsyncDbAttributeBucketListProtocol(Protocol):
    """All attributes of an actor. All methods can be called on the class."""

    async def fetch(self, actor_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]] | None:
        """Return the entries by bucket and name; None without an actor."""

    async def fetch_timestamps(self, actor_id: str | None = None) -> dict[str, datetime | None] | None:
        """Return the latest timestamp of each bucket, None if no attribute in it has one; None without an actor."""

    async def delete(self, actor_id: str | None = None) -> bool:
        """Delete all attributes of the actor; True even if there were none. False without an actor."""
