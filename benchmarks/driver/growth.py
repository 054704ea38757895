"""The operations whose growth is measured, each call on another actor out of all, drawn by chance.

Runs in a worker, on the rows of `benchmarks.population`. The environment says how many actors there are.
"""

import hashlib
import os
import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from benchmarks.driver.workload import Call, Operation

__all__ = ["ACTORS", "COUNT", "OPERATIONS", "Drawn", "actor_id", "drawn", "nothing"]

ACTORS = "BENCH_ACTORS"
"""The variable that says how many actors there are."""

Made = tuple[Call, Call]
"""What creates something, and what deletes it."""

COUNT = 100
"""Calls of one round."""
_FEW = 10
_RANGE = 10
_EXPIRED = -7200
_chance = random.Random()
_leftovers: list[Call] = []
"""What removes the rows that the last round made, or the next is to remove."""


def actor_id(number: int) -> str:
    """Return the id of an actor."""
    return str(UUID(hashlib.md5(str(number).encode()).hexdigest()))


class Drawn(NamedTuple):
    """One actor out of all."""

    number: int
    id: str


def drawn(count: int) -> list[Drawn]:
    """Return so many actors, drawn by chance."""
    actors = int(os.environ[ACTORS])
    return [Drawn(number, actor_id(number)) for number in _chance.sample(range(actors), min(count, actors))]


def nothing(db: Any, count: int) -> None:
    """Store nothing: the operation uses the rows that there are."""


def _each(call: Callable[[Any, Drawn], object]) -> Callable[[Any, int], list[Call]]:
    """Return what calls with the actors."""
    return lambda db, count: [partial(call, db, actor) for actor in drawn(count)]


def _ready(prepare: Callable[[Any, Drawn], Call]) -> Callable[[Any, int], list[Call]]:
    """Return what makes calls ready with the actors."""
    return lambda db, count: [prepare(db, actor) for actor in drawn(count)]


def _read(name: str, call: Callable[[Any, Drawn], object], kind: str = "read") -> Operation:
    return Operation(name, kind, COUNT, nothing, _each(call))


def _write(name: str, prepare: Callable[[Any, Drawn], Call]) -> Operation:
    return Operation(name, "write", COUNT, nothing, _ready(prepare))


def _remove_leftovers(_: Any, __: int) -> None:
    for remove in _leftovers:
        remove()
    _leftovers.clear()


def _create(name: str, make: Callable[[Any, Drawn], Made]) -> Operation:
    """Return the operation that creates rows; they are removed before the next round."""

    def calls(db: Any, count: int) -> list[Call]:
        made = [make(db, actor) for actor in drawn(count)]
        _leftovers.extend(remove for _, remove in made)
        return [create for create, _ in made]

    return Operation(name, "write", COUNT, _remove_leftovers, calls, once=False)


def _delete(name: str, make: Callable[[Any, Drawn], Made], kind: str = "write") -> Operation:
    """Return the operation that deletes rows created for it."""

    def store(db: Any, count: int) -> None:
        _remove_leftovers(db, count)
        for create, remove in [make(db, actor) for actor in drawn(count)]:
            create()
            _leftovers.append(remove)

    def calls(_: Any, __: int) -> list[Call]:
        made = list(_leftovers)
        _leftovers.clear()
        return made

    return Operation(name, kind, COUNT if kind == "write" else _FEW, store, calls, once=False)


# What is made and deleted again.


def _new_actor(db: Any, _: Drawn) -> Made:
    entity = db.DbActor()
    new = str(UUID(int=_chance.getrandbits(128)))
    return partial(entity.create, actor_id=new, creator=f"{new}@example.com", passphrase="a passphrase"), entity.delete


def _new_property(db: Any, actor: Drawn) -> Made:
    own, row = _property(db), {"actor_id": actor.id, "name": "new"}
    return partial(own.set, **row, value="v" * 100), partial(own.set, **row, value="")


def _new_properties(db: Any, actor: Drawn) -> Made:
    names = [f"batch-{part}" for part in range(_RANGE)]

    def create() -> None:
        for name in names:
            _property(db).set(actor_id=actor.id, name=name, value="v" * 100)

    return create, partial(_property(db).batch_delete, actor_id=actor.id, names=names)


