"""What an application does with the storage of its actors, in the terms of the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actingweb import db
from actingweb.db.registry import Backend

_INDEX_DIGITS = 6


@dataclass(frozen=True)
class Application:
    """One process of an application. Everything it knows is in the database."""

    config: Backend

    def register(self, actor_id: str, email: str) -> None:
        """Make an actor that logs in with an e-mail address."""
        assert db.get_actor(self.config).create(actor_id=actor_id, creator=email, passphrase=f"pass of {actor_id}")
        assert db.get_property(self.config).set(actor_id=actor_id, name="email", value=email)

    def log_in(self, email: str) -> str | None:
        """Return the actor with this e-mail address."""
        return db.get_property(self.config).get_actor_id_from_property(name="email", value=email)

    def properties(self, actor_id: str) -> dict[str, str]:
        """Return the plain properties of an actor."""
        return db.get_property_list(self.config).fetch(actor_id=actor_id) or {}

    def append(self, actor_id: str, list_name: str, item: Any) -> int:
        """Append to a property list; return the index. Concurrent appends get different ones."""
        prefix = f"list:{list_name}:"
        while True:
            last = db.get_property(self.config).get_last_in_range(
                actor_id=actor_id, lower=prefix, upper=f"{prefix}{'9' * _INDEX_DIGITS}"
            )
            index = 0 if last is None else int(last.removeprefix(prefix)) + 1
            if db.get_property(self.config).create_if_not_exists(
                actor_id=actor_id, name=f"{prefix}{index:0{_INDEX_DIGITS}}", value=item
            ):
                return index

    def items(self, actor_id: str, list_name: str) -> list[str]:
        """Return the items of a property list, in order."""
        found = db.get_property(self.config).get_prefix(actor_id=actor_id, prefix=f"list:{list_name}:")
        return list(found.values())

    def slice(self, actor_id: str, list_name: str, first: int, last: int) -> list[str]:
        """Return the items from one index to another."""
        lower, upper = (f"list:{list_name}:{index:0{_INDEX_DIGITS}}" for index in (first, last))
        return list(db.get_property(self.config).get_range(actor_id=actor_id, lower=lower, upper=upper).values())

    def clear(self, actor_id: str, list_name: str) -> None:
        """Remove all items of a property list."""
        names = db.get_property(self.config).get_prefix(actor_id=actor_id, prefix=f"list:{list_name}:", keys_only=True)
        db.get_property(self.config).batch_delete(actor_id=actor_id, names=list(names))

    def trust(self, actor_id: str, peer_id: str, secret: str) -> None:
        """Trust a peer; it has still to approve."""
        assert db.get_trust(self.config).create(
            actor_id=actor_id, peerid=peer_id, relationship="friend", secret=secret, approved=True
        )

    def approve(self, actor_id: str, peer_id: str) -> None:
        """Note that the peer approved the trust."""
        trust = db.get_trust(self.config)
        assert trust.get(actor_id=actor_id, peerid=peer_id)
        assert trust.modify(peer_approved=True, verified=True)

    def peer_of(self, actor_id: str, token: str) -> str | None:
        """Return the peer that may call the actor with this token."""
        trust = db.get_trust(self.config).get(actor_id=actor_id, token=token)
        return trust["peerid"] if trust and trust["approved"] and trust["peer_approved"] else None

    def subscribe(self, actor_id: str, peer_id: str, subid: str, target: str) -> None:
        """Let a peer subscribe to a target of the actor."""
        assert db.get_subscription(self.config).create(
            actor_id=actor_id, peerid=peer_id, subid=subid, granularity="high", target=target
        )

    def change(self, actor_id: str, target: str, diff: str) -> list[str]:
        """Register a change with each subscription to a target; return their ids."""
        if db.get_subscription_suspension(self.config, actor_id).is_suspended(target):
            return []
        listed = db.get_subscription_list(self.config).fetch(actor_id=actor_id)
        hit = [entry for entry in listed if entry["target"] == target]
        for entry in hit:
            self._register(actor_id, entry["peerid"], entry["subscriptionid"], diff)
        return [entry["subscriptionid"] for entry in hit]

    def _register(self, actor_id: str, peer_id: str, subid: str, diff: str) -> None:
        subscription = db.get_subscription(self.config)
        assert subscription.get(actor_id=actor_id, peerid=peer_id, subid=subid)
        number = subscription.increment_seqnr()
        assert number is not None
        assert db.get_subscription_diff(self.config).create(actor_id=actor_id, subid=subid, diff=diff, seqnr=number)

    def pending(self, actor_id: str, subid: str) -> list[tuple[int, str]]:
        """Return number and text of the changes that a subscription has not confirmed."""
        diffs = db.get_subscription_diff_list(self.config).fetch(actor_id=actor_id, subid=subid)
        return [(diff["sequence"], diff["diff"]) for diff in diffs]

    def confirm(self, actor_id: str, subid: str, number: int) -> None:
        """Forget the changes up to a number."""
        diffs = db.get_subscription_diff_list(self.config)
        diffs.fetch(actor_id=actor_id, subid=subid)
        assert diffs.delete(seqnr=number)

    def remove(self, actor_id: str) -> None:
        """Remove an actor and all that is stored of it."""
        for stored in self._lists():
            stored.fetch(actor_id=actor_id)
            assert stored.delete()
        db.get_subscription_suspension(self.config, actor_id).delete_all()
        assert db.get_attribute_bucket_list(self.config).delete(actor_id=actor_id)
        actor = db.get_actor(self.config)
        assert actor.get(actor_id=actor_id)
        assert actor.delete()

    def rest(self, actor_id: str) -> list[Any]:
        """Return whatever is stored of an actor, list by list; empty ones are left out."""
        found: list[Any] = [stored.fetch(actor_id=actor_id) for stored in self._lists()]
        found.append(db.get_property_list(self.config).fetch_all_including_lists(actor_id=actor_id))
        found.append(db.get_subscription_suspension(self.config, actor_id).get_all_suspended())
        found.append(db.get_attribute_bucket_list(self.config).fetch(actor_id=actor_id))
        found.append(db.get_actor(self.config).get(actor_id=actor_id))
        return [entries for entries in found if entries]

    def _lists(self) -> list[Any]:
        return [
            db.get_property_list(self.config),
            db.get_trust_list(self.config),
            db.get_peer_trustee_list(self.config),
            db.get_subscription_list(self.config),
            db.get_subscription_diff_list(self.config),
        ]
