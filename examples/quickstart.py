"""Store one actor's data and read it back; DATABASE_BACKEND says in which database."""

import json
from typing import Any

from actingweb import db


def store(config: Any, actor_id: str) -> None:
    """Store an actor with a property, a trust, a subscription with a diff and an attribute that lives for an hour."""
    db.get_actor(config).create(actor_id=actor_id, creator="anna@example.com", passphrase="secret")
    db.get_property(config).set(actor_id=actor_id, name="email", value="anna@example.com")
    db.get_trust(config).create(actor_id=actor_id, peerid="bob", relationship="friend", secret="token", approved=True)
    subscription = db.get_subscription(config)
    subscription.create(actor_id=actor_id, peerid="bob", subid="news", granularity="high", target="properties")
    sequence = subscription.increment_seqnr()
    db.get_subscription_diff(config).create(
        actor_id=actor_id, subid="news", diff='{"mood": "good"}', seqnr=sequence or 1
    )
    db.get_attribute(config).set_attr(
        actor_id=actor_id, bucket="session", name="theme", data={"color": "blue"}, ttl_seconds=3600
    )


def read(config: Any, actor_id: str) -> dict[str, Any]:
    """Return what is stored of the actor."""
    trust = db.get_trust(config).get(actor_id=actor_id, peerid="bob") or {}
    diff = db.get_subscription_diff(config).get(actor_id=actor_id, subid="news") or {}
    return {
        "actor": db.get_actor(config).get(actor_id=actor_id),
        "owner of the e-mail address": db.get_property(config).get_actor_id_from_property("email", "anna@example.com"),
        "properties": db.get_property_list(config).fetch(actor_id=actor_id),
        "trust": {name: trust.get(name) for name in ("peerid", "relationship", "approved", "verified")},
        "subscription": db.get_subscription(config).get(actor_id=actor_id, peerid="bob", subid="news"),
        "diff": {name: diff.get(name) for name in ("subscriptionid", "sequence", "data")},
        "attribute": db.get_attribute(config).get_attr(actor_id=actor_id, bucket="session", name="theme"),
    }


def remove(config: Any, actor_id: str) -> None:
    """Remove everything of the actor."""
    lists = (db.get_property_list(config), db.get_trust_list(config), db.get_subscription_list(config))
    for stored in (*lists, db.get_subscription_diff_list(config)):
        stored.fetch(actor_id=actor_id)
        stored.delete()
    db.get_attribute_bucket_list(config).delete(actor_id=actor_id)
    actor = db.get_actor(config)
    actor.get(actor_id=actor_id)
    actor.delete()


if __name__ == "__main__":
    backend = db.load_backend()
    store(backend, "quickstart")
    for what, found in read(backend, "quickstart").items():
        print(f"{what}: {json.dumps(found, default=str)}")
    remove(backend, "quickstart")
