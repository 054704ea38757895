"""The operations that are timed: `TIMED` on rows that they create, `GROWTH` on the rows of `benchmarks.population`.

Each call of `GROWTH` uses another actor of the population, drawn at random. The names of rows are those that it has.
"""

from functools import partial
from math import ceil
from typing import Any

from .calls import ID, Actor, Call, Prepare, do, each, filled, names
from .operation import Operation, PopulationOperation

__all__ = ["GROWTH", "TIMED", "batches", "operations"]

_VALUE = "v" * 100
_OLD, _CHANGED = {"state": "old", "tries": 1}, {"state": "new", "tries": 2}
_TIME = "2026-01-02T03:04:05+00:00"
_FRIEND = {
    "baseuri": "https://peer.example.com/",
    "peer_type": "urn:actingweb:example.com:peer",
    "relationship": "friend",
    "approved": True,
    "desc": "a friend",
    "verification_token": "verification",
}


def _read(name: str, call: Prepare, *rows: Prepare, **more: Any) -> Operation:
    """Return a read of one row."""
    return Operation(name, call, rows, kind="read", **more)


def _list(name: str, call: Prepare, *rows: Prepare, **more: Any) -> Operation:
    """Return a read of many rows."""
    return Operation(name, call, rows, kind="rows", shared=True, **more)


def _change(name: str, call: Prepare, *rows: Prepare, **more: Any) -> Operation:
    """Return a write that can be repeated on the same row."""
    return Operation(name, call, rows, kind="write", **more)


def _create(name: str, call: Prepare, *remove: Prepare, **more: Any) -> Operation:
    """Return a write of a new row, with the calls that remove it."""
    return Operation(name, call, remove, kind="write", repeats=False, creates=True, **more)


def _use_up(name: str, call: Prepare, *rows: Prepare, **more: Any) -> Operation:
    """Return a write that has nothing to do before its row is stored again."""
    return Operation(name, call, rows, kind="write", repeats=False, **more)


def _wipe(name: str, call: Prepare, *rows: Prepare, **more: Any) -> Operation:
    """Return a delete of many rows."""
    return Operation(name, call, rows, kind="rows", repeats=False, **more)


def _set(name: str, value: str = _VALUE, actor_id: str = ID) -> Prepare:
    return do("DbProperty.set", actor_id=actor_id, name=name, value=value)


def _find(address: str) -> Prepare:
    return do("DbProperty.get_actor_id_from_property", name="email", value=address)


def _trust(peer: object, actor_id: str = ID) -> Prepare:
    secret = f"token-{peer}-{actor_id}"
    return do("DbTrust.create", actor_id=actor_id, peerid=f"peer-{peer}", secret=secret, **_FRIEND)


def _attribute(bucket: str, number: int, data: object = _OLD) -> Prepare:
    return do("DbAttribute.set_attr", ID, bucket, f"n-{number}", data=data, timestamp=_TIME)


def _diff(subid: str, seqnr: int, actor_id: str = ID) -> Prepare:
    return do("DbSubscriptionDiff.create", actor_id=actor_id, subid=subid, diff='{"changed": true}', seqnr=seqnr)


def _diffs(subid: str, count: int, actor_id: str = ID) -> tuple[Prepare, ...]:
    return tuple(_diff(subid, seqnr, actor_id) for seqnr in range(1, count + 1))


def batches(rows: int) -> int:
    """Return how many requests delete so many rows on DynamoDB."""
    return ceil(rows / 25)


_OTHER = "new-{id}"
"""Another actor, which an operation creates or deletes."""
_NEW_ACTOR = do("DbActor.create", actor_id=_OTHER, creator="new-{address}", passphrase="a passphrase")
_DELETE_ACTOR = do("DbActor.delete", load=(_OTHER,))
_DELETE_TRUST = do("DbTrust.delete", load=(ID, "peer-new"))
_TRUSTEE = do("DbPeerTrustee.create", ID, "peer-1", "type")
_SUSPENDED = do("DbSubscriptionSuspension.suspend", "properties", "p-00")
_SUBSCRIPTION = do("DbSubscription.create", actor_id=ID, peerid="peer-1", subid="s-1")
_NEW_SUBSCRIPTION = do(
    "DbSubscription.create", actor_id=ID, peerid="peer-1", subid="s-new", granularity="high", target="properties"
)
_CLEAR = do("DbSubscriptionDiffList.delete", load=(ID, "s-new"))


