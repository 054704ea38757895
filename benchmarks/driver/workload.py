"""The operations that are timed, through the public classes of `actingweb.db` alone.

Every contender runs this file: this library in the benchmark's process, the peer in a process and an environment of its
own. So it imports nothing but the standard library, and gets the classes as a `Classes`.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["OPERATIONS", "Call", "Classes", "Operation", "load_classes", "make_actors", "row_by_row"]

Call = Callable[[], object]

INDEXED = "email"
_MODULES = (
    "actor",
    "attribute",
    "peertrustee",
    "property",
    "subscription",
    "subscription_diff",
    "subscription_suspension",
    "trust",
)
_SHARED = "w-shared"
"""The actor whose rows the operations on one row use."""
_RANGE = 100
_LIST = 20
_CHAIN = 50
_DIFFS = 50
_TRUSTS = 100
_PROPERTIES = 700
_DIFFS_OF_LARGE = 200
_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Classes:
    """The public classes of one backend, as attributes."""

    def __init__(self, database: str, cascades: bool) -> None:
        """`cascades`: `DbActor.delete` removes what the actor owns; otherwise the caller wipes list by list."""
        self.database = database
        self.cascades = cascades
        for module in _MODULES:
            for name, value in vars(importlib.import_module(f"actingweb.db.{database}.{module}")).items():
                if name.startswith("Db") and isinstance(value, type):
                    setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no class {name} in actingweb.db.{self.database}")


def load_classes(database: str, cascades: bool) -> Classes:
    """Import the backend and return its classes."""
    classes = Classes(database, cascades)
    # Its static methods do not make the peer's table.
    classes.DbAttribute()
    return classes


@dataclass(frozen=True)
class Operation:
    """What is timed.

    Attributes:
        kind: "read" or "write" of one row, or "rows": of many.
        count: calls a round, at most; a tenth of them on DynamoDB.
        store: makes the rows that so many calls need, from none and from those that the calls leave behind.
        calls: returns so many calls, with the objects that they need loaded.
        once: the calls leave what they need, so that `store` is run only once.
    """

    name: str
    kind: str
    count: int
    store: Callable[[Any, int], None]
    calls: Callable[[Any, int], list[Call]]
    once: bool = True


# What operations need.


def make_actors(db: Any, ids: Iterable[str]) -> None:
    """Store actors with these ids."""
    for actor_id in ids:
        db.DbActor().create(actor_id=actor_id, creator=f"{actor_id}@example.com", passphrase="a passphrase")


def shared_actor(db: Any, _: int = 0) -> None:
    """Store the shared actor."""
    make_actors(db, [_SHARED])


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:06}" for number in range(count)]


def _actors(db: Any, count: int) -> None:
    make_actors(db, _names("w-actor", count))


def _no_actors(db: Any, count: int) -> None:
    for actor_id in _names("w-new", count):
        actor = db.DbActor()
        if actor.get(actor_id=actor_id):
            actor.delete()


def _loaded_actors(db: Any, count: int) -> list[Any]:
    actors = [db.DbActor() for _ in range(count)]
    for actor, actor_id in zip(actors, _names("w-actor", count), strict=True):
        actor.get(actor_id=actor_id)
    return actors


def _property(db: Any) -> Any:
    return db.DbProperty(use_lookup_table=True, indexed_properties=[INDEXED])


def _set_properties(db: Any, actor_id: str, names: Iterable[str], value: str = "v" * 100) -> None:
    for name in names:
        _property(db).set(actor_id=actor_id, name=name, value=value)


def _shared_properties(db: Any, count: int) -> None:
    shared_actor(db)
    _set_properties(db, _SHARED, _names("p", count), "old")


def _addresses(db: Any, count: int) -> None:
    _actors(db, count)
    for actor_id in _names("w-actor", count):
        _property(db).set(actor_id=actor_id, name=INDEXED, value=f"{actor_id}@old.example.com")


def _many_properties(db: Any, _: int) -> None:
    shared_actor(db)
    _set_properties(db, _SHARED, _names("range", _RANGE))


def _few_properties(db: Any, _: int) -> None:
    make_actors(db, ["w-list"])
    _set_properties(db, "w-list", _names("p", _LIST))


def _batches(db: Any, count: int) -> None:
    shared_actor(db)
    for batch in _names("batch", count):
        _set_properties(db, _SHARED, _names(batch, _RANGE))


def _make_trust(db: Any, actor_id: str, peerid: str) -> Any:
    trust = db.DbTrust()
    trust.create(
        actor_id=actor_id,
        peerid=peerid,
        baseuri="https://peer.example.com/",
        peer_type="urn:actingweb:example.com:peer",
        relationship="friend",
        secret=f"token-{actor_id}-{peerid}",
        approved=True,
        desc="a friend",
        verification_token="verification",
    )
    return trust


def _trusts(db: Any, count: int) -> None:
    make_actors(db, ["w-trusts"])
    for peerid in _names("peer", count):
        _make_trust(db, "w-trusts", peerid)


def _loaded_trusts(db: Any, count: int) -> list[Any]:
    trusts = [db.DbTrust() for _ in range(count)]
    for trust, peerid in zip(trusts, _names("peer", count), strict=True):
        trust.get(actor_id="w-trusts", peerid=peerid)
    return trusts


def _no_trusts(db: Any, _: int) -> None:
    make_actors(db, ["w-new-trusts"])
    _wipe(db.DbTrustList(), "w-new-trusts")


def _few_trusts(db: Any, _: int) -> None:
    make_actors(db, ["w-list"])
    for peerid in _names("peer", _LIST):
        _make_trust(db, "w-list", peerid)


def _wipe(rows: Any, *key: str) -> None:
    rows.fetch(*key)
    rows.delete()


def _set_attributes(db: Any, bucket: str, names: Iterable[str], data: object) -> None:
    for name in names:
        db.DbAttribute.set_attr(actor_id=_SHARED, bucket=bucket, name=name, data=data, timestamp=_TIME)


def _attributes(db: Any, count: int) -> None:
    _set_attributes(db, "many", _names("n", count), {"state": "old", "tries": 1})


def _bucket(db: Any, _: int) -> None:
    _set_attributes(db, "bucket", _names("n", _CHAIN), {"state": "old", "tries": 1})


def _chains(db: Any, count: int) -> None:
    for chain in _names("chain", count):
        _set_attributes(db, "chains", _names(chain, _CHAIN), {"chain_id": chain})


def _make_diffs(db: Any, actor_id: str, subid: str, count: int) -> None:
    for seqnr in range(1, count + 1):
        db.DbSubscriptionDiff().create(actor_id=actor_id, subid=subid, diff='{"changed": true}', seqnr=seqnr)


def _few_diffs(db: Any, _: int) -> None:
    make_actors(db, ["w-list"])
    _make_diffs(db, "w-list", "s-list", _DIFFS)


def _no_diffs(db: Any, _: int) -> None:
    shared_actor(db)
    _wipe(db.DbSubscriptionDiffList(), _SHARED, "s-new")


def _diffs_of_many(db: Any, count: int) -> None:
    make_actors(db, ["w-clear"])
    for subid in _names("s", count):
        _make_diffs(db, "w-clear", subid, _DIFFS)


def _loaded_diffs(db: Any, count: int) -> list[Any]:
    lists = [db.DbSubscriptionDiffList() for _ in range(count)]
    for rows, subid in zip(lists, _names("s", count), strict=True):
        rows.fetch("w-clear", subid)
    return lists


def _no_subscriptions(db: Any, _: int) -> None:
    make_actors(db, ["w-subscriptions"])
    _wipe(db.DbSubscriptionList(), "w-subscriptions")


def _no_suspensions(db: Any, _: int) -> None:
    make_actors(db, ["w-suspensions"])
    db.DbSubscriptionSuspension("w-suspensions").delete_all()


def _large_actors(db: Any, count: int) -> None:
    for actor_id in _names("w-large", count):
        make_actors(db, [actor_id])
        _set_properties(db, actor_id, _names("p", _PROPERTIES))
        for peerid in _names("peer", _TRUSTS):
            _make_trust(db, actor_id, peerid)
        _make_diffs(db, actor_id, "s", _DIFFS_OF_LARGE)


def _delete_large(db: Any, actor: Any, actor_id: str) -> None:
    if not db.cascades:
        properties = db.DbPropertyList(use_lookup_table=True, indexed_properties=[INDEXED])
        for rows in (properties, db.DbTrustList(), db.DbSubscriptionDiffList()):
            rows.fetch(actor_id=actor_id)
            rows.delete()
    actor.delete()


# Calls.


def _each(key: Callable[[int], list[str]], call: Callable[[Any, str], object]) -> Callable[[Any, int], list[Call]]:
    """Return what makes a call for each of so many names."""

    def calls(db: Any, count: int) -> list[Call]:
        return [lambda name=name: call(db, name) for name in key(count)]  # type: ignore[misc]

    return calls


def _again(call: Callable[[Any], object]) -> Callable[[Any, int], list[Call]]:
    """Return what makes the same call so many times."""
    return lambda db, count: [lambda: call(db)] * count


def _with(load: Callable[[Any, int], list[Any]], call: Callable[[Any], object]) -> Callable[[Any, int], list[Call]]:
    """Return what makes a call with each of so many loaded objects."""

    def calls(db: Any, count: int) -> list[Call]:
        return [lambda loaded=loaded: call(loaded) for loaded in load(db, count)]  # type: ignore[misc]

    return calls


def _numbered(prefix: str) -> Callable[[int], list[str]]:
    return lambda count: _names(prefix, count)


def _delete_each_large(db: Any, count: int) -> list[Call]:
    actors = [db.DbActor() for _ in range(count)]
    ids = _names("w-large", count)
    for actor, actor_id in zip(actors, ids, strict=True):
        actor.get(actor_id=actor_id)
    return [
        lambda actor=actor, actor_id=actor_id: _delete_large(db, actor, actor_id)  # type: ignore[misc]
        for actor, actor_id in zip(actors, ids, strict=True)
    ]


def _cas(db: Any, name: str) -> object:
    return _property(db).set_if_value_equals(actor_id=_SHARED, name=name, expected="old", value="new")


def _attribute_cas(db: Any, name: str) -> object:
    return db.DbAttribute.conditional_update_attr(
        actor_id=_SHARED,
        bucket="many",
        name=name,
        old_data={"state": "old", "tries": 1},
        new_data={"state": "new", "tries": 2},
    )


def _set_attribute(db: Any, name: str) -> object:
    data = {"state": "old", "tries": 1}
    return db.DbAttribute.set_attr(actor_id=_SHARED, bucket="many", name=name, data=data, timestamp=_TIME)


def _create_diff(db: Any, name: str) -> object:
    seqnr = int(name.rpartition("-")[2]) + 1
    return db.DbSubscriptionDiff().create(actor_id=_SHARED, subid="s-new", diff='{"changed": true}', seqnr=seqnr)


def _create_actor(db: Any, actor_id: str) -> object:
    return db.DbActor().create(actor_id=actor_id, creator="c@example.com", passphrase="a passphrase")


def _create_subscription(db: Any, subid: str) -> object:
    return db.DbSubscription().create(
        actor_id="w-subscriptions", peerid="peer", subid=subid, granularity="high", target="properties"
    )


def _set_address(db: Any, actor_id: str) -> object:
    return _property(db).set(actor_id=actor_id, name=INDEXED, value=f"{actor_id}@new.example.com")


def _find(db: Any, value: str) -> object:
    return _property(db).get_actor_id_from_property(name=INDEXED, value=value)


def _range(db: Any) -> object:
    return _property(db).get_range(actor_id=_SHARED, lower="range-", upper="range-999999")


def _last(db: Any) -> object:
    return _property(db).get_last_in_range(actor_id=_SHARED, lower="range-", upper="range-999999")


def _batch_delete(db: Any, batch: str) -> object:
    return _property(db).batch_delete(actor_id=_SHARED, names=_names(batch, _RANGE))


def _property_list(db: Any) -> object:
    return db.DbPropertyList(use_lookup_table=True, indexed_properties=[INDEXED]).fetch(actor_id="w-list")


_ACTORS = _numbered("w-actor")
_PEERS = _numbered("peer")

OPERATIONS: tuple[Operation, ...] = (
    Operation("actor get", "read", 400, _actors, _each(_ACTORS, lambda db, a: db.DbActor().get(actor_id=a))),
    Operation("actor create", "write", 300, _no_actors, _each(_numbered("w-new"), _create_actor), once=False),
    Operation(
        "actor modify",
        "write",
        300,
        _actors,
        _with(_loaded_actors, lambda actor: actor.modify(passphrase="another passphrase")),
    ),
    Operation("actor delete", "write", 200, _actors, _with(_loaded_actors, lambda actor: actor.delete()), once=False),
    Operation(
        "property get",
        "read",
        400,
        _shared_properties,
        _each(_numbered("p"), lambda db, name: _property(db).get(actor_id=_SHARED, name=name)),
    ),
    Operation(
        "property set",
        "write",
        300,
        _shared_properties,
        _each(_numbered("p"), lambda db, name: _property(db).set(actor_id=_SHARED, name=name, value="old")),
    ),
    Operation("indexed property set", "write", 100, _addresses, _each(_ACTORS, _set_address), once=False),
    Operation(
        "reverse look-up, hit",
        "read",
        400,
        _addresses,
        _each(_ACTORS, lambda db, a: _find(db, f"{a}@old.example.com")),
    ),
    Operation(
        "reverse look-up, miss",
        "read",
        400,
        _addresses,
        _each(_ACTORS, lambda db, a: _find(db, f"{a}@absent.example.com")),
    ),
    Operation("property compare-and-swap", "write", 300, _shared_properties, _each(_numbered("p"), _cas), once=False),
    Operation(f"property range of {_RANGE}", "rows", 100, _many_properties, _again(_range)),
    Operation(
        f"property prefix of {_RANGE}",
        "rows",
        100,
        _many_properties,
        _again(lambda db: _property(db).get_prefix(actor_id=_SHARED, prefix="range-")),
    ),
    Operation("property last in range", "read", 400, _many_properties, _again(_last)),
    Operation(f"property list of {_LIST}", "rows", 200, _few_properties, _again(_property_list)),
    Operation(
        f"property batch delete of {_RANGE}",
        "rows",
        10,
        _batches,
        _each(_numbered("batch"), _batch_delete),
        once=False,
    ),
    Operation(
        "trust get",
        "read",
        300,
        _trusts,
        _each(_PEERS, lambda db, peerid: db.DbTrust().get(actor_id="w-trusts", peerid=peerid)),
    ),
    Operation(
        "trust get by token",
        "read",
        300,
        _trusts,
        _each(_PEERS, lambda db, peerid: db.DbTrust().get(actor_id="w-trusts", token=f"token-w-trusts-{peerid}")),
    ),
    Operation(
        "trust create",
        "write",
        200,
        _no_trusts,
        _each(_PEERS, lambda db, peerid: _make_trust(db, "w-new-trusts", peerid)),
        once=False,
    ),
    Operation(
        "trust modify", "write", 200, _trusts, _with(_loaded_trusts, lambda trust: trust.modify(desc="an old friend"))
    ),
    Operation(
        f"trust list of {_LIST}",
        "rows",
        100,
        _few_trusts,
        _again(lambda db: db.DbTrustList().fetch(actor_id="w-list")),
    ),
    Operation(
        "attribute get",
        "read",
        400,
        _attributes,
        _each(_numbered("n"), lambda db, name: db.DbAttribute.get_attr(actor_id=_SHARED, bucket="many", name=name)),
    ),
    Operation("attribute set", "write", 300, _attributes, _each(_numbered("n"), _set_attribute)),
    Operation(
        "attribute compare-and-swap", "write", 300, _attributes, _each(_numbered("n"), _attribute_cas), once=False
    ),
    Operation(
        f"attribute bucket of {_CHAIN}",
        "rows",
        100,
        _bucket,
        _again(lambda db: db.DbAttribute.get_bucket(actor_id=_SHARED, bucket="bucket")),
    ),
    Operation(
        f"attribute chain delete of {_CHAIN}",
        "rows",
        10,
        _chains,
        _each(
            _numbered("chain"),
            lambda db, chain: db.DbAttribute.delete_by_chain(actor_id=_SHARED, buckets=["chains"], chain_id=chain),
        ),
        once=False,
    ),
    Operation(
        "subscription create",
        "write",
        200,
        _no_subscriptions,
        _each(_numbered("s"), _create_subscription),
        once=False,
    ),
    Operation(
        "subscription suspend",
        "write",
        200,
        _no_suspensions,
        _each(_numbered("t"), lambda db, target: db.DbSubscriptionSuspension("w-suspensions").suspend(target)),
        once=False,
    ),
    Operation("diff create", "write", 300, _no_diffs, _each(_numbered("d"), _create_diff), once=False),
    Operation(
        "diff get oldest",
        "read",
        300,
        _few_diffs,
        _again(lambda db: db.DbSubscriptionDiff().get(actor_id="w-list", subid="s-list")),
    ),
    Operation(
        f"diff list of {_DIFFS}",
        "rows",
        100,
        _few_diffs,
        _again(lambda db: db.DbSubscriptionDiffList().fetch(actor_id="w-list", subid="s-list")),
    ),
    Operation(
        f"diff clear of {_DIFFS}",
        "rows",
        10,
        _diffs_of_many,
        _with(_loaded_diffs, lambda rows: rows.delete()),
        once=False,
    ),
    Operation("actor with 1,000 rows deleted", "rows", 1, _large_actors, _delete_each_large, once=False),
)


def row_by_row() -> list[tuple[Operation, Operation]]:
    """Return operations that delete many rows, each with what does the same row by row."""
    names = {operation.name: operation for operation in OPERATIONS}
    pairs: list[tuple[Operation, Callable[[Any, int], list[Call]]]] = [
        (names[f"property batch delete of {_RANGE}"], lambda db, count: [lambda: _delete_properties(db, count)]),
        (names[f"attribute chain delete of {_CHAIN}"], lambda db, count: [lambda: _delete_attributes(db, count)]),
        (names[f"diff clear of {_DIFFS}"], lambda db, count: [lambda: _delete_diffs(db, count)]),
    ]
    return [(many, Operation(many.name, many.kind, many.count, many.store, calls)) for many, calls in pairs]


def _delete_properties(db: Any, count: int) -> None:
    for batch in _names("batch", count):
        for name in _names(batch, _RANGE):
            _property(db).set(actor_id=_SHARED, name=name, value="")


def _delete_attributes(db: Any, count: int) -> None:
    for chain in _names("chain", count):
        for name in _names(chain, _CHAIN):
            db.DbAttribute.delete_attr(actor_id=_SHARED, bucket="chains", name=name)


def _delete_diffs(db: Any, count: int) -> None:
    for subid in _names("s", count):
        for seqnr in range(1, _DIFFS + 1):
            diff = db.DbSubscriptionDiff()
            diff.get(actor_id="w-clear", subid=subid, seqnr=seqnr)
            diff.delete()
