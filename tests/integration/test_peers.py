"""Two actors that trust each other, and what a subscriber gets."""

from actingweb import db
from tests.support import race

from .application import Application
from .backends import on_named_backend

pytestmark = on_named_backend


def test_a_token_counts_from_approval_until_it_is_replaced(application: Application, anna: str, bob: str) -> None:
    application.trust(anna, bob, "first token")
    assert application.peer_of(anna, "first token") is None
    application.approve(anna, bob)
    assert application.peer_of(anna, "first token") == bob
    assert application.peer_of(bob, "first token") is None
    trust = db.get_trust(application.config)
    trust.get(actor_id=anna, peerid=bob)
    assert trust.modify(secret="second token")
    assert application.peer_of(anna, "first token") is None
    assert application.peer_of(anna, "second token") == bob
    assert trust.delete()
    assert application.peer_of(anna, "second token") is None
    assert not db.get_trust(application.config).is_token_in_db(actor_id=anna, token="second token")


def test_a_subscriber_gets_every_change_once_in_order(application: Application, anna: str, bob: str) -> None:
    application.subscribe(anna, bob, "s1", "properties")
    application.subscribe(anna, bob, "s10", "resources")
    for number in range(1, 13):
        assert application.change(anna, "properties", f"change {number}") == ["s1"]
    assert application.change(anna, "resources", "another") == ["s10"]
    assert application.pending(anna, "s1") == [(number, f"change {number}") for number in range(1, 13)]
    application.confirm(anna, "s1", 10)
    assert application.pending(anna, "s1") == [(11, "change 11"), (12, "change 12")]
    assert application.pending(anna, "s10") == [(1, "another")]
    application.confirm(anna, "s1", 12)
    assert application.change(anna, "properties", "later") == ["s1"]
    assert application.pending(anna, "s1") == [(13, "later")]


def test_nothing_is_registered_while_suspended(application: Application, anna: str, bob: str) -> None:
    suspension = db.get_subscription_suspension(application.config, anna)
    application.subscribe(anna, bob, "s1", "properties")
    assert suspension.suspend("properties") is True
    assert application.change(anna, "properties", "unseen") == []
    assert suspension.get_all_suspended() == [("properties", None)]
    assert suspension.resume("properties") is True
    assert application.change(anna, "properties", "seen") == ["s1"]
    assert application.pending(anna, "s1") == [(1, "seen")]


def test_concurrent_changes_get_different_numbers(application: Application, anna: str, bob: str) -> None:
    application.subscribe(anna, bob, "s1", "properties")
    texts = [f"change {number}" for number in range(8)]
    waiting = iter(texts)
    race(8, lambda: application.change(anna, "properties", next(waiting)))
    pending = application.pending(anna, "s1")
    assert [number for number, _ in pending] == list(range(1, 9))
    assert sorted(text for _, text in pending) == texts
