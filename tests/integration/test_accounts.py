"""Logging in: addresses that move, codes that count once, tokens that rotate and expire."""

from actingweb import db
from tests.support import race

from .application import Application
from .backends import on_named_backend

pytestmark = on_named_backend

EXPIRED = -3600


def test_an_address_moves_to_another_actor(application: Application, anna: str, bob: str) -> None:
    """The first actor keeps an address until it gives it up; then the next one that stores it has it."""
    config = application.config
    assert db.get_property(config).set(actor_id=bob, name="email", value="anna@example.com")
    assert application.log_in("anna@example.com") == anna
    assert application.log_in("bob@example.com") is None
    db.get_property(config).set(actor_id=anna, name="email", value="anna@example.org")
    assert application.log_in("anna@example.org") == anna
    assert application.log_in("anna@example.com") is None
    db.get_property(config).set(actor_id=bob, name="email", value="anna@example.com")
    assert application.log_in("anna@example.com") == bob
    application.remove(anna)
    assert application.log_in("anna@example.com") == bob


def test_a_code_can_be_used_once(application: Application, anna: str) -> None:
    attribute = db.get_attribute(application.config)
    attribute.set_attr(actor_id="_codes", bucket="codes", name="code", data={"actor": anna}, ttl_seconds=600)
    answers = race(
        8,
        lambda: db.get_attribute(application.config).delete_attr_conditional(
            actor_id="_codes", bucket="codes", name="code"
        ),
    )
    assert sorted(answers) == [False] * 7 + [True]
    assert attribute.get_attr_strict(actor_id="_codes", bucket="codes", name="code") is None


def test_an_expired_session_is_gone_and_can_be_opened_anew(application: Application, anna: str) -> None:
    attribute = db.get_attribute(application.config)
    attribute.set_attr(actor_id=anna, bucket="sessions", name="s", data={"state": "old"}, ttl_seconds=EXPIRED)
    assert attribute.get_attr(actor_id=anna, bucket="sessions", name="s") is None
    assert attribute.get_bucket(actor_id=anna, bucket="sessions") == {}
    assert not attribute.conditional_update_attr(anna, "sessions", "s", {"state": "old"}, {"state": "new"})
    attribute.set_attr(actor_id=anna, bucket="sessions", name="s", data={"state": "new"}, ttl_seconds=600)
    entry = attribute.get_attr(actor_id=anna, bucket="sessions", name="s")
    assert entry == {"data": {"state": "new"}, "timestamp": None}


def test_a_refresh_token_rotates_once_and_its_reuse_ends_the_chain(application: Application, anna: str) -> None:
    config = application.config
    attribute = db.get_attribute(config)
    fresh = {"chain_id": "c", "used": False}
    attribute.set_attr(actor_id=anna, bucket="refresh", name="r1", data=fresh)
    attribute.set_attr(actor_id=anna, bucket="access", name="a1", data={"chain_id": "c"})
    attribute.set_attr(actor_id=anna, bucket="access", name="other", data={"chain_id": "d"})

    def rotate() -> bool:
        return db.get_attribute(config).conditional_update_attr(
            actor_id=anna, bucket="refresh", name="r1", old_data=fresh, new_data={"used": True, "chain_id": "c"}
        )

    assert sorted(race(8, rotate)) == [False] * 7 + [True]
    removed = attribute.delete_by_chain(actor_id=anna, buckets=["refresh", "access"], chain_id="c", defer_name="r1")
    assert removed == 2
    assert db.get_attribute_bucket_list(config).fetch(actor_id=anna) == {
        "access": {"other": {"data": {"chain_id": "d"}, "timestamp": None}}
    }
