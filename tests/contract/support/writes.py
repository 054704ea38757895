"""Every method that stores texts, as data for rules that hold for all of them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from actingweb.db.registry import Backend

from .calls import TIME, loaded

ACTOR = object()
"""Stands for the id of the test's actor."""


class Write(NamedTuple):
    """A method that stores something.

    Attributes:
        make: makes the object, with the row that the method changes loaded.
        arguments: accepted ones.
        texts: those that must be text and are stored as it.
        others: those that take no arbitrary text, each with values that are refused.
    """

    name: str
    make: Callable[[Backend, str], Any]
    arguments: Mapping[str, Any]
    texts: tuple[str, ...]
    others: Mapping[str, tuple[Any, ...]]

    def __call__(self, backend: Backend, actor_id: str, /, **changed: Any) -> object:
        """Make the call with some arguments changed."""
        arguments = {**self.arguments, **changed}
        method = getattr(self.make(backend, actor_id), self.name.partition(".")[2])
        return method(**{name: actor_id if value is ACTOR else value for name, value in arguments.items()})


_NUMBERS = ("1", 1.5, True)
_TIMES = ("yesterday", "2024-13-01", 7, 1.5)
_TRUST_TIMES = dict.fromkeys(("created_at", "last_accessed", "capabilities_fetched_at"), _TIMES)
_TRUST_TEXTS = (
    *("baseuri", "secret", "desc", "verification_token", "peer_identifier", "established_via", "last_connected_via"),
    *("client_name", "client_version", "client_platform", "oauth_client_id", "aw_supported", "aw_version"),
)
_SUBSCRIPTION_TEXTS = ("granularity", "target", "subtarget", "resource")
_NO_VALUES = (7, "ab", ["a"], {"n": "v", "a\x00": "v"}, {"n": "v", "a": "v\x00"}, {"a": "v", 7: "v"})
_NO_DIFFS = (7, "abc", [("s", 2)], ["abc"], [("s", 2, "d"), ("s", "3", "d")], [("s", 2, "d"), ("t", 2, 7)])
_NO_JSON = (float("nan"), float("inf"), b"bytes", {1, 2}, object(), {"x": [object()]}, {(1, 2): 3})


def _trust(backend: Backend, actor_id: str) -> Any:
    backend.DbTrust.DbTrust().create(actor_id, "changed", created_at=TIME, last_accessed=TIME)
    return loaded(backend.DbTrust.DbTrust(), actor_id, "changed")


def _trustee(backend: Backend, actor_id: str) -> Any:
    backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "changed", "type")
    return loaded(backend.DbPeerTrustee.DbPeerTrustee(), actor_id, None, "changed")


def _subscription(backend: Backend, actor_id: str) -> Any:
    backend.DbSubscription.DbSubscription().create(actor_id, "changed", "s")
    return loaded(backend.DbSubscription.DbSubscription(), actor_id, "changed", "s")


def _property(backend: Backend, actor_id: str) -> Any:
    backend.DbProperty.DbProperty().set(actor_id, "changed", "old")
    return backend.DbProperty.DbProperty()


def _attribute(backend: Backend, actor_id: str) -> Any:
    backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "changed", "old", TIME)
    return backend.DbAttribute.DbAttribute


