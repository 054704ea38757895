"""DbTrustList: what its entries hold (what all lists share is in test_entity_lists)."""

from datetime import UTC, datetime, timedelta

from actingweb.db import get_trust, get_trust_list
from actingweb.db.registry import Backend

NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)


def test_an_entry_is_what_get_answers(backend: Backend, actor_id: str) -> None:
    trust = get_trust(backend)
    trust.create(actor_id, "p2", established_via="oauth2", created_at=NOON, client_name="")
    trust.create(actor_id, "p1", secret="s3cret", approved=True, capabilities_fetched_at=NOON)
    listed = get_trust_list(backend).fetch(actor_id)
    assert listed == [trust.get(actor_id, "p1"), trust.get(actor_id, "p2")]


def test_trusts_without_a_secret_are_listed(backend: Backend, actor_id: str) -> None:
    for peerid, secret in (("p1", ""), ("p2", "s"), ("p3", "")):
        get_trust(backend).create(actor_id, peerid, secret=secret)
    assert [entry["secret"] for entry in get_trust_list(backend).fetch(actor_id)] == ["", "s", ""]


def test_the_order_is_by_peer_and_not_by_time(backend: Backend, actor_id: str) -> None:
    for days, peerid in enumerate(["c", "a", "b"]):
        get_trust(backend).create(actor_id, peerid, created_at=NOON + timedelta(days))
    assert [entry["peerid"] for entry in get_trust_list(backend).fetch(actor_id)] == ["a", "b", "c"]


def test_after_a_wipe_its_tokens_are_free(backend: Backend, actor_id: str) -> None:
    trust, trusts = get_trust(backend), get_trust_list(backend)
    trust.create(actor_id, "p1", secret="s3cret")
    trusts.fetch(actor_id)
    assert trusts.delete() is True
    assert trust.is_token_in_db(actor_id, "s3cret") is False
    assert trust.get(actor_id, token="s3cret") is None
