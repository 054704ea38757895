"""Operations with the requests to DynamoDB, or round trips to PostgreSQL, that each may take (contract 4.5 and 5.2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from .calls import ID, Actor, Call, Classes, Prepare, do, each

__all__ = ["COUNTED", "Counted"]

_ROWS = 30
"""Rows of a bulk delete: two batches of DynamoDB."""
_MANY = 100
"""Rows of a bulk call: one transaction of DynamoDB."""


@dataclass(frozen=True)
class Counted:
    """An operation whose requests are counted.

    Attributes:
        dynamodb: requests, at most.
        rows: calls that store the rows which the call needs.
        postgresql: round trips, at most.
        legacy: whether it runs in legacy mode, without the look-up table.
    """

    name: str
    dynamodb: int
    call: Prepare
    rows: tuple[Prepare, ...] = ()
    postgresql: int = 1
    legacy: bool = False

    def prepare(self, db: Classes, actor_id: str) -> Call:
        """Store the rows that the call needs for an existing actor, and return the call."""
        actor = Actor(actor_id, actor_id)
        for prepare in self.rows:
            prepare(db, actor)()
        return self.call(db, actor)

    def count(self, db: Classes, taken: Callable[[], Sequence[object]]) -> int:
        """Return how many requests or round trips a call sends. `taken` returns those sent since its last call."""
        for _ in range(2):
            # The first call is not counted: it opens a connection, checks tables and finds legacy ones missing.
            actor_id = f"a{uuid4().hex}"
            db.DbActor().create(actor_id, actor_id, "passphrase")
            call = self.prepare(db, actor_id)
            taken()
            call()
        return len(taken())


def _iterate(db: Any, _: Actor) -> Call:
    return lambda: list(db.DbActorList().iterate())


def _text(name: str) -> Prepare:
    return do("DbProperty.set", ID, name, "value of {id}")


_PLAIN, _EMAIL = (_text("n"),), (_text("email"),)
_VALUES = {f"n{number}": "v" for number in range(3 * _MANY)}
_DIFF_VALUES = [(f"s{number % 7}", number, "d") for number in range(_MANY)]
_PROPERTIES = (
    *each(range(_ROWS - 2), lambda n: do("DbProperty.set", ID, f"n{n}", "v")),
    _text("email"),
    _text("oauthId"),
)
_LARGE_PROPERTIES = each(range(5), lambda n: do("DbProperty.set", ID, f"n{n}", "v" * 390_000))
_CLAIMED = (do("DbActor.create", "{id}-other"), do("DbProperty.set", "{id}-other", "email", "value of {id}"))
_LOOKUP = (do("DbPropertyLookup.create", "phone", ID, ID),)
_TRUST = (do("DbTrust.create", ID, "p", secret="token of {id}"),)
_TRUSTEE = (do("DbPeerTrustee.create", ID, "p", "type"),)
_SUBSCRIPTION = (do("DbSubscription.create", ID, "p", "s"),)
_DIFF = (do("DbSubscriptionDiff.create", ID, "s", "d", 1),)
_SUSPENSION = (do("DbSubscriptionSuspension.suspend", "t", "st"),)
_SUSPENSIONS = each(range(_ROWS), lambda n: do("DbSubscriptionSuspension.suspend", f"t{n}"))
_TRUSTS = each(range(_ROWS), lambda n: do("DbTrust.create", ID, str(n)))
_TRUSTEES = each(range(_ROWS), lambda n: do("DbPeerTrustee.create", ID, str(n), str(n)))
_SUBSCRIPTIONS = each(range(_ROWS), lambda n: do("DbSubscription.create", ID, str(n), str(n)))
_DIFFS = each(range(_ROWS), lambda n: do("DbSubscriptionDiff.create", ID, "s", str(n), n + 1))
_TAKEN_DIFFS = each(_DIFF_VALUES[:3], lambda d: do("DbSubscriptionDiff.create", ID, d[0], d[2], d[1]))
_ATTRIBUTES = each(range(_ROWS), lambda n: do("DbAttribute.set_attr", ID, "b", f"n{n}", {"chain_id": "c"}))


def _some(count: int) -> dict[str, str]:
    return dict(list(_VALUES.items())[:count])


COUNTED: tuple[Counted, ...] = (
    Counted("actor get", 1, do("DbActor.get", ID)),
    Counted("actor get_by_creator", 1, do("DbActor.get_by_creator", ID)),
    Counted("actor create", 1, do("DbActor.create", "{id}-2", "c", "p")),
    Counted("actor create, taken", 1, do("DbActor.create", ID, "c", "p")),
    Counted("actor modify", 1, do("DbActor.modify", passphrase="q", load=(ID,))),
    Counted("actor delete", 1, do("DbActor.delete", load=(ID,))),
    Counted("actor list fetch", 1, do("DbActorList.fetch")),
    Counted("actor list iterate, one page", 1, _iterate),
    Counted("property get", 1, do("DbProperty.get", ID, "n"), _PLAIN),
    Counted(f"property get_many of {_MANY}", 1, do("DbProperty.get_many", ID, list(_some(_MANY))), _PROPERTIES),
    Counted(f"property set_many of {_MANY}", 1, do("DbProperty.set_many", ID, _some(_MANY))),
    Counted(f"property set_many of {3 * _MANY}, in chunks", 3, do("DbProperty.set_many", ID, _some(3 * _MANY), _MANY)),
    Counted(
        "property set_many, 2 of 52 indexed, changed",
        2,
        do("DbProperty.set_many", ID, {**_some(50), "email": ID, "oauthId": ID}),
        _PROPERTIES,
    ),
    Counted(
        "property set_many, 1 indexed, claimed by another",
        4,
        do("DbProperty.set_many", ID, {"n": "v", "email": "value of {id}"}),
        _CLAIMED,
    ),
    Counted("property get_range", 1, do("DbProperty.get_range", ID, "a", "z"), _PLAIN),
    Counted("property get_prefix", 1, do("DbProperty.get_prefix", ID, "n"), _PLAIN),
    Counted("property get_last_in_range", 1, do("DbProperty.get_last_in_range", ID, "a", "z"), _PLAIN),
    Counted("property set, new", 1, do("DbProperty.set", ID, "n", "v")),
    Counted("property set, changed", 1, do("DbProperty.set", ID, "n", "v"), _PLAIN),
    Counted("property set, empty", 1, do("DbProperty.set", ID, "n", ""), _PLAIN),
    Counted("property delete", 1, do("DbProperty.delete", load=(ID, "n")), _PLAIN),
    Counted("property create_if_not_exists", 1, do("DbProperty.create_if_not_exists", ID, "n", "v")),
    Counted("property create_if_not_exists, taken", 1, do("DbProperty.create_if_not_exists", ID, "n", "v"), _PLAIN),
    Counted(
        "property set_if_value_equals", 1, do("DbProperty.set_if_value_equals", ID, "n", "value of {id}", "v"), _PLAIN
    ),
    Counted(
        "property delete_if_value_equals",
        1,
        do("DbProperty.delete_if_value_equals", ID, "n", "value of {id}"),
        _PLAIN,
    ),
    Counted("indexed set, new", 1, do("DbProperty.set", ID, "email", ID)),
    Counted("indexed set, changed", 2, do("DbProperty.set", ID, "email", ID), _EMAIL),
    Counted("indexed set, changed, in handle", 1, do("DbProperty.set", ID, "email", ID, load=(ID, "email")), _EMAIL),
    Counted("indexed set, empty", 2, do("DbProperty.set", ID, "email", ""), _EMAIL),
    Counted("indexed set, claimed by another", 3, do("DbProperty.set", ID, "email", "value of {id}"), _CLAIMED),
    Counted("indexed delete, in handle", 1, do("DbProperty.delete", load=(ID, "email")), _EMAIL),
    Counted("indexed create_if_not_exists", 1, do("DbProperty.create_if_not_exists", ID, "email", ID)),
    Counted(
        "indexed set_if_value_equals",
        1,
        do("DbProperty.set_if_value_equals", ID, "email", "value of {id}", ID),
        _EMAIL,
    ),
    Counted(
        "indexed delete_if_value_equals",
        1,
        do("DbProperty.delete_if_value_equals", ID, "email", "value of {id}"),
        _EMAIL,
    ),
    Counted(
        f"property batch_delete of {_ROWS}",
        2,
        do("DbProperty.batch_delete", ID, [f"n{number}" for number in range(_ROWS)]),
        _PROPERTIES,
    ),
    Counted(
        "property batch_delete, 2 of 3 indexed",
        3,
        do("DbProperty.batch_delete", ID, ["n1", "email", "oauthId"]),
        _PROPERTIES,
    ),
    Counted(
        "reverse look-up, not indexed",
        0,
        do("DbProperty.get_actor_id_from_property", "color", "value of {id}"),
        postgresql=0,
    ),
    Counted("reverse look-up, miss", 1, do("DbProperty.get_actor_id_from_property", "email", "absent of {id}")),
    Counted("reverse look-up, hit", 2, do("DbProperty.get_actor_id_from_property", "email", "value of {id}"), _EMAIL),
    Counted(
        "legacy reverse look-up, miss",
        1,
        do("DbProperty.get_actor_id_from_property", "email", "absent of {id}"),
        legacy=True,
    ),
    Counted(
        "legacy reverse look-up, hit",
        2,
        do("DbProperty.get_actor_id_from_property", "email", "value of {id}"),
        _EMAIL,
        legacy=True,
    ),
    Counted("property list fetch", 2, do("DbPropertyList.fetch", ID), _PROPERTIES),
    Counted(
        "property list fetch_all_including_lists", 1, do("DbPropertyList.fetch_all_including_lists", ID), _PROPERTIES
    ),
    Counted(
        "property list fetch_all_including_lists, 2 pages",
        2,
        do("DbPropertyList.fetch_all_including_lists", ID),
        _LARGE_PROPERTIES,
    ),
    Counted(f"property list delete of {_ROWS}, 2 claims", 4, do("DbPropertyList.delete", load=(ID,)), _PROPERTIES),
    Counted("property lookup get", 1, do("DbPropertyLookup.get", "phone", ID), _LOOKUP),
    Counted("property lookup create", 1, do("DbPropertyLookup.create", "phone", ID, ID)),
    Counted("property lookup create, taken", 1, do("DbPropertyLookup.create", "phone", ID, "x"), _LOOKUP),
    Counted("property lookup delete", 1, do("DbPropertyLookup.delete", load=("phone", ID)), _LOOKUP),
    Counted("property lookup get_v1", 1, do("DbPropertyLookup.get_v1", "phone", ID)),
    Counted("trust get by peerid", 1, do("DbTrust.get", ID, "p"), _TRUST),
    Counted("trust get by token, hit", 2, do("DbTrust.get", ID, None, "token of {id}"), _TRUST),
    Counted("trust get by token, miss", 1, do("DbTrust.get", ID, None, "other of {id}"), _TRUST),
    Counted(f"trust get_many of {_MANY}", 1, do("DbTrust.get_many", ID, list(map(str, range(_MANY)))), _TRUSTS),
    Counted("trust create", 1, do("DbTrust.create", ID, "p", secret=ID)),
    Counted("trust create again", 1, do("DbTrust.create", ID, "p", secret=ID), _TRUST),
    Counted("trust modify", 1, do("DbTrust.modify", desc="x", load=(ID, "p")), _TRUST),
    Counted("trust delete", 1, do("DbTrust.delete", load=(ID, "p")), _TRUST),
    Counted("trust is_token_in_db", 1, do("DbTrust.is_token_in_db", ID, "x"), _TRUST),
    Counted("trust list fetch", 1, do("DbTrustList.fetch", ID), _TRUSTS),
    Counted(f"trust list delete of {_ROWS}", 3, do("DbTrustList.delete", load=(ID,)), _TRUSTS),
    Counted("peer trustee get by peerid", 1, do("DbPeerTrustee.get", ID, None, "p"), _TRUSTEE),
    Counted("peer trustee get by type", 1, do("DbPeerTrustee.get", ID, "type"), _TRUSTEE),
    Counted("peer trustee create", 1, do("DbPeerTrustee.create", ID, "p", "t")),
    Counted("peer trustee modify", 1, do("DbPeerTrustee.modify", baseuri="x", load=(ID, None, "p")), _TRUSTEE),
    Counted("peer trustee delete", 1, do("DbPeerTrustee.delete", load=(ID, None, "p")), _TRUSTEE),
    Counted("peer trustee list fetch", 1, do("DbPeerTrusteeList.fetch", ID), _TRUSTEES),
    Counted(f"peer trustee list delete of {_ROWS}", 3, do("DbPeerTrusteeList.delete", load=(ID,)), _TRUSTEES),
    Counted("subscription get", 1, do("DbSubscription.get", ID, "p", "s"), _SUBSCRIPTION),
    Counted("subscription create", 1, do("DbSubscription.create", ID, "p", "s")),
    Counted("subscription create, taken", 2, do("DbSubscription.create", ID, "p", "s"), _SUBSCRIPTION),
    Counted("subscription modify", 1, do("DbSubscription.modify", seqnr=7, load=(ID, "p", "s")), _SUBSCRIPTION),
    Counted(
        "subscription increment_seqnr", 1, do("DbSubscription.increment_seqnr", load=(ID, "p", "s")), _SUBSCRIPTION
    ),
    Counted("subscription delete", 1, do("DbSubscription.delete", load=(ID, "p", "s")), _SUBSCRIPTION),
    Counted("subscription list fetch", 1, do("DbSubscriptionList.fetch", ID), _SUBSCRIPTIONS),
    Counted(f"subscription list delete of {_ROWS}", 3, do("DbSubscriptionList.delete", load=(ID,)), _SUBSCRIPTIONS),
    Counted("diff get", 1, do("DbSubscriptionDiff.get", ID, "s", 1), _DIFF),
    Counted("diff get lowest", 1, do("DbSubscriptionDiff.get", ID, "s"), _DIFFS),
    Counted("diff create", 1, do("DbSubscriptionDiff.create", ID, "s")),
    Counted(f"diff create_many of {_MANY}", 1, do("DbSubscriptionDiff.create_many", ID, _DIFF_VALUES)),
    Counted(
        f"diff create_many of {_MANY}, some taken",
        2,
        do("DbSubscriptionDiff.create_many", ID, _DIFF_VALUES),
        _TAKEN_DIFFS,
    ),
    Counted("diff delete", 1, do("DbSubscriptionDiff.delete", load=(ID, "s", 1)), _DIFF),
    Counted("diff list fetch", 1, do("DbSubscriptionDiffList.fetch", ID, "s"), _DIFFS),
    Counted(f"diff list delete of {_ROWS}", 3, do("DbSubscriptionDiffList.delete", load=(ID,)), _DIFFS),
    Counted("diff list delete up to a number", 3, do("DbSubscriptionDiffList.delete", _ROWS - 1, load=(ID,)), _DIFFS),
    Counted("suspension is_suspended", 1, do("DbSubscriptionSuspension.is_suspended", "t", "st"), _SUSPENSION),
    Counted("suspension suspend", 1, do("DbSubscriptionSuspension.suspend", "t2"), _SUSPENSION),
    Counted("suspension suspend, taken", 2, do("DbSubscriptionSuspension.suspend", "t", "st"), _SUSPENSION),
    Counted("suspension resume", 1, do("DbSubscriptionSuspension.resume", "t", "st"), _SUSPENSION),
    Counted("suspension get_all_suspended", 1, do("DbSubscriptionSuspension.get_all_suspended"), _SUSPENSION),
    Counted(f"suspension delete_all of {_ROWS}", 3, do("DbSubscriptionSuspension.delete_all"), _SUSPENSIONS),
    Counted("attribute get_attr", 1, do("DbAttribute.get_attr", ID, "b", "n1"), _ATTRIBUTES),
    Counted("attribute get_attr_strict", 1, do("DbAttribute.get_attr_strict", ID, "b", "n1"), _ATTRIBUTES),
    Counted("attribute set_attr", 1, do("DbAttribute.set_attr", ID, "b", "n", 1)),
    Counted("attribute delete_attr", 1, do("DbAttribute.delete_attr", ID, "b", "n1"), _ATTRIBUTES),
    Counted(
        "attribute delete_attr_conditional", 1, do("DbAttribute.delete_attr_conditional", ID, "b", "n1"), _ATTRIBUTES
    ),
    Counted(
        "attribute conditional_update_attr",
        2,
        do("DbAttribute.conditional_update_attr", ID, "b", "n1", {"chain_id": "c"}, 1),
        _ATTRIBUTES,
    ),
    Counted("attribute get_bucket", 1, do("DbAttribute.get_bucket", ID, "b"), _ATTRIBUTES),
    Counted("attribute delete_expired", 0, do("DbAttribute.delete_expired"), _ATTRIBUTES),
    Counted(f"attribute delete_bucket of {_ROWS}", 3, do("DbAttribute.delete_bucket", ID, "b"), _ATTRIBUTES),
    Counted(
        f"attribute delete_by_chain of {_ROWS}",
        4,
        do("DbAttribute.delete_by_chain", ID, ["b"], "c", "n1"),
        _ATTRIBUTES,
    ),
    Counted("bucket list fetch", 1, do("DbAttributeBucketList.fetch", ID), _ATTRIBUTES),
    Counted("bucket list fetch_timestamps", 1, do("DbAttributeBucketList.fetch_timestamps", ID), _ATTRIBUTES),
    Counted(f"bucket list delete of {_ROWS}", 3, do("DbAttributeBucketList.delete", ID), _ATTRIBUTES),
)