def _new_trust(db: Any, actor: Drawn) -> Made:
    trust = db.DbTrust()
    create = partial(
        trust.create,
        actor_id=actor.id,
        peerid="peer-new",
        baseuri="https://peer.example.com/",
        peer_type="urn:actingweb:example.com:peer",
        relationship="friend",
        secret=f"token-new-{actor.id}",
        approved=True,
        desc="a friend",
        verification_token="verification",
    )
    return create, trust.delete


def _new_subscription(db: Any, actor: Drawn) -> Made:
    subscription = db.DbSubscription()
    key = {"actor_id": actor.id, "peerid": "peer-1", "subid": "s-new"}
    return partial(subscription.create, **key, granularity="high", target="properties"), subscription.delete


def _new_suspension(db: Any, actor: Drawn) -> Made:
    suspension = db.DbSubscriptionSuspension(actor.id)
    return partial(suspension.suspend, "trust"), partial(suspension.resume, "trust")


def _new_diff(db: Any, actor: Drawn) -> Made:
    diff = db.DbSubscriptionDiff()
    return partial(diff.create, actor_id=actor.id, subid="s-1", diff='{"changed": true}', seqnr=9), diff.delete


def _new_diffs(db: Any, actor: Drawn) -> Made:
    key = {"actor_id": actor.id, "subid": "s-new"}

    def create() -> None:
        for seqnr in range(1, _RANGE + 1):
            db.DbSubscriptionDiff().create(**key, diff='{"changed": true}', seqnr=seqnr)
        rows.fetch(**key)

    rows = db.DbSubscriptionDiffList()
    return create, rows.delete


def _new_chain(db: Any, actor: Drawn) -> Made:
    key = {"actor_id": actor.id, "bucket": "chain"}

    def create() -> None:
        for part in range(_RANGE):
            db.DbAttribute.set_attr(**key, name=f"n-{part}", data={"chain_id": actor.id})

    chain = {"actor_id": actor.id, "buckets": ["chain"], "chain_id": actor.id}
    return create, partial(db.DbAttribute.delete_by_chain, **chain)


def _new_expired(db: Any, actor: Drawn) -> Made:
    bucket = f"expired-{actor.number}"

    def create() -> None:
        for part in range(_RANGE):
            db.DbAttribute.set_attr(actor_id=actor.id, bucket=bucket, name=f"n-{part}", data=1, ttl_seconds=_EXPIRED)

    return create, partial(db.DbAttribute.delete_expired, buckets=[bucket])


# What is read and changed.


def _property(db: Any) -> Any:
    return db.DbProperty(use_lookup_table=True, indexed_properties=["email", "externalUserId"])


def _property_list(db: Any) -> Any:
    return db.DbPropertyList(use_lookup_table=True, indexed_properties=["email", "externalUserId"])


def _loaded(entity: Any, **key: Any) -> Any:
    entity.get(**key)
    return entity


def _modify_actor(db: Any, actor: Drawn) -> Call:
    return partial(_loaded(db.DbActor(), actor_id=actor.id).modify, passphrase="another passphrase")


def _modify_trust(db: Any, actor: Drawn) -> Call:
    trust = _loaded(db.DbTrust(), actor_id=actor.id, peerid="peer-1")
    return partial(trust.modify, desc="an old friend")


def _set_property(db: Any, actor: Drawn) -> Call:
    return partial(_property(db).set, actor_id=actor.id, name="p-07", value="w" * 100)


def _set_indexed(db: Any, actor: Drawn) -> Call:
    value = f"external-{_chance.getrandbits(64)}"
    return partial(_property(db).set, actor_id=actor.id, name="externalUserId", value=value)


def _swap_property(db: Any, actor: Drawn) -> Call:
    row = {"actor_id": actor.id, "name": "p-08"}
    old = _property(db).get(**row)
    return partial(_property(db).set_if_value_equals, **row, expected=old, value=old[::-1])


def _set_attribute(db: Any, actor: Drawn) -> Call:
    row = {"actor_id": actor.id, "bucket": "sessions", "name": "n-2"}
    return partial(db.DbAttribute.set_attr, **row, data={"state": "new", "tries": 1}, ttl_seconds=10**9)


