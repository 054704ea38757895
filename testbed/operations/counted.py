"""The operations whose requests to DynamoDB and round trips to PostgreSQL are limited (contract 4.5 and 5.2)."""

from typing import Any

from .calls import ID, Actor, Call, Prepare, do, each
from .operation import Operation
from .timed import operations

__all__ = ["COUNTED"]

_ROWS = 30
"""Rows of a bulk delete: two batches of DynamoDB."""
_MANY = 100
"""Rows of a bulk call: one transaction of DynamoDB."""


def _counted(name: str, requests: int, call: Prepare, rows: tuple[Prepare, ...] = (), **more: Any) -> Operation:
    return Operation(name, call, rows, requests, **more)


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


COUNTED: tuple[Operation, ...] = (
    # First, while the actors of the others do not fill more than a page.
    _counted("actor list fetch", 1, do("DbActorList.fetch")),
    _counted("actor list iterate, one page", 1, _iterate),
    *operations(ranged=3, prefixed=3, listed=3, deleted=_ROWS, trusts=3, bucket=3, chain=_ROWS, diffs=3, cleared=_ROWS),
    _counted("actor create, taken", 1, do("DbActor.create", ID, "c", "p")),
    _counted(f"property get_many of {_MANY}", 1, do("DbProperty.get_many", ID, list(_some(_MANY))), _PROPERTIES),
    _counted(f"property set_many of {_MANY}", 1, do("DbProperty.set_many", ID, _some(_MANY))),
    _counted(f"property set_many of {3 * _MANY}, in chunks", 3, do("DbProperty.set_many", ID, _some(3 * _MANY), _MANY)),
    _counted(
        "property set_many, 2 of 52 indexed, changed",
        2,
        do("DbProperty.set_many", ID, {**_some(50), "email": ID, "oauthId": ID}),
        _PROPERTIES,
    ),
    _counted(
        "property set_many, 1 indexed, claimed by another",
        4,
        do("DbProperty.set_many", ID, {"n": "v", "email": "value of {id}"}),
        _CLAIMED,
    ),
    _counted("property delete", 1, do("DbProperty.delete", load=(ID, "n")), _PLAIN),
    _counted("property create_if_not_exists", 1, do("DbProperty.create_if_not_exists", ID, "n", "v")),
    _counted("property create_if_not_exists, taken", 1, do("DbProperty.create_if_not_exists", ID, "n", "v"), _PLAIN),
    _counted(
        "property delete_if_value_equals",
        1,
        do("DbProperty.delete_if_value_equals", ID, "n", "value of {id}"),
        _PLAIN,
    ),
    _counted("indexed set, new", 1, do("DbProperty.set", ID, "email", ID)),
    _counted("indexed set, changed, in handle", 1, do("DbProperty.set", ID, "email", ID, load=(ID, "email")), _EMAIL),
    _counted("indexed set, empty", 2, do("DbProperty.set", ID, "email", ""), _EMAIL),
    _counted("indexed set, claimed by another", 3, do("DbProperty.set", ID, "email", "value of {id}"), _CLAIMED),
    _counted("indexed delete, in handle", 1, do("DbProperty.delete", load=(ID, "email")), _EMAIL),
    _counted("indexed create_if_not_exists", 1, do("DbProperty.create_if_not_exists", ID, "email", ID)),
    _counted(
        "indexed set_if_value_equals",
        1,
        do("DbProperty.set_if_value_equals", ID, "email", "value of {id}", ID),
        _EMAIL,
    ),
    _counted(
        "indexed delete_if_value_equals",
        1,
        do("DbProperty.delete_if_value_equals", ID, "email", "value of {id}"),
        _EMAIL,
    ),
    _counted(
        "property batch_delete, 2 of 3 indexed",
        3,
        do("DbProperty.batch_delete", ID, ["n1", "email", "oauthId"]),
        _PROPERTIES,
    ),
    _counted(
        "reverse look-up, not indexed",
        0,
        do("DbProperty.get_actor_id_from_property", "color", "value of {id}"),
        trips=0,
    ),
    _counted(
        "legacy reverse look-up, miss",
        1,
        do("DbProperty.get_actor_id_from_property", "email", "absent of {id}"),
        legacy=True,
    ),
    _counted(
        "legacy reverse look-up, hit",
        2,
        do("DbProperty.get_actor_id_from_property", "email", "value of {id}"),
        _EMAIL,
        legacy=True,
    ),
    _counted(
        "property list fetch_all_including_lists", 1, do("DbPropertyList.fetch_all_including_lists", ID), _PROPERTIES
    ),
    _counted(
        "property list fetch_all_including_lists, 2 pages",
        2,
        do("DbPropertyList.fetch_all_including_lists", ID),
        _LARGE_PROPERTIES,
    ),
    _counted(f"property list delete of {_ROWS}, 2 claims", 4, do("DbPropertyList.delete", load=(ID,)), _PROPERTIES),
    _counted("property lookup get", 1, do("DbPropertyLookup.get", "phone", ID), _LOOKUP),
    _counted("property lookup create", 1, do("DbPropertyLookup.create", "phone", ID, ID)),
    _counted("property lookup create, taken", 1, do("DbPropertyLookup.create", "phone", ID, "x"), _LOOKUP),
    _counted("property lookup delete", 1, do("DbPropertyLookup.delete", load=("phone", ID)), _LOOKUP),
    _counted("property lookup get_v1", 1, do("DbPropertyLookup.get_v1", "phone", ID)),
    _counted("trust get by token, miss", 1, do("DbTrust.get", ID, None, "other of {id}"), _TRUST),
    _counted(f"trust get_many of {_MANY}", 1, do("DbTrust.get_many", ID, list(map(str, range(_MANY)))), _TRUSTS),
    _counted("trust create again", 1, do("DbTrust.create", ID, "p", secret=ID), _TRUST),
    _counted("trust is_token_in_db", 1, do("DbTrust.is_token_in_db", ID, "x"), _TRUST),
    _counted(f"trust list delete of {_ROWS}", 3, do("DbTrustList.delete", load=(ID,)), _TRUSTS),
    _counted("peer trustee get by type", 1, do("DbPeerTrustee.get", ID, "type"), _TRUSTEE),
    _counted("peer trustee create", 1, do("DbPeerTrustee.create", ID, "p", "t")),
    _counted("peer trustee modify", 1, do("DbPeerTrustee.modify", baseuri="x", load=(ID, None, "p")), _TRUSTEE),
    _counted("peer trustee delete", 1, do("DbPeerTrustee.delete", load=(ID, None, "p")), _TRUSTEE),
    _counted("peer trustee list fetch", 1, do("DbPeerTrusteeList.fetch", ID), _TRUSTEES),
    _counted(f"peer trustee list delete of {_ROWS}", 3, do("DbPeerTrusteeList.delete", load=(ID,)), _TRUSTEES),
    _counted("subscription create, taken", 2, do("DbSubscription.create", ID, "p", "s"), _SUBSCRIPTION),
    _counted("subscription modify", 1, do("DbSubscription.modify", seqnr=7, load=(ID, "p", "s")), _SUBSCRIPTION),
    _counted("subscription delete", 1, do("DbSubscription.delete", load=(ID, "p", "s")), _SUBSCRIPTION),
    _counted("subscription list fetch", 1, do("DbSubscriptionList.fetch", ID), _SUBSCRIPTIONS),
    _counted(f"subscription list delete of {_ROWS}", 3, do("DbSubscriptionList.delete", load=(ID,)), _SUBSCRIPTIONS),
    _counted("diff get", 1, do("DbSubscriptionDiff.get", ID, "s", 1), _DIFF),
    _counted(f"diff create_many of {_MANY}", 1, do("DbSubscriptionDiff.create_many", ID, _DIFF_VALUES)),
    _counted(
        f"diff create_many of {_MANY}, some taken",
        2,
        do("DbSubscriptionDiff.create_many", ID, _DIFF_VALUES),
        _TAKEN_DIFFS,
    ),
    _counted("diff delete", 1, do("DbSubscriptionDiff.delete", load=(ID, "s", 1)), _DIFF),
    _counted("diff list delete up to a number", 3, do("DbSubscriptionDiffList.delete", _ROWS - 1, load=(ID,)), _DIFFS),
    _counted("suspension suspend, taken", 2, do("DbSubscriptionSuspension.suspend", "t", "st"), _SUSPENSION),
    _counted("suspension resume", 1, do("DbSubscriptionSuspension.resume", "t", "st"), _SUSPENSION),
    _counted("suspension get_all_suspended", 1, do("DbSubscriptionSuspension.get_all_suspended"), _SUSPENSION),
    _counted(f"suspension delete_all of {_ROWS}", 3, do("DbSubscriptionSuspension.delete_all"), _SUSPENSIONS),
    _counted("attribute get_attr_strict", 1, do("DbAttribute.get_attr_strict", ID, "b", "n1"), _ATTRIBUTES),
    _counted("attribute delete_attr", 1, do("DbAttribute.delete_attr", ID, "b", "n1"), _ATTRIBUTES),
    _counted(
        "attribute delete_attr_conditional", 1, do("DbAttribute.delete_attr_conditional", ID, "b", "n1"), _ATTRIBUTES
    ),
    _counted(f"attribute delete_bucket of {_ROWS}", 3, do("DbAttribute.delete_bucket", ID, "b"), _ATTRIBUTES),
    _counted("bucket list fetch", 1, do("DbAttributeBucketList.fetch", ID), _ATTRIBUTES),
    _counted("bucket list fetch_timestamps", 1, do("DbAttributeBucketList.fetch_timestamps", ID), _ATTRIBUTES),
    _counted(f"bucket list delete of {_ROWS}", 3, do("DbAttributeBucketList.delete", ID), _ATTRIBUTES),
)
