"""Every public method, with arguments that find, store or remove something."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from actingweb.db.capabilities import Capability
from actingweb.db.registry import Backend

from .signatures import METHODS

Call = Callable[[], object]

READING = ("get", "fetch", "iterate", "is_")
PEER = "peer"
BUCKET = "bucket"
TIME = "2024-01-02T03:04:05+00:00"
# What a backend without the capability answers without a request.
WITHOUT_REQUEST = {
    Capability.PURGE: "DbAttribute.delete_expired",
    Capability.LOOKUP_FALLBACKS: "DbPropertyLookup.get_v1",
}


def is_read(name: str) -> bool:
    """Tell whether the method `class.method` only reads."""
    return name.partition(".")[2].startswith(READING)


def named(calls: dict[str, Call]) -> set[str]:
    """Return the methods `class.method` that `calls` covers; a name can go on with a space and a variant."""
    return {name.partition(" ")[0] for name in calls}


ALL = {f"{cls}.{method}" for cls, method in METHODS}


def ready(backend: Backend, actor_id: str, mark: str = "") -> dict[str, Call]:
    """Store rows for the actor and return every public method, ready to be called, in an order that finds them.

    Every secret, value, attribute name and datum contains `mark`.
    """
    return {
        **_actor(backend, actor_id, mark),
        **_property_lookup(backend, actor_id, mark),
        **_property(backend, actor_id, mark),
        **_trust(backend, actor_id, mark),
        **_peer_trustee(backend, actor_id, mark),
        **_subscription(backend, actor_id, mark),
        **_subscription_diff(backend, actor_id, mark),
        **_subscription_suspension(backend, actor_id),
        **_attribute(backend, actor_id, mark),
    }


def requesting(backend: Backend, actor_id: str, mark: str = "") -> dict[str, Call]:
    """Return what `ready` does without the methods that this backend answers without a request."""
    silent = {name for capability, name in WITHOUT_REQUEST.items() if capability not in backend.capabilities}
    return {name: call for name, call in ready(backend, actor_id, mark).items() if name not in silent}


def loaded(entity: Any, *key: object) -> Any:
    """Return the object after a `get` that hits."""
    entity.get(*key)
    assert entity.handle is not None
    return entity


def fetched(entities: Any, actor_id: str) -> Any:
    """Return the list after a `fetch`."""
    entities.fetch(actor_id)
    return entities


def _actor(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbActor.DbActor, backend.DbActor.DbActorList
    creator = f"{actor_id}@example.com"
    one().create(f"{actor_id}-1", creator, f"{mark}1")
    one().create(f"{actor_id}-2", "someone", f"{mark}2")
    get, by_creator, create, listed, streamed = one(), one(), one(), many(), many()
    return {
        "DbActor.get": lambda: get.get(actor_id),
        "DbActor.get_by_creator": lambda: by_creator.get_by_creator(creator),
        "DbActorList.fetch": listed.fetch,
        "DbActorList.iterate": lambda: list(streamed.iterate()),
        "DbActor.create": lambda: create.create(f"{actor_id}-3", "someone", f"{mark}3"),
        "DbActor.modify": _with(loaded(one(), f"{actor_id}-1"), lambda row: row.modify(passphrase=f"{mark}4")),
        "DbActor.delete": loaded(one(), f"{actor_id}-2").delete,
    }


def _with(entity: Any, call: Callable[[Any], object]) -> Call:
    return lambda: call(entity)


def _property(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbProperty.DbProperty, backend.DbProperty.DbPropertyList
    names = ("plain", "removed", "swapped", "taken", "listed", "email", "oauthId", "list:x", "batch1", "batch2")
    for name in names:
        one().set(actor_id, name, f"{mark}{actor_id}{name}")

    def value(name: str) -> str:
        return f"{mark}{actor_id}{name}"

    calls: dict[str, Callable[[Any], object]] = {
        "get": lambda row: row.get(actor_id, "plain"),
        "get_many": lambda row: row.get_many(actor_id, ["plain", "email", "absent"]),
        "get_range": lambda row: row.get_range(actor_id, "a", "z"),
        "get_prefix": lambda row: row.get_prefix(actor_id, "batch"),
        "get_last_in_range": lambda row: row.get_last_in_range(actor_id, "a", "z"),
        "get_actor_id_from_property": lambda row: row.get_actor_id_from_property("email", value("email")),
        "set": lambda row: row.set(actor_id, "plain", f"{mark}changed"),
        "set indexed": lambda row: row.set(actor_id, "externalUserId", value("externalUserId")),
        "set indexed again": lambda row: row.set(actor_id, "email", f"{value('email')}2"),
        "set nothing": lambda row: row.set(actor_id, "removed", ""),
        "set_many": lambda row: row.set_many(actor_id, {"many1": f"{mark}1", "many2": f"{mark}2", "plain": ""}),
        "set_many indexed": lambda row: row.set_many(actor_id, {"many1": "", "email": f"{value('email')}3"}),
        "create_if_not_exists": lambda row: row.create_if_not_exists(actor_id, "new", f"{mark}new"),
        "set_if_value_equals": lambda row: row.set_if_value_equals(actor_id, "swapped", value("swapped"), f"{mark}2"),
        "set_if_value_equals indexed": lambda row: row.set_if_value_equals(
            actor_id, "oauthId", value("oauthId"), f"{value('oauthId')}2"
        ),
        "delete_if_value_equals": lambda row: row.delete_if_value_equals(actor_id, "taken", value("taken")),
        "batch_delete": lambda row: row.batch_delete(actor_id, ["batch1", "batch2", "email"]),
    }
    plain, with_lists = many(), many()
    return {
        **{f"DbProperty.{name}": _with(one(), call) for name, call in calls.items()},
        "DbProperty.delete": loaded(one(), actor_id, "listed").delete,
        "DbPropertyList.fetch": lambda: plain.fetch(actor_id),
        "DbPropertyList.fetch_all_including_lists": lambda: with_lists.fetch_all_including_lists(actor_id),
        "DbPropertyList.delete": fetched(many(), actor_id).delete,
    }


def _property_lookup(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one = import_module(f"actingweb.db.{backend.database}.property_lookup").DbPropertyLookup
    for number in range(2):
        one().create("phone", f"{mark}{actor_id}{number}", actor_id)
    get, get_v1, create = one(), one(), one()
    return {
        "DbPropertyLookup.get": lambda: get.get("phone", f"{mark}{actor_id}0"),
        "DbPropertyLookup.get_v1": lambda: get_v1.get_v1("phone", f"{mark}{actor_id}0"),
        "DbPropertyLookup.create": lambda: create.create("phone", f"{mark}{actor_id}2", actor_id),
        "DbPropertyLookup.delete": loaded(one(), "phone", f"{mark}{actor_id}1").delete,
    }


def _trust(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbTrust.DbTrust, backend.DbTrust.DbTrustList
    for number in range(3):
        token = f"{mark}{actor_id}{number}"
        one().create(actor_id, f"{PEER}{number}", secret=token, verification_token=f"{mark}v", created_at=TIME)
    get, by_token, several, create, listed = one(), one(), one(), one(), many()
    return {
        "DbTrust.get_many": lambda: several.get_many(actor_id, [f"{PEER}0", f"{PEER}1", "absent"]),
        "DbTrust.get": lambda: get.get(actor_id, f"{PEER}0"),
        "DbTrust.get by token": lambda: by_token.get(actor_id, token=f"{mark}{actor_id}0"),
        "DbTrust.is_token_in_db": lambda: one.is_token_in_db(actor_id, f"{mark}{actor_id}0"),
        "DbTrustList.fetch": lambda: listed.fetch(actor_id),
        "DbTrust.create": lambda: create.create(actor_id, "new", secret=f"{mark}{actor_id}new"),
        "DbTrust.modify": _with(loaded(one(), actor_id, f"{PEER}1"), lambda row: row.modify(secret=f"{mark}new")),
        "DbTrust.delete": loaded(one(), actor_id, f"{PEER}2").delete,
        "DbTrustList.delete": fetched(many(), actor_id).delete,
    }


def _peer_trustee(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbPeerTrustee.DbPeerTrustee, backend.DbPeerTrustee.DbPeerTrusteeList
    for number in range(3):
        one().create(actor_id, f"{PEER}{number}", f"type{number}", "uri", f"{mark}{number}")

    def load(number: int) -> Any:
        return loaded(one(), actor_id, None, f"{PEER}{number}")

    get, by_type, create, listed = one(), one(), one(), many()
    return {
        "DbPeerTrustee.get": lambda: get.get(actor_id, peerid=f"{PEER}0"),
        "DbPeerTrustee.get by type": lambda: by_type.get(actor_id, "type0"),
        "DbPeerTrusteeList.fetch": lambda: listed.fetch(actor_id),
        "DbPeerTrustee.create": lambda: create.create(actor_id, "new", "type", "uri", f"{mark}new"),
        "DbPeerTrustee.modify": _with(load(1), lambda row: row.modify(passphrase=f"{mark}changed")),
        "DbPeerTrustee.delete": load(2).delete,
        "DbPeerTrusteeList.delete": fetched(many(), actor_id).delete,
    }


def _subscription(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbSubscription.DbSubscription, backend.DbSubscription.DbSubscriptionList
    for number in range(4):
        one().create(actor_id, PEER, f"s{number}", resource=f"{mark}{number}")
    get, create, listed = one(), one(), many()
    return {
        "DbSubscription.get": lambda: get.get(actor_id, PEER, "s0"),
        "DbSubscriptionList.fetch": lambda: listed.fetch(actor_id),
        "DbSubscription.create": lambda: create.create(actor_id, PEER, "new", resource=f"{mark}new"),
        "DbSubscription.modify": _with(
            loaded(one(), actor_id, PEER, "s1"), lambda row: row.modify(resource=f"{mark}2")
        ),
        "DbSubscription.increment_seqnr": loaded(one(), actor_id, PEER, "s2").increment_seqnr,
        "DbSubscription.delete": loaded(one(), actor_id, PEER, "s3").delete,
        "DbSubscriptionList.delete": fetched(many(), actor_id).delete,
    }


def _subscription_diff(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbSubscriptionDiff.DbSubscriptionDiff, backend.DbSubscriptionDiff.DbSubscriptionDiffList
    for number in range(1, 5):
        one().create(actor_id, "s", f"{mark}{number}", number)
    get, lowest, create, several, listed = one(), one(), one(), one(), many()
    return {
        "DbSubscriptionDiff.get": lambda: get.get(actor_id, "s", 1),
        "DbSubscriptionDiff.get lowest": lambda: lowest.get(actor_id, "s"),
        "DbSubscriptionDiffList.fetch": lambda: listed.fetch(actor_id, "s"),
        "DbSubscriptionDiff.create": lambda: create.create(actor_id, "s", f"{mark}new", 9),
        "DbSubscriptionDiff.create_many": lambda: several.create_many(
            actor_id, [("s", 10, f"{mark}new"), ("s", 1, f"{mark}new"), ("t", 1, f"{mark}new")]
        ),
        "DbSubscriptionDiff.delete": loaded(one(), actor_id, "s", 4).delete,
        "DbSubscriptionDiffList.delete up to": _with(fetched(many(), actor_id), lambda rows: rows.delete(2)),
        "DbSubscriptionDiffList.delete": fetched(many(), actor_id).delete,
    }


def _subscription_suspension(backend: Backend, actor_id: str) -> dict[str, Call]:
    one = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    one.suspend("properties", "color")
    one.suspend("trust")
    return {
        "DbSubscriptionSuspension.is_suspended": lambda: one.is_suspended("properties", "color"),
        "DbSubscriptionSuspension.get_all_suspended": one.get_all_suspended,
        "DbSubscriptionSuspension.suspend": lambda: one.suspend("properties"),
        "DbSubscriptionSuspension.resume": lambda: one.resume("trust"),
        "DbSubscriptionSuspension.delete_all": one.delete_all,
    }


def _attribute(backend: Backend, actor_id: str, mark: str) -> dict[str, Call]:
    one, many = backend.DbAttribute.DbAttribute, backend.DbAttribute.DbAttributeBucketList
    for number in range(5):
        one.set_attr(actor_id, BUCKET, f"{mark}n{number}", {"x": f"{mark}{number}", "chain_id": f"c{number}"}, TIME)
    one.set_attr(actor_id, "other", f"{mark}n", f"{mark}data")
    one.set_attr(actor_id, "expired", f"{mark}n", f"{mark}data", ttl_seconds=-4000)

    def key(number: int) -> tuple[str, str, str]:
        return actor_id, BUCKET, f"{mark}n{number}"

    return {
        "DbAttribute.get_attr": lambda: one.get_attr(*key(0)),
        "DbAttribute.get_attr_strict": lambda: one.get_attr_strict(*key(0)),
        "DbAttribute.get_bucket": lambda: one.get_bucket(actor_id, BUCKET),
        "DbAttributeBucketList.fetch": lambda: many.fetch(actor_id),
        "DbAttributeBucketList.fetch_timestamps": lambda: many.fetch_timestamps(actor_id),
        "DbAttribute.set_attr": lambda: one.set_attr(*key(9), data=f"{mark}new"),
        "DbAttribute.set_attr nothing": lambda: one.set_attr(*key(9), data=None),
        "DbAttribute.conditional_update_attr": lambda: one.conditional_update_attr(
            *key(0), old_data={"chain_id": "c0", "x": f"{mark}0"}, new_data=f"{mark}new"
        ),
        "DbAttribute.delete_attr": lambda: one.delete_attr(*key(1)),
        "DbAttribute.delete_attr_conditional": lambda: one.delete_attr_conditional(*key(2)),
        "DbAttribute.delete_by_chain": lambda: one.delete_by_chain(actor_id, [BUCKET], "c3", defer_name=f"{mark}n3"),
        "DbAttribute.delete_expired": lambda: one.delete_expired(buckets=["expired"]),
        "DbAttribute.delete_bucket": lambda: one.delete_bucket(actor_id, "other"),
        "DbAttributeBucketList.delete": lambda: many.delete(actor_id),
    }
