"""The application whose data the reader of the guide moves: some actors with rows in every table."""

from actingweb import db

ACTORS = ("test-actor-123", *(f"actor-{number}" for number in range(20)))


def fill() -> None:
    """Store the actors in the tables that the environment names."""
    config = db.load_backend("dynamodb")
    for actor_id in ACTORS:
        peers = {"actor_id": actor_id, "peerid": "peer"}
        db.get_actor(config).create(actor_id=actor_id, creator=f"{actor_id}@example.com", passphrase="secret")
        db.get_property(config).set(actor_id=actor_id, name="email", value=f"{actor_id}@example.com")
        db.get_trust(config).create(**peers, relationship="friend", secret=f"token of {actor_id}", approved=True)
        db.get_peer_trustee(config).create(**peers, peer_type="urn:example", passphrase="secret")
        db.get_subscription(config).create(**peers, subid="news", granularity="high", target="properties")
        db.get_subscription_diff(config).create(actor_id=actor_id, subid="news", diff='{"mood": "gut ☺"}', seqnr=1)
        db.get_subscription_suspension(config, actor_id).suspend("properties", "mood")
        db.get_attribute(config).set_attr(actor_id=actor_id, bucket="session", name="theme", data={"size": 1.5})


if __name__ == "__main__":
    fill()
