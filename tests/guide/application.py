"""The application whose data the reader of the guide moves: some actors with rows in every table."""

from actingweb import db

ACTORS = ("test-actor-123", *(f"actor-{number}" for number in range(20)))


def fill() -> None:
    """Store the actors in the tables that the environment names."""
    config = db.load_backend("dynamodb")
    for actor in ACTORS:
        db.get_actor(config).create(actor_id=actor, creator=f"{actor}@example.com", passphrase="secret")
        db.get_property(config).set(actor_id=actor, name="email", value=f"{actor}@example.com")
        db.get_trust(config).create(actor_id=actor, peerid="peer", relationship="friend", secret=f"token of {actor}")
        db.get_peer_trustee(config).create(actor_id=actor, peerid="peer", peer_type="urn:example", passphrase="secret")
        db.get_subscription(config).create(actor_id=actor, peerid="peer", subid="news", target="properties")
        db.get_subscription_diff(config).create(actor_id=actor, subid="news", diff='{"mood": "gut ☺"}', seqnr=1)
        db.get_subscription_suspension(config, actor).suspend("properties", "mood")
        db.get_attribute(config).set_attr(actor_id=actor, bucket="session", name="theme", data={"size": 1.5})


if __name__ == "__main__":
    fill()
