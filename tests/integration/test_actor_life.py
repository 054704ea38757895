"""The life of an actor, from registration until nothing of it is left."""

from actingweb import db

from .application import Application
from .backends import on_named_backend

pytestmark = on_named_backend


def test_from_registration_to_removal(application: Application, anna: str, bob: str) -> None:
    config = application.config
    for item in ("milk", "bread"):
        application.append(anna, "shopping", item)
    application.trust(anna, bob, "token for bob")
    application.approve(anna, bob)
    db.get_peer_trustee(config).create(actor_id=anna, peerid="trustee", peer_type="urn:box", passphrase="p")
    application.subscribe(anna, bob, "s1", "properties")
    assert application.change(anna, "properties", '{"mood": "good"}') == ["s1"]
    db.get_subscription_suspension(config, anna).suspend("properties")
    db.get_attribute(config).set_attr(anna, "session", "theme", {"color": "blue"}, ttl_seconds=3600)

    assert application.log_in("anna@example.com") == anna
    assert application.properties(anna) == {"email": "anna@example.com"}
    assert application.peer_of(anna, "token for bob") == bob
    assert application.pending(anna, "s1") == [(1, '{"mood": "good"}')]
    assert len(application.rest(anna)) == 9

    application.remove(anna)
    assert application.rest(anna) == []
    assert application.log_in("anna@example.com") is None
    assert application.log_in("bob@example.com") == bob
    assert [entry["id"] for entry in db.get_actor_list(config).fetch()] == [bob]


def test_removal_can_be_repeated_half_way(application: Application, anna: str) -> None:
    application.append(anna, "shopping", "milk")
    properties = db.get_property_list(application.config)
    properties.fetch(actor_id=anna)
    assert properties.delete()
    application.remove(anna)
    assert application.rest(anna) == []


def test_an_actor_may_come_back(application: Application, anna: str) -> None:
    application.append(anna, "shopping", "milk")
    application.remove(anna)
    application.register(anna, "anna@example.com")
    assert application.log_in("anna@example.com") == anna
    assert application.items(anna, "shopping") == []
    assert application.append(anna, "shopping", "tea") == 0


def test_the_same_id_cannot_be_registered_twice(application: Application, anna: str) -> None:
    again = db.get_actor(application.config)
    assert again.create(actor_id=anna, creator="mallory@example.com", passphrase="other") is False
    stored = db.get_actor(application.config).get(actor_id=anna)
    assert stored == {"id": anna, "creator": "anna@example.com", "passphrase": "pass of anna"}


def test_a_new_creator_is_found_and_the_old_one_is_not(application: Application, anna: str) -> None:
    actor = db.get_actor(application.config)
    actor.get(actor_id=anna)
    assert actor.modify(creator="Anna.Smith@Example.com")
    found = db.get_actor(application.config).get_by_creator(creator="anna.smith@example.COM")
    assert found == [{"id": anna, "creator": "anna.smith@example.com", "passphrase": "pass of anna"}]
    assert db.get_actor(application.config).get_by_creator(creator="anna@example.com") == []
