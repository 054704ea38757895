"""DbTrust: get_many."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import get_trust
from actingweb.db.protocols import DbTrustProtocol
from actingweb.db.registry import Backend

from .support.entities import refusal


@pytest.fixture
def trust(backend: Backend) -> DbTrustProtocol:
    return get_trust(backend)


def test_the_trusts_are_what_get_answers_by_peer(
    backend: Backend, trust: DbTrustProtocol, new_actor: Callable[..., str]
) -> None:
    owner, other = new_actor(), new_actor()
    for peerid in ("🎈", "\uffee", "b", "B", "a:b"):
        trust.create(owner, peerid, secret=f"secret of {peerid}", approved=True, established_via="oauth2")
        trust.create(other, peerid, secret="another's")
    found = trust.get_many(actor_id=owner, peerids=["🎈", "b", "absent", "\uffee", "B", "b"])
    assert [entry["peerid"] for entry in found] == ["B", "b", "\uffee", "🎈"]
    assert found == [get_trust(backend).get(owner, peerid) for peerid in ("B", "b", "\uffee", "🎈")]


@pytest.mark.parametrize("peerids", [None, "", [], [None, ""], ["absent"], ["p" * 5000, "p\x00"]])
def test_no_match_is_an_empty_list(trust: DbTrustProtocol, actor_id: str, peerids: Any) -> None:
    trust.create(actor_id, "p")
    assert trust.get_many(actor_id, peerids) == []
    assert trust.get_many(None, ["p"]) == []


def test_a_plain_text_is_one_peer_and_texts_are_cleaned(trust: DbTrustProtocol, actor_id: str) -> None:
    for peerid in ("pq", "p", "q", "p\ufffd"):
        trust.create(actor_id, peerid)
    assert [entry["peerid"] for entry in trust.get_many(actor_id, "pq")] == ["pq"]
    assert [entry["peerid"] for entry in trust.get_many(actor_id, iter(["p\ud800", "p\udfff"]))] == ["p\ufffd"]


@pytest.mark.parametrize("peerids", [5, [5], b"p", ["p", 5]])
def test_peers_that_are_not_text_are_refused(trust: DbTrustProtocol, actor_id: str, peerids: Any) -> None:
    with refusal("peerids"):
        trust.get_many(actor_id, peerids)


def test_the_handle_stays(trust: DbTrustProtocol, actor_id: str) -> None:
    trust.create(actor_id, "p")
    trust.create(actor_id, "q")
    before = trust.handle
    trust.get_many(actor_id, ["p", "absent"])
    assert trust.handle is before


def test_more_peers_than_one_request_holds(trust: DbTrustProtocol, actor_id: str) -> None:
    peerids = [f"p{number:03}" for number in range(130)]
    for peerid in peerids:
        trust.create(actor_id, peerid)
    assert [entry["peerid"] for entry in trust.get_many(actor_id, reversed(peerids))] == peerids
