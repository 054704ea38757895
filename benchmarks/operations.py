"""The operations whose requests are counted, with the numbers that they may not exceed (contract 4.5 and 5.2)."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actingweb.db.registry import Backend

__all__ = ["OPERATIONS", "Operation"]

Call = Callable[[], object]
Prepare = Callable[[Backend, str], Call]

ROWS = 30
"""Rows of a wipe: two batches of DynamoDB."""

MANY = 100
"""Rows of a bulk call: one transaction of DynamoDB."""


@dataclass(frozen=True)
class Operation:
    """What is counted.

    Attributes:
        prepare: stores what is needed for an actor and returns the call to count.
        dynamodb: requests, at most.
        postgresql: round trips, at most.
        legacy: whether it runs without look-up table.
    """

    name: str
    dynamodb: int
    prepare: Prepare
    postgresql: int = 1
    legacy: bool = False


def _after(store: Callable[[Backend, str], object], call: Callable[[Backend, str], object]) -> Prepare:
    """Return a preparation that stores something; the call is made with objects of its own."""

    def prepare(backend: Backend, actor_id: str) -> Call:
        store(backend, actor_id)
        return lambda: call(backend, actor_id)

    return prepare


def _on(load: Callable[[Backend, str], Any], call: Callable[[Any], object]) -> Prepare:
    """Return a preparation that loads an object, with which the call is made."""

    def prepare(backend: Backend, actor_id: str) -> Call:
        loaded = load(backend, actor_id)
        return lambda: call(loaded)

    return prepare


def _nothing(backend: Backend, actor_id: str) -> None:
    """Store nothing."""


def _actor(backend: Backend, actor_id: str) -> Any:
    actor = backend.DbActor.DbActor()
    actor.get(actor_id)
    return actor


def _property(name: str, value: str = "value") -> Callable[[Backend, str], Any]:
    """Return a function that stores a property and returns its object with the handle set."""

    def store(backend: Backend, actor_id: str) -> Any:
        found = backend.DbProperty.DbProperty()
        found.set(actor_id, name, f"{value} of {actor_id}")
        return found

    return store


def _properties(backend: Backend, actor_id: str) -> Any:
    for number in range(ROWS - 2):
        backend.DbProperty.DbProperty().set(actor_id, f"n{number}", "v")
    for name in ("email", "oauthId"):
        _property(name)(backend, actor_id)
    rows = backend.DbProperty.DbPropertyList()
    rows.fetch(actor_id)
    return rows


def _values(count: int) -> dict[str, str]:
    """Return values to store by name, which no index has."""
    return {f"n{number}": "v" for number in range(count)}


def _diff_values(count: int) -> list[tuple[str, int, str]]:
    return [(f"s{number % 7}", number, "d") for number in range(count)]


def _taken_diffs(backend: Backend, actor_id: str) -> None:
    for subid, seqnr, diff in _diff_values(3):
        backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, subid, diff, seqnr)


def _large_properties(backend: Backend, actor_id: str) -> None:
    for number in range(5):
        backend.DbProperty.DbProperty().set(actor_id, f"n{number}", "v" * 390_000)


def _claimed(backend: Backend, actor_id: str) -> None:
    other = f"{actor_id}-other"
    backend.DbActor.DbActor().create(other)
    backend.DbProperty.DbProperty().set(other, "email", f"value of {actor_id}")


def _lookup(backend: Backend) -> Any:
    return importlib.import_module(f"actingweb.db.{backend.database}.property_lookup").DbPropertyLookup()


def _lookup_row(backend: Backend, actor_id: str) -> Any:
    found = _lookup(backend)
    found.create("phone", actor_id, actor_id)
    return found


def _trust(backend: Backend, actor_id: str) -> Any:
    found = backend.DbTrust.DbTrust()
    found.create(actor_id, "p", secret=f"token of {actor_id}")
    return found


def _trustee(backend: Backend, actor_id: str) -> Any:
    found = backend.DbPeerTrustee.DbPeerTrustee()
    found.create(actor_id, "p", "type")
    return found


def _subscription(backend: Backend, actor_id: str) -> Any:
    found = backend.DbSubscription.DbSubscription()
    found.create(actor_id, "p", "s")
    return found


def _diff(backend: Backend, actor_id: str) -> Any:
    found = backend.DbSubscriptionDiff.DbSubscriptionDiff()
    found.create(actor_id, "s", "d", 1)
    return found


def _suspension(backend: Backend, actor_id: str) -> Any:
    found = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    found.suspend("t", "st")
    return found


def _suspensions(backend: Backend, actor_id: str) -> Any:
    found = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    for number in range(ROWS):
        found.suspend(f"t{number}")
    return found


def _attributes(backend: Backend, actor_id: str) -> None:
    for number in range(ROWS):
        backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", f"n{number}", {"chain_id": "c"})


def _rows(module: str, *arguments: Callable[[int], object]) -> Callable[[Backend, str], Any]:
    """Return a function that creates rows and returns their list, fetched."""

    def store(backend: Backend, actor_id: str) -> Any:
        entities = getattr(backend, module)
        for number in range(ROWS):
            getattr(entities, module)().create(actor_id, *(argument(number) for argument in arguments))
        rows = getattr(entities, f"{module}List")()
        rows.fetch(actor_id)
        return rows

    return store


_trusts = _rows("DbTrust", str)
_trustees = _rows("DbPeerTrustee", str, str)
_subscriptions = _rows("DbSubscription", str, str)
_diffs = _rows("DbSubscriptionDiff", lambda _: "s", str, lambda number: number + 1)


def _find(name: str, value: str) -> Callable[[Backend, str], object]:
    return lambda backend, actor_id: _prop(backend).get_actor_id_from_property(name, f"{value} of {actor_id}")


def _prop(backend: Backend) -> Any:
    return backend.DbProperty.DbProperty()


def _attr(backend: Backend) -> Any:
    return backend.DbAttribute.DbAttribute


OPERATIONS = [
    Operation("actor get", 1, _after(_nothing, lambda b, a: b.DbActor.DbActor().get(a))),
    Operation("actor get_by_creator", 1, _after(_nothing, lambda b, a: b.DbActor.DbActor().get_by_creator(a))),
    Operation("actor create", 1, _after(_nothing, lambda b, a: b.DbActor.DbActor().create(f"{a}-2", "c", "p"))),
    Operation("actor create, taken", 1, _after(_nothing, lambda b, a: b.DbActor.DbActor().create(a, "c", "p"))),
    Operation("actor modify", 1, _on(_actor, lambda actor: actor.modify(passphrase="q"))),
    Operation("actor delete", 1, _on(_actor, lambda actor: actor.delete())),
    Operation("actor list fetch", 1, _after(_nothing, lambda b, _: b.DbActor.DbActorList().fetch())),
    Operation(
        "actor list iterate, one page", 1, _after(_nothing, lambda b, _: list(b.DbActor.DbActorList().iterate()))
    ),
    Operation("property get", 1, _after(_property("n"), lambda b, a: _prop(b).get(a, "n"))),
    Operation(
        f"property get_many of {MANY}",
        1,
        _after(_properties, lambda b, a: _prop(b).get_many(a, list(_values(MANY)))),
    ),
    Operation(f"property set_many of {MANY}", 1, _after(_nothing, lambda b, a: _prop(b).set_many(a, _values(MANY)))),
    Operation(
        f"property set_many of {3 * MANY}, in chunks",
        3,
        _after(_nothing, lambda b, a: _prop(b).set_many(a, _values(3 * MANY), MANY)),
    ),
    Operation(
        "property set_many, 2 of 52 indexed, changed",
        2,
        _after(_properties, lambda b, a: _prop(b).set_many(a, {**_values(50), "email": a, "oauthId": a})),
    ),
    Operation(
        "property set_many, 1 indexed, claimed by another",
        4,
        _after(_claimed, lambda b, a: _prop(b).set_many(a, {"n": "v", "email": f"value of {a}"})),
    ),
    Operation("property get_range", 1, _after(_property("n"), lambda b, a: _prop(b).get_range(a, "a", "z"))),
    Operation("property get_prefix", 1, _after(_property("n"), lambda b, a: _prop(b).get_prefix(a, "n"))),
    Operation(
        "property get_last_in_range", 1, _after(_property("n"), lambda b, a: _prop(b).get_last_in_range(a, "a", "z"))
    ),
    Operation("property set, new", 1, _after(_nothing, lambda b, a: _prop(b).set(a, "n", "v"))),
    Operation("property set, changed", 1, _after(_property("n"), lambda b, a: _prop(b).set(a, "n", "v"))),
    Operation("property set, empty", 1, _after(_property("n"), lambda b, a: _prop(b).set(a, "n", ""))),
    Operation("property delete", 1, _on(_property("n"), lambda found: found.delete())),
    Operation(
        "property create_if_not_exists", 1, _after(_nothing, lambda b, a: _prop(b).create_if_not_exists(a, "n", "v"))
    ),
    Operation(
        "property create_if_not_exists, taken",
        1,
        _after(_property("n"), lambda b, a: _prop(b).create_if_not_exists(a, "n", "v")),
    ),
    Operation(
        "property set_if_value_equals",
        1,
        _after(_property("n"), lambda b, a: _prop(b).set_if_value_equals(a, "n", f"value of {a}", "v")),
    ),
    Operation(
        "property delete_if_value_equals",
        1,
        _after(_property("n"), lambda b, a: _prop(b).delete_if_value_equals(a, "n", f"value of {a}")),
    ),
    Operation("indexed set, new", 1, _after(_nothing, lambda b, a: _prop(b).set(a, "email", a))),
    Operation("indexed set, changed", 2, _after(_property("email"), lambda b, a: _prop(b).set(a, "email", a))),
    Operation(
        "indexed set, changed, in handle",
        1,
        _on(_property("email"), lambda found: found.set(found.handle.id, "email", found.handle.id)),
    ),
    Operation("indexed set, empty", 2, _after(_property("email"), lambda b, a: _prop(b).set(a, "email", ""))),
    Operation(
        "indexed set, claimed by another", 3, _after(_claimed, lambda b, a: _prop(b).set(a, "email", f"value of {a}"))
    ),
    Operation("indexed delete, in handle", 1, _on(_property("email"), lambda found: found.delete())),
    Operation(
        "indexed create_if_not_exists", 1, _after(_nothing, lambda b, a: _prop(b).create_if_not_exists(a, "email", a))
    ),
    Operation(
        "indexed set_if_value_equals",
        1,
        _after(_property("email"), lambda b, a: _prop(b).set_if_value_equals(a, "email", f"value of {a}", a)),
    ),
    Operation(
        "indexed delete_if_value_equals",
        1,
        _after(_property("email"), lambda b, a: _prop(b).delete_if_value_equals(a, "email", f"value of {a}")),
    ),
    Operation(
        f"property batch_delete of {ROWS}",
        2,
        _after(_properties, lambda b, a: _prop(b).batch_delete(a, [f"n{number}" for number in range(ROWS)])),
    ),
    Operation(
        "property batch_delete, 2 of 3 indexed",
        3,
        _after(_properties, lambda b, a: _prop(b).batch_delete(a, ["n1", "email", "oauthId"])),
    ),
    Operation("reverse look-up, not indexed", 0, _after(_nothing, _find("color", "value")), postgresql=0),
    Operation("reverse look-up, miss", 1, _after(_nothing, _find("email", "absent"))),
    Operation("reverse look-up, hit", 2, _after(_property("email"), _find("email", "value"))),
    Operation("legacy reverse look-up, miss", 1, _after(_nothing, _find("email", "absent")), legacy=True),
    Operation("legacy reverse look-up, hit", 2, _after(_property("email"), _find("email", "value")), legacy=True),
    Operation("property list fetch", 2, _after(_properties, lambda b, a: b.DbProperty.DbPropertyList().fetch(a))),
    Operation(
        "property list fetch_all_including_lists",
        1,
        _after(_properties, lambda b, a: b.DbProperty.DbPropertyList().fetch_all_including_lists(a)),
    ),
    Operation(
        "property list fetch_all_including_lists, 2 pages",
        2,
        _after(_large_properties, lambda b, a: b.DbProperty.DbPropertyList().fetch_all_including_lists(a)),
    ),
    Operation(f"property list delete of {ROWS}, 2 claims", 4, _on(_properties, lambda rows: rows.delete())),
    Operation("property lookup get", 1, _after(_lookup_row, lambda b, a: _lookup(b).get("phone", a))),
    Operation("property lookup create", 1, _after(_nothing, lambda b, a: _lookup(b).create("phone", a, a))),
    Operation("property lookup create, taken", 1, _after(_lookup_row, lambda b, a: _lookup(b).create("phone", a, "x"))),
    Operation("property lookup delete", 1, _on(_lookup_row, lambda found: found.delete())),
    Operation("property lookup get_v1", 1, _after(_nothing, lambda b, a: _lookup(b).get_v1("phone", a))),
    Operation("trust get by peerid", 1, _after(_trust, lambda b, a: b.DbTrust.DbTrust().get(a, "p"))),
    Operation(
        "trust get by token, hit", 2, _after(_trust, lambda b, a: b.DbTrust.DbTrust().get(a, None, f"token of {a}"))
    ),
    Operation(
        "trust get by token, miss", 1, _after(_trust, lambda b, a: b.DbTrust.DbTrust().get(a, None, f"other of {a}"))
    ),
    Operation(
        f"trust get_many of {MANY}",
        1,
        _after(_trusts, lambda b, a: b.DbTrust.DbTrust().get_many(a, list(map(str, range(MANY))))),
    ),
    Operation("trust create", 1, _after(_nothing, lambda b, a: b.DbTrust.DbTrust().create(a, "p", secret=a))),
    Operation("trust create again", 1, _after(_trust, lambda b, a: b.DbTrust.DbTrust().create(a, "p", secret=a))),
    Operation("trust modify", 1, _on(_trust, lambda trust: trust.modify(desc="x"))),
    Operation("trust delete", 1, _on(_trust, lambda trust: trust.delete())),
    Operation("trust is_token_in_db", 1, _after(_trust, lambda b, a: b.DbTrust.DbTrust.is_token_in_db(a, "x"))),
    Operation("trust list fetch", 1, _after(_trusts, lambda b, a: b.DbTrust.DbTrustList().fetch(a))),
    Operation(f"trust list delete of {ROWS}", 3, _on(_trusts, lambda rows: rows.delete())),
    Operation(
        "peer trustee get by peerid",
        1,
        _after(_trustee, lambda b, a: b.DbPeerTrustee.DbPeerTrustee().get(a, None, "p")),
    ),
    Operation(
        "peer trustee get by type", 1, _after(_trustee, lambda b, a: b.DbPeerTrustee.DbPeerTrustee().get(a, "type"))
    ),
    Operation(
        "peer trustee create", 1, _after(_nothing, lambda b, a: b.DbPeerTrustee.DbPeerTrustee().create(a, "p", "t"))
    ),
    Operation("peer trustee modify", 1, _on(_trustee, lambda trustee: trustee.modify(baseuri="x"))),
    Operation("peer trustee delete", 1, _on(_trustee, lambda trustee: trustee.delete())),
    Operation(
        "peer trustee list fetch", 1, _after(_trustees, lambda b, a: b.DbPeerTrustee.DbPeerTrusteeList().fetch(a))
    ),
    Operation(f"peer trustee list delete of {ROWS}", 3, _on(_trustees, lambda rows: rows.delete())),
    Operation(
        "subscription get", 1, _after(_subscription, lambda b, a: b.DbSubscription.DbSubscription().get(a, "p", "s"))
    ),
    Operation(
        "subscription create", 1, _after(_nothing, lambda b, a: b.DbSubscription.DbSubscription().create(a, "p", "s"))
    ),
    Operation(
        "subscription create, taken",
        2,
        _after(_subscription, lambda b, a: b.DbSubscription.DbSubscription().create(a, "p", "s")),
    ),
    Operation("subscription modify", 1, _on(_subscription, lambda found: found.modify(seqnr=7))),
    Operation("subscription increment_seqnr", 1, _on(_subscription, lambda found: found.increment_seqnr())),
    Operation("subscription delete", 1, _on(_subscription, lambda found: found.delete())),
    Operation(
        "subscription list fetch",
        1,
        _after(_subscriptions, lambda b, a: b.DbSubscription.DbSubscriptionList().fetch(a)),
    ),
    Operation(f"subscription list delete of {ROWS}", 3, _on(_subscriptions, lambda rows: rows.delete())),
    Operation("diff get", 1, _after(_diff, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiff().get(a, "s", 1))),
    Operation("diff get lowest", 1, _after(_diffs, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiff().get(a, "s"))),
    Operation(
        "diff create", 1, _after(_nothing, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiff().create(a, "s"))
    ),
    Operation(
        f"diff create_many of {MANY}",
        1,
        _after(_nothing, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiff().create_many(a, _diff_values(MANY))),
    ),
    Operation(
        f"diff create_many of {MANY}, some taken",
        2,
        _after(_taken_diffs, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiff().create_many(a, _diff_values(MANY))),
    ),
    Operation("diff delete", 1, _on(_diff, lambda found: found.delete())),
    Operation(
        "diff list fetch", 1, _after(_diffs, lambda b, a: b.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(a, "s"))
    ),
    Operation(f"diff list delete of {ROWS}", 3, _on(_diffs, lambda rows: rows.delete())),
    Operation("diff list delete up to a number", 3, _on(_diffs, lambda rows: rows.delete(ROWS - 1))),
    Operation("suspension is_suspended", 1, _on(_suspension, lambda found: found.is_suspended("t", "st"))),
    Operation("suspension suspend", 1, _on(_suspension, lambda found: found.suspend("t2"))),
    Operation("suspension suspend, taken", 2, _on(_suspension, lambda found: found.suspend("t", "st"))),
    Operation("suspension resume", 1, _on(_suspension, lambda found: found.resume("t", "st"))),
    Operation("suspension get_all_suspended", 1, _on(_suspension, lambda found: found.get_all_suspended())),
    Operation(f"suspension delete_all of {ROWS}", 3, _on(_suspensions, lambda found: found.delete_all())),
    Operation("attribute get_attr", 1, _after(_attributes, lambda b, a: _attr(b).get_attr(a, "b", "n1"))),
    Operation("attribute get_attr_strict", 1, _after(_attributes, lambda b, a: _attr(b).get_attr_strict(a, "b", "n1"))),
    Operation("attribute set_attr", 1, _after(_nothing, lambda b, a: _attr(b).set_attr(a, "b", "n", 1))),
    Operation("attribute delete_attr", 1, _after(_attributes, lambda b, a: _attr(b).delete_attr(a, "b", "n1"))),
    Operation(
        "attribute delete_attr_conditional",
        1,
        _after(_attributes, lambda b, a: _attr(b).delete_attr_conditional(a, "b", "n1")),
    ),
    Operation(
        "attribute conditional_update_attr",
        2,
        _after(_attributes, lambda b, a: _attr(b).conditional_update_attr(a, "b", "n1", {"chain_id": "c"}, 1)),
    ),
    Operation("attribute get_bucket", 1, _after(_attributes, lambda b, a: _attr(b).get_bucket(a, "b"))),
    Operation("attribute delete_expired", 0, _after(_attributes, lambda b, _: _attr(b).delete_expired())),
    Operation(
        f"attribute delete_bucket of {ROWS}", 3, _after(_attributes, lambda b, a: _attr(b).delete_bucket(a, "b"))
    ),
    Operation(
        f"attribute delete_by_chain of {ROWS}",
        4,
        _after(_attributes, lambda b, a: _attr(b).delete_by_chain(a, ["b"], "c", "n1")),
    ),
    Operation("bucket list fetch", 1, _after(_attributes, lambda b, a: b.DbAttribute.DbAttributeBucketList.fetch(a))),
    Operation(
        "bucket list fetch_timestamps",
        1,
        _after(_attributes, lambda b, a: b.DbAttribute.DbAttributeBucketList.fetch_timestamps(a)),
    ),
    Operation(
        f"bucket list delete of {ROWS}",
        3,
        _after(_attributes, lambda b, a: b.DbAttribute.DbAttributeBucketList.delete(a)),
    ),
]
