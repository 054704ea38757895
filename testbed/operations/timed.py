"""The operations that are timed: `TIMED` on rows that they create, `GROWTH` on the rows of `benchmarks.population`.

Each call of `GROWTH` uses another actor, drawn at random. The variable named by `ACTORS` has the number of actors.
"""

import hashlib
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .calls import ID, Actor, Call, Prepare, do, each, filled, names

__all__ = ["ACTORS", "GROWTH", "TIMED", "Operation", "drawn", "population_actor", "row_by_row"]

ACTORS = "BENCH_ACTORS"

_random = random.Random()


def population_actor(number: int) -> Actor:
    """Return an actor of the population."""
    return Actor(_uuid(str(number)), f"user{number}@example.com")


def _uuid(text: str) -> str:
    digits = hashlib.md5(text.encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def drawn(count: int) -> list[Actor]:
    """Return `count` different actors of the population, drawn at random."""
    return [population_actor(number) for number in _random.sample(range(int(os.environ[ACTORS])), count)]


@dataclass(frozen=True)
class Operation:
    """An operation that is timed, with actors of its own.

    Attributes:
        kind: "read" or "write" for one row, "rows" for many rows.
        count: the most calls of a round; on DynamoDB a tenth of it.
        rows: calls that store the rows which a call needs, whether or not an earlier call has changed them.
        repeats: whether the calls do not change the rows that they need, so that `store` is called only once.
        creates: whether the calls create rows, which `rows` then delete.
        shared: whether all calls of a round use the same actor.
    """

    name: str
    kind: str
    count: int
    call: Prepare
    rows: tuple[Prepare, ...] = ()
    repeats: bool = True
    creates: bool = False
    shared: bool = False

    def store(self, db: Any, count: int) -> None:
        """Store the rows that `count` calls need."""
        for actor in self._actors(count):
            db.DbActor().create(actor_id=actor.id, creator=actor.address, passphrase="a passphrase")
            self.make(db, actor)

    def make(self, db: Any, actor: Actor) -> None:
        """Store the rows of one actor."""
        for prepare in self.rows:
            prepare(db, actor)()

    def calls(self, db: Any, count: int) -> list[Call]:
        """Return `count` calls."""
        calls = [self.call(db, actor) for actor in self._actors(count)]
        return calls * count if self.shared else calls

    def _actors(self, count: int) -> list[Actor]:
        ids = [_uuid(f"{self.name} {number}") for number in range(1 if self.shared else count)]
        return [Actor(actor_id, f"{actor_id}@example.com") for actor_id in ids]


class _OfPopulation(Operation):
    """An operation on actors of the population, which have the rows that repeatable calls need."""

    def store(self, db: Any, count: int) -> None:
        if self.repeats:
            return
        if self.creates:
            for actor in _draws.get(self.name, ()):
                self.make(db, actor)
        _draws[self.name] = drawn(count)
        if not self.creates:
            for actor in _draws[self.name]:
                self.make(db, actor)

    def calls(self, db: Any, count: int) -> list[Call]:
        return [self.call(db, actor) for actor in (drawn(count) if self.repeats else _draws[self.name])]


_draws: dict[str, list[Actor]] = {}
"""The actors of the calls of this round, by the name of the operation."""

_VALUE = "v" * 100
_OLD, _NEW = {"state": "old", "tries": 1}, {"state": "new", "tries": 2}
_TIME = "2026-01-02T03:04:05+00:00"
_FRIEND = {
    "baseuri": "https://peer.example.com/",
    "peer_type": "urn:actingweb:example.com:peer",
    "relationship": "friend",
    "approved": True,
    "desc": "a friend",
    "verification_token": "verification",
}


def _set(name: str, value: str = _VALUE, actor_id: str = ID) -> Prepare:
    return do("DbProperty.set", actor_id=actor_id, name=name, value=value)


def _trust(peer: object, actor_id: str = ID) -> Prepare:
    secret = f"token-{peer}-{actor_id}"
    return do("DbTrust.create", actor_id=actor_id, peerid=f"peer-{peer}", secret=secret, **_FRIEND)


def _attribute(bucket: str, number: int, data: object = _OLD) -> Prepare:
    return do("DbAttribute.set_attr", ID, bucket, f"n-{number}", data=data, timestamp=_TIME)


def _diff(subid: str, seqnr: int, actor_id: str = ID) -> Prepare:
    return do("DbSubscriptionDiff.create", actor_id=actor_id, subid=subid, diff='{"changed": true}', seqnr=seqnr)


def _diffs(subid: str, count: int, actor_id: str = ID) -> tuple[Prepare, ...]:
    return tuple(_diff(subid, seqnr, actor_id) for seqnr in range(1, count + 1))


def _find(address: str) -> Prepare:
    return do("DbProperty.get_actor_id_from_property", name="email", value=address)


def _read(name: str, count: int, call: Prepare, *rows: Prepare, shared: bool = False) -> Operation:
    return Operation(name, "read", count, call, rows, shared=shared)


def _list(name: str, count: int, call: Prepare, *rows: Prepare) -> Operation:
    return Operation(name, "rows", count, call, rows, shared=True)


def _change(name: str, count: int, call: Prepare, *rows: Prepare, repeats: bool = True) -> Operation:
    return Operation(name, "write", count, call, rows, repeats)


def _create(name: str, count: int, call: Prepare, *remove: Prepare) -> Operation:
    return Operation(name, "write", count, call, remove, repeats=False, creates=True)


def _delete(name: str, count: int, call: Prepare, *rows: Prepare) -> Operation:
    return Operation(name, "write", count, call, rows, repeats=False)


def _wipe(name: str, count: int, call: Prepare, *rows: Prepare) -> Operation:
    return Operation(name, "rows", count, call, rows, repeats=False)


_TO_DELETE = "new-{id}"
_NEW_ACTOR = do("DbActor.create", actor_id=_TO_DELETE, creator="new-{address}", passphrase="a passphrase")
_DELETE_ACTOR = do("DbActor.delete", load=(_TO_DELETE,))
_DELETE_TRUST = do("DbTrust.delete", load=(ID, "peer-new"))
_KEY = {"peerid": "peer-1", "subid": "s-new"}
_NEW_SUBSCRIPTION = do("DbSubscription.create", actor_id=ID, **_KEY, granularity="high", target="properties")
_CLEAR = do("DbSubscriptionDiffList.delete", load=(ID, "s-new"))
_SWAP = {"expected": "old", "value": "new"}


def _operations(
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
    """Return the operations. Those on many rows use this many. One with a count of 0 is not in `TIMED`."""
    ends = {"lower": "p-00", "upper": names("p", ranged)[-1]}
    batch = names("batch", deleted)
    expired = {"bucket": "expired-{id}", "data": 1, "ttl_seconds": -7200}
    return (
        _read("actor get", 400, do("DbActor.get", ID)),
        _read("actor get by creator", 0, do("DbActor.get_by_creator", "{address}")),
        _create("actor create", 300, _NEW_ACTOR, _DELETE_ACTOR),
        _change("actor modify", 300, do("DbActor.modify", passphrase="another passphrase", load=(ID,))),
        _delete("actor delete", 200, _DELETE_ACTOR, _NEW_ACTOR),
        _read("property get", 400, do("DbProperty.get", ID, "p-07"), _set("p-07")),
        _create("property create", 0, _set("new"), _set("new", "")),
        _change("property set", 300, _set("p-07", "w" * 100), _set("p-07")),
        _delete("property delete", 0, _set("new", ""), _set("new")),
        _delete("indexed property set", 100, _set("externalUserId", "new {id}"), _set("externalUserId", "old {id}")),
        _delete(
            "property compare-and-swap",
            300,
            do("DbProperty.set_if_value_equals", actor_id=ID, name="p-08", **_SWAP),
            _set("p-08", "old"),
        ),
        _read("reverse look-up, hit", 400, _find("{address}"), _set("email", "{address}")),
        _read("reverse look-up, miss", 400, _find("absent-{address}"), _set("email", "{address}")),
        _list(
            f"property range of {ranged}",
            100,
            do("DbProperty.get_range", actor_id=ID, **ends),
            *each(names("p", ranged), _set),
        ),
        _list(
            f"property prefix of {prefixed}",
            100,
            do("DbProperty.get_prefix", actor_id=ID, prefix="p-"),
            *each(names("p", prefixed), _set),
        ),
        _read(
            "property last in range",
            400,
            do("DbProperty.get_last_in_range", actor_id=ID, **ends),
            *each(names("p", ranged), _set),
            shared=True,
        ),
        _list(f"property list of {listed}", 200, do("DbPropertyList.fetch", ID), *each(names("p", listed), _set)),
        _wipe(
            f"property batch delete of {deleted}",
            10,
            do("DbProperty.batch_delete", actor_id=ID, names=batch),
            *each(batch, _set),
        ),
        _read("trust get", 300, do("DbTrust.get", actor_id=ID, peerid="peer-1"), _trust(1)),
        _read("trust get by token", 300, do("DbTrust.get", actor_id=ID, token="token-1-{id}"), _trust(1)),
        _create("trust create", 200, _trust("new"), _DELETE_TRUST),
        _change("trust modify", 200, do("DbTrust.modify", desc="an old friend", load=(ID, "peer-1")), _trust(1)),
        _delete("trust delete", 0, _DELETE_TRUST, _trust("new")),
        _list(f"trust list of {trusts}", 100, do("DbTrustList.fetch", ID), *each(range(trusts), _trust)),
        _read("peer trustee get", 0, do("DbPeerTrustee.get", actor_id=ID, peerid="peer-1")),
        _read("attribute get", 400, do("DbAttribute.get_attr", ID, "sessions", "n-1"), _attribute("sessions", 1)),
        _change("attribute set", 300, _attribute("sessions", 2), _attribute("sessions", 2)),
        _delete(
            "attribute compare-and-swap",
            300,
            do("DbAttribute.conditional_update_attr", ID, "sessions", "n-1", old_data=_OLD, new_data=_NEW),
            _attribute("sessions", 1),
        ),
        _list(
            f"attribute bucket of {bucket}",
            100,
            do("DbAttribute.get_bucket", ID, "sessions"),
            *each(range(bucket), partial(_attribute, "sessions")),
        ),
        _wipe(
            f"attribute chain delete of {chain}",
            10,
            do("DbAttribute.delete_by_chain", actor_id=ID, buckets=["chain"], chain_id="c"),
            *each(range(chain), partial(_attribute, "chain", data={"chain_id": "c"})),
        ),
        _wipe(
            f"attribute purge of {chain} expired",
            0,
            do("DbAttribute.delete_expired", buckets=["expired-{id}"]),
            *each(range(chain), lambda n: do("DbAttribute.set_attr", actor_id=ID, name=f"n-{n}", **expired)),
        ),
        _read("subscription get", 0, do("DbSubscription.get", ID, "peer-1", "s-1")),
        _create("subscription create", 200, _NEW_SUBSCRIPTION, do("DbSubscription.delete", load=(ID, *_KEY.values()))),
        _change("subscription increment", 0, do("DbSubscription.increment_seqnr", load=(ID, "peer-1", "s-1"))),
        _read("subscription suspended?", 0, do("DbSubscriptionSuspension.is_suspended", "properties", "p-00")),
        _create(
            "subscription suspend",
            200,
            do("DbSubscriptionSuspension.suspend", "trust"),
            do("DbSubscriptionSuspension.resume", "trust"),
        ),
        _create("diff create", 300, _diff("s-new", 9), _CLEAR),
        _read(
            "diff get oldest",
            300,
            do("DbSubscriptionDiff.get", actor_id=ID, subid="s-1"),
            *_diffs("s-1", diffs),
            shared=True,
        ),
        _list(f"diff list of {diffs}", 100, do("DbSubscriptionDiffList.fetch", ID, "s-1"), *_diffs("s-1", diffs)),
        _wipe(f"diff clear of {cleared}", 10, _CLEAR, *_diffs("s-new", cleared)),
    )


def _delete_large(db: Any, actor: Actor) -> Call:
    loaded = db.DbActor()
    loaded.get(actor_id=filled(_TO_DELETE, actor))
    return lambda: _delete_with_rows(db, loaded, filled(_TO_DELETE, actor))


def _delete_with_rows(db: Any, loaded: Any, actor_id: str) -> object:
    if not db.cascades:
        for name in ("DbPropertyList", "DbTrustList", "DbSubscriptionDiffList"):
            rows = db.maker(name, actor_id)()
            rows.fetch(actor_id=actor_id)
            rows.delete()
    return loaded.delete()


TIMED: tuple[Operation, ...] = (
    *(
        operation
        for operation in _operations(
            ranged=100, prefixed=100, listed=20, deleted=100, trusts=20, bucket=50, chain=50, diffs=50, cleared=50
        )
        if operation.count
    ),
    _wipe(
        "actor with 1,000 rows deleted",
        1,
        _delete_large,
        _NEW_ACTOR,
        *each(range(700), lambda n: _set(f"p-{n}", actor_id=_TO_DELETE)),
        *each(range(100), lambda n: _trust(n, _TO_DELETE)),
        *_diffs("s", 200, _TO_DELETE),
    ),
)
GROWTH: tuple[Operation, ...] = tuple(
    _OfPopulation(**{**vars(operation), "count": 10 if operation.kind == "rows" and not operation.repeats else 100})
    for operation in _operations(
        ranged=10, prefixed=18, listed=20, deleted=10, trusts=2, bucket=4, chain=10, diffs=3, cleared=10
    )
)


def row_by_row() -> Iterable[tuple[Operation, Operation]]:
    """Yield operations that delete many rows, each with the one that deletes the same rows one by one."""
    attribute = partial(do, "DbAttribute.delete_attr", ID, "chain")
    singles = {
        "property batch delete of 100": each(names("batch", 100), lambda name: _set(name, "")),
        "attribute chain delete of 50": each(range(50), lambda number: attribute(f"n-{number}")),
        "diff clear of 50": each(
            range(1, 51), lambda seqnr: do("DbSubscriptionDiff.delete", load=(ID, "s-new", seqnr))
        ),
    }
    for operation in TIMED:
        if operation.name in singles:
            yield operation, replace(operation, call=_in_turn(singles[operation.name]))


def _in_turn(prepares: Sequence[Prepare]) -> Prepare:
    return lambda db, actor: lambda: [prepare(db, actor)() for prepare in prepares]