def _swap_attribute(db: Any, actor: Drawn) -> Call:
    row = {"actor_id": actor.id, "bucket": "sessions", "name": "n-1"}
    old = db.DbAttribute.get_attr(**row)["data"]
    new = {**old, "tries": old["tries"] + 1}
    return partial(db.DbAttribute.conditional_update_attr, **row, old_data=old, new_data=new)


def _increment(db: Any, actor: Drawn) -> Call:
    key = {"actor_id": actor.id, "peerid": "peer-1", "subid": "s-1"}
    return _loaded(db.DbSubscription(), **key).increment_seqnr  # type: ignore[no-any-return]


def _find(db: Any, value: str) -> object:
    return _property(db).get_actor_id_from_property(name="email", value=value)


_RANGE_ENDS = {"lower": "p-00", "upper": "p-09"}

OPERATIONS: tuple[Operation, ...] = (
    _read("actor get", lambda db, a: db.DbActor().get(actor_id=a.id)),
    _read("actor get by creator", lambda db, a: db.DbActor().get_by_creator(creator=f"user{a.number}@example.com")),
    _create("actor create", _new_actor),
    _write("actor modify", _modify_actor),
    _delete("actor delete", _new_actor),
    _read("property get", lambda db, a: _property(db).get(actor_id=a.id, name="p-07")),
    _create("property create", _new_property),
    _write("property set", _set_property),
    _delete("property delete", _new_property),
    _write("indexed property set", _set_indexed),
    _write("property compare-and-swap", _swap_property),
    _read("reverse look-up, hit", lambda db, a: _find(db, f"user{a.number}@example.com")),
    _read("reverse look-up, miss", lambda db, a: _find(db, f"nobody{a.number}@example.com")),
    _read(f"property range of {_RANGE}", lambda db, a: _property(db).get_range(actor_id=a.id, **_RANGE_ENDS), "rows"),
    _read("property prefix of 18", lambda db, a: _property(db).get_prefix(actor_id=a.id, prefix="p-"), "rows"),
    _read("property last in range", lambda db, a: _property(db).get_last_in_range(actor_id=a.id, **_RANGE_ENDS)),
    _read("property list of 20", lambda db, a: _property_list(db).fetch(actor_id=a.id), "rows"),
    _delete(f"property batch delete of {_RANGE}", _new_properties, "rows"),
    _read("trust get", lambda db, a: db.DbTrust().get(actor_id=a.id, peerid="peer-1")),
    _read("trust get by token", lambda db, a: db.DbTrust().get(actor_id=a.id, token=f"token-1-{a.id}")),
    _create("trust create", _new_trust),
    _write("trust modify", _modify_trust),
    _delete("trust delete", _new_trust),
    _read("trust list of 2", lambda db, a: db.DbTrustList().fetch(actor_id=a.id), "rows"),
    _read("peer trustee get", lambda db, a: db.DbPeerTrustee().get(actor_id=a.id, peerid="peer-1")),
    _read(
        "attribute get",
        lambda db, a: db.DbAttribute.get_attr(actor_id=a.id, bucket="sessions", name="n-1"),
    ),
    _write("attribute set", _set_attribute),
    _write("attribute compare-and-swap", _swap_attribute),
    _read("attribute bucket of 4", lambda db, a: db.DbAttribute.get_bucket(actor_id=a.id, bucket="sessions"), "rows"),
    _delete(f"attribute chain delete of {_RANGE}", _new_chain, "rows"),
    _delete(f"attribute purge of {_RANGE} expired", _new_expired, "rows"),
    _read(
        "subscription get",
        lambda db, a: db.DbSubscription().get(actor_id=a.id, peerid="peer-1", subid="s-1"),
    ),
    _create("subscription create", _new_subscription),
    _write("subscription increment", _increment),
    _read(
        "subscription suspended?",
        lambda db, a: db.DbSubscriptionSuspension(a.id).is_suspended("properties", "p-00"),
    ),
    _create("subscription suspend", _new_suspension),
    _create("diff create", _new_diff),
    _read("diff get oldest", lambda db, a: db.DbSubscriptionDiff().get(actor_id=a.id, subid="s-1")),
    _read("diff list of 3", lambda db, a: db.DbSubscriptionDiffList().fetch(actor_id=a.id, subid="s-1"), "rows"),
    _delete(f"diff clear of {_RANGE}", _new_diffs, "rows"),
)