def operations(
    *,
    ranged: int,
    prefixed: int,
    listed: int,
    deleted: int,
    trusts: int,
    bucket: int,
    chain: int,
    diffs: int,
    cleared: int,
) -> tuple[Operation, ...]:
    """Return the operations that may be timed. Those on many rows use this many."""
    ends = {"lower": "p-00", "upper": names("p", ranged)[-1]}
    batch = names("batch", deleted)
    expired = {"bucket": "expired-{id}", "data": 1, "ttl_seconds": -7200}
    return (
        _read("actor get", do("DbActor.get", ID), count=400),
        _read("actor get by creator", do("DbActor.get_by_creator", "{address}")),
        _create("actor create", _NEW_ACTOR, _DELETE_ACTOR, count=300),
        _change("actor modify", do("DbActor.modify", passphrase="another passphrase", load=(ID,)), count=300),
        _use_up("actor delete", _DELETE_ACTOR, _NEW_ACTOR, count=200),
        _read("property get", do("DbProperty.get", ID, "p-07"), _set("p-07"), count=400),
        _create("property create", _set("new"), _set("new", "")),
        _change("property set", _set("p-07", "w" * 100), _set("p-07"), count=300),
        _use_up("property delete", _set("new", ""), _set("new")),
        _use_up(
            "indexed property set",
            _set("externalUserId", "new {id}"),
            _set("externalUserId", "old {id}"),
            requests=2,
            count=100,
        ),
        _use_up(
            "property compare-and-swap",
            do("DbProperty.set_if_value_equals", actor_id=ID, name="p-08", expected="old", value="new"),
            _set("p-08", "old"),
            count=300,
        ),
        _read("reverse look-up, hit", _find("{address}"), _set("email", "{address}"), requests=2, count=400),
        _read("reverse look-up, miss", _find("absent-{address}"), _set("email", "{address}"), count=400),
        _list(
            f"property range of {ranged}",
            do("DbProperty.get_range", actor_id=ID, **ends),
            *each(names("p", ranged), _set),
            count=100,
        ),
        _list(
            f"property prefix of {prefixed}",
            do("DbProperty.get_prefix", actor_id=ID, prefix="p-"),
            *each(names("p", prefixed), _set),
            count=100,
        ),
        _read(
            "property last in range",
            do("DbProperty.get_last_in_range", actor_id=ID, **ends),
            *each(names("p", ranged), _set),
            count=400,
            shared=True,
        ),
        _list(
            f"property list of {listed}",
            do("DbPropertyList.fetch", ID),
            *each(names("p", listed), _set),
            requests=2,
            count=200,
        ),
        _wipe(
            f"property batch delete of {deleted}",
            do("DbProperty.batch_delete", actor_id=ID, names=batch),
            *each(batch, _set),
            requests=batches(deleted),
            count=10,
        ),
        _read("trust get", do("DbTrust.get", actor_id=ID, peerid="peer-1"), _trust(1), count=300),
        _read(
            "trust get by token", do("DbTrust.get", actor_id=ID, token="token-1-{id}"), _trust(1), requests=2, count=300
        ),
        _create("trust create", _trust("new"), _DELETE_TRUST, count=200),
        _change("trust modify", do("DbTrust.modify", desc="an old friend", load=(ID, "peer-1")), _trust(1), count=200),
        _use_up("trust delete", _DELETE_TRUST, _trust("new")),
        _list(f"trust list of {trusts}", do("DbTrustList.fetch", ID), *each(range(trusts), _trust), count=100),
        _read("peer trustee get", do("DbPeerTrustee.get", actor_id=ID, peerid="peer-1"), _TRUSTEE),
        _read("attribute get", do("DbAttribute.get_attr", ID, "sessions", "n-1"), _attribute("sessions", 1), count=400),
        _change("attribute set", _attribute("sessions", 2), _attribute("sessions", 2), count=300),
        _use_up(
            "attribute compare-and-swap",
            do("DbAttribute.conditional_update_attr", ID, "sessions", "n-1", old_data=_OLD, new_data=_CHANGED),
            _attribute("sessions", 1),
            requests=2,
            count=300,
        ),
        _list(
            f"attribute bucket of {bucket}",
            do("DbAttribute.get_bucket", ID, "sessions"),
            *each(range(bucket), partial(_attribute, "sessions")),
            count=100,
        ),
        _wipe(
            f"attribute chain delete of {chain}",
            do("DbAttribute.delete_by_chain", actor_id=ID, buckets=["chain"], chain_id="c"),
            *each(range(chain), partial(_attribute, "chain", data={"chain_id": "c"})),
            requests=2 + batches(chain),
            count=10,
        ),
        _wipe(
            f"attribute purge of {chain} expired",
            do("DbAttribute.delete_expired", buckets=["expired-{id}"]),
            *each(range(chain), lambda n: do("DbAttribute.set_attr", actor_id=ID, name=f"n-{n}", **expired)),
            requests=0,
        ),
        _read("subscription get", do("DbSubscription.get", ID, "peer-1", "s-1"), _SUBSCRIPTION),
        _create(
            "subscription create",
            _NEW_SUBSCRIPTION,
            do("DbSubscription.delete", load=(ID, "peer-1", "s-new")),
            count=200,
        ),
        _change(
            "subscription increment", do("DbSubscription.increment_seqnr", load=(ID, "peer-1", "s-1")), _SUBSCRIPTION
        ),
        _read("subscription suspended?", do("DbSubscriptionSuspension.is_suspended", "properties", "p-00"), _SUSPENDED),
        _create(
            "subscription suspend",
            do("DbSubscriptionSuspension.suspend", "trust"),
            do("DbSubscriptionSuspension.resume", "trust"),
            count=200,
        ),
        _create("diff create", _diff("s-new", 9), _CLEAR, count=300),
        _read(
            "diff get oldest",
            do("DbSubscriptionDiff.get", actor_id=ID, subid="s-1"),
            *_diffs("s-1", diffs),
            count=300,
            shared=True,
        ),
        _list(f"diff list of {diffs}", do("DbSubscriptionDiffList.fetch", ID, "s-1"), *_diffs("s-1", diffs), count=100),
        _wipe(f"diff clear of {cleared}", _CLEAR, *_diffs("s-new", cleared), requests=1 + batches(cleared), count=10),
    )