WRITES = [
    Write(
        "DbActor.create",
        lambda backend, actor_id: backend.DbActor.DbActor(),
        {"actor_id": "another", "creator": "someone", "passphrase": "p"},
        ("actor_id", "creator", "passphrase"),
        {},
    ),
    Write(
        "DbActor.modify",
        lambda backend, actor_id: loaded(backend.DbActor.DbActor(), actor_id),
        {"creator": "another", "passphrase": "p"},
        ("creator", "passphrase"),
        {"passphrase": (b"\xff",)},
    ),
    Write("DbProperty.set", _property, {"actor_id": ACTOR, "name": "n", "value": "v"}, ("name", "value"), {}),
    Write("DbProperty.set_many", _property, {"actor_id": ACTOR, "values": {"n": "v"}}, (), {"values": _NO_VALUES}),
    Write(
        "DbProperty.create_if_not_exists",
        _property,
        {"actor_id": ACTOR, "name": "n", "value": "v"},
        ("name", "value"),
        {},
    ),
    Write(
        "DbProperty.set_if_value_equals",
        _property,
        {"actor_id": ACTOR, "name": "changed", "expected": "old", "value": "v"},
        ("value",),
        {},
    ),
    Write(
        "DbTrust.create",
        lambda backend, actor_id: backend.DbTrust.DbTrust(),
        {"actor_id": ACTOR, "peerid": "p", "created_at": TIME},
        ("peerid", "peer_type", "relationship", *_TRUST_TEXTS),
        _TRUST_TIMES,
    ),
    Write("DbTrust.modify", _trust, {}, _TRUST_TEXTS, _TRUST_TIMES),
    Write(
        "DbPeerTrustee.create",
        lambda backend, actor_id: backend.DbPeerTrustee.DbPeerTrustee(),
        {"actor_id": ACTOR, "peerid": "p", "peer_type": "t"},
        ("peerid", "peer_type", "baseuri", "passphrase"),
        {},
    ),
    Write("DbPeerTrustee.modify", _trustee, {}, ("peer_type", "baseuri", "passphrase"), {}),
    Write(
        "DbSubscription.create",
        lambda backend, actor_id: backend.DbSubscription.DbSubscription(),
        {"actor_id": ACTOR, "peerid": "p", "subid": "s"},
        ("peerid", "subid", *_SUBSCRIPTION_TEXTS),
        {"seqnr": (*_NUMBERS, None)},
    ),
    Write("DbSubscription.modify", _subscription, {}, _SUBSCRIPTION_TEXTS, {"seqnr": _NUMBERS}),
    Write("DbSubscription.increment_seqnr", _subscription, {}, (), {"by": (*_NUMBERS, None)}),
    Write(
        "DbSubscriptionDiff.create",
        lambda backend, actor_id: backend.DbSubscriptionDiff.DbSubscriptionDiff(),
        {"actor_id": ACTOR, "subid": "s", "diff": "d"},
        ("subid", "diff"),
        {"seqnr": (*_NUMBERS, None)},
    ),
    Write(
        "DbSubscriptionDiff.create_many",
        lambda backend, actor_id: backend.DbSubscriptionDiff.DbSubscriptionDiff(),
        {"actor_id": ACTOR, "diffs": [("s", 1, "d")]},
        (),
        {"diffs": _NO_DIFFS},
    ),
    Write(
        "DbSubscriptionSuspension.suspend",
        lambda backend, actor_id: backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id),
        {"target": "t"},
        ("target", "subtarget"),
        {},
    ),
    Write(
        "DbAttribute.set_attr",
        _attribute,
        {"actor_id": ACTOR, "bucket": "b", "name": "n", "data": "d"},
        ("bucket", "name", "data"),
        {"data": _NO_JSON, "timestamp": _TIMES, "ttl_seconds": _NUMBERS},
    ),
    Write(
        "DbAttribute.conditional_update_attr",
        _attribute,
        {"actor_id": ACTOR, "bucket": "b", "name": "changed", "old_data": "old", "new_data": "new"},
        ("new_data",),
        {"new_data": _NO_JSON, "timestamp": _TIMES, "ttl_seconds": _NUMBERS},
    ),
]
"""What `texts` leaves out: ids of actors, which on PostgreSQL must exist, but for `DbActor.create`."""

JSON = {"DbProperty.set value", "DbProperty.create_if_not_exists value"} | {
    f"DbAttribute.{method}" for method in ("set_attr data", "conditional_update_attr new_data")
}
"""The `texts` that take other values, too."""


def stored(backend: Backend, actor_id: str) -> dict[str, Any]:
    """Return everything that is stored for the actor, and all actors."""
    return {
        "actors": [backend.DbActor.DbActor().get(row["id"]) for row in backend.DbActor.DbActorList().fetch()],
        "properties": backend.DbProperty.DbPropertyList().fetch_all_including_lists(actor_id),
        "trusts": backend.DbTrust.DbTrustList().fetch(actor_id),
        "peer trustees": backend.DbPeerTrustee.DbPeerTrusteeList().fetch(actor_id),
        "subscriptions": backend.DbSubscription.DbSubscriptionList().fetch(actor_id),
        "diffs": backend.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(actor_id),
        "suspensions": backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id).get_all_suspended(),
        "attributes": backend.DbAttribute.DbAttributeBucketList.fetch(actor_id),
    }
