"""What applications do: the library's own calls on all kinds of rows, in an order that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from actingweb.db.registry import Backend

_TYPE = "urn:actingweb:example"


class Workload:
    """Changes what a few actors have. Each step is one call of the library."""

    def __init__(
        self,
        backend: Backend,
        seed: int,
        actors: int = 8,
        *,
        ids: Sequence[str] = (),
        system_ids: Sequence[str] = ("_actingweb_system",),
    ) -> None:
        self._backend = backend
        self._random = random.Random(seed)
        self._ids = list(ids) or [f"actor{seed}-{number}" for number in range(actors)]
        self._system_ids = system_ids
        self._steps: list[Callable[[str], object]] = [
            self._create,
            self._modify,
            *(2 * [self._delete_actor]),
            *(8 * [self._set_property]),
            *(3 * [self._set_email]),
            *(2 * [self._delete_properties]),
            *(4 * [self._set_attribute]),
            self._delete_attribute,
            *(3 * [self._trust]),
            *(2 * [self._peer_trustee]),
            *(3 * [self._subscribe]),
            *(3 * [self._add_diff]),
            self._clear_diffs,
            *(2 * [self._suspend]),
        ]

    def begin(self) -> None:
        """Create all actors, each with something."""
        for actor_id in self._ids:
            self._create(actor_id)
            for step in self._steps[4:]:
                step(actor_id)

    def step(self) -> None:
        """Do something."""
        self._random.choice(self._steps)(self._random.choice(self._ids))

    def _number(self, count: int = 4) -> int:
        return self._random.randrange(count)

    def _exists(self, actor_id: str) -> bool:
        return self._backend.DbActor.DbActor().get(actor_id) is not None

    def _create(self, actor_id: str) -> None:
        if not self._exists(actor_id):
            self._backend.DbActor.DbActor().create(creator=f"c{self._number()}", passphrase="p", actor_id=actor_id)

    def _modify(self, actor_id: str) -> None:
        actor = self._backend.DbActor.DbActor()
        if actor.get(actor_id):
            actor.modify(creator=f"changed {self._number(1000)}")

    def _delete_actor(self, actor_id: str) -> None:
        """Delete an actor with all it has, as an application does; now and then leave its rows behind for a while."""
        backend = self._backend
        actor = backend.DbActor.DbActor()
        if not actor.get(actor_id):
            return
        if self._number() == 0:
            actor.delete()
            self._create(actor_id)
            return
        lists = [backend.DbProperty.DbPropertyList(), backend.DbTrust.DbTrustList()]
        lists += [backend.DbPeerTrustee.DbPeerTrusteeList(), backend.DbSubscription.DbSubscriptionList()]
        for rows in lists:
            rows.fetch(actor_id)
            rows.delete()
        for number in range(4):
            self._clear(actor_id, f"s{number}")
        backend.DbAttribute.DbAttributeBucketList.delete(actor_id)
        backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id).delete_all()
        actor.delete()

    def _clear(self, actor_id: str, sub_id: str) -> None:
        diffs = self._backend.DbSubscriptionDiff.DbSubscriptionDiffList()
        diffs.fetch(actor_id, sub_id)
        diffs.delete()

    def _set_property(self, actor_id: str) -> None:
        if self._exists(actor_id):
            value = "x" * self._random.choice([1, 50, 5000]) + str(self._number(1000))
            self._backend.DbProperty.DbProperty().set(actor_id, f"n{self._number(6)}", value)

    def _set_email(self, actor_id: str) -> None:
        if self._exists(actor_id):
            self._backend.DbProperty.DbProperty().set(actor_id, "email", f"{self._number(6)}@example.com")

    def _delete_properties(self, actor_id: str) -> None:
        name = self._random.choice(["email", f"n{self._number(6)}"])
        if self._exists(actor_id):
            self._backend.DbProperty.DbProperty().set(actor_id, name, None)

    def _set_attribute(self, actor_id: str) -> None:
        ids = [actor_id, *self._system_ids]
        bucket, name = self._random.choice(["b", "b:c"]), self._random.choice(["c:n", f"n{self._number()}"])
        if (bucket, name) == ("b", "c:n"):
            return
        data = {"number": self._number(1000), "text": "ä" * self._number(100)}
        self._backend.DbAttribute.DbAttribute.set_attr(
            self._random.choice(ids),
            bucket,
            name,
            data,
            datetime.now(UTC),
            ttl_seconds=self._random.choice([None, 9999]),
        )

    def _delete_attribute(self, actor_id: str) -> None:
        self._backend.DbAttribute.DbAttribute.delete_attr(actor_id, "b", f"n{self._number()}")

    def _trust(self, actor_id: str) -> None:
        trust = self._backend.DbTrust.DbTrust()
        peer = f"p{self._number(3)}"
        if not self._exists(actor_id):
            return
        if trust.get(actor_id, peer) is None:
            trust.create(
                actor_id, peer, baseuri="u", peer_type=_TYPE, relationship="friend", secret=f"s{actor_id}{peer}"
            )
        elif self._number() == 0:
            trust.delete()
        else:
            trust.modify(
                desc=f"d{self._number(1000)}", last_accessed=datetime.now(UTC) - timedelta(days=self._number())
            )

    def _peer_trustee(self, actor_id: str) -> None:
        trustee = self._backend.DbPeerTrustee.DbPeerTrustee()
        peer = f"p{self._number(3)}"
        if not self._exists(actor_id):
            return
        if trustee.get(actor_id, peerid=peer) is None:
            trustee.create(actor_id, peer, _TYPE, baseuri="u", passphrase="p")
        else:
            trustee.delete()

    def _subscribe(self, actor_id: str) -> None:
        subscription = self._backend.DbSubscription.DbSubscription()
        key = f"p{self._number(2)}", f"s{self._number()}"
        if not self._exists(actor_id):
            return
        if subscription.get(actor_id, *key) is None:
            subscription.create(actor_id, *key, granularity="high", target="t")
        elif self._number() == 0:
            subscription.delete()
        else:
            subscription.modify(seqnr=self._number(1000))

    def _add_diff(self, actor_id: str) -> None:
        if self._exists(actor_id):
            diff = self._backend.DbSubscriptionDiff.DbSubscriptionDiff()
            diff.create(actor_id, f"s{self._number()}", '{"a": 1}', self._number(50))

    def _clear_diffs(self, actor_id: str) -> None:
        self._clear(actor_id, f"s{self._number()}")

    def _suspend(self, actor_id: str) -> None:
        suspensions = self._backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
        key = f"t{self._number()}", self._random.choice([None, "u"])
        if self._exists(actor_id):
            (suspensions.resume if self._number() == 0 else suspensions.suspend)(*key)