def _delete_large(db: Any, actor: Actor) -> Call:
    loaded = db.DbActor()
    loaded.get(actor_id=filled(_OTHER, actor))
    return lambda: _delete_with_rows(db, loaded, filled(_OTHER, actor))


def _delete_with_rows(db: Any, loaded: Any, actor_id: str) -> object:
    if not db.cascades:
        for name in ("DbPropertyList", "DbTrustList", "DbSubscriptionDiffList"):
            rows = db.maker(name, actor_id)()
            rows.fetch(actor_id=actor_id)
            rows.delete()
    return loaded.delete()


TIMED = (
    *(
        operation
        for operation in operations(
            ranged=100, prefixed=100, listed=20, deleted=100, trusts=20, bucket=50, chain=50, diffs=50, cleared=50
        )
        if operation.count
    ),
    _wipe(
        "actor with 1,000 rows deleted",
        _delete_large,
        _NEW_ACTOR,
        *each(range(700), lambda n: _set(f"p-{n}", actor_id=_OTHER)),
        *each(range(100), lambda n: _trust(n, _OTHER)),
        *_diffs("s", 200, _OTHER),
        count=1,
    ),
)
GROWTH = tuple(
    PopulationOperation(**{**vars(one), "count": 10 if one.kind == "rows" and not one.repeats else 100})
    for one in operations(
        ranged=10, prefixed=18, listed=20, deleted=10, trusts=2, bucket=4, chain=10, diffs=3, cleared=10
    )
)
