"""DbPeerTrustee: what is stored, and reading by type."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import get_peer_trustee
from actingweb.db.protocols import DbPeerTrusteeProtocol
from actingweb.db.registry import Backend

pytestmark = pytest.mark.aio


@pytest.fixture
def trustee(backend: Backend) -> DbPeerTrusteeProtocol:
    return get_peer_trustee(backend)


def test_a_stored_peer_is_read_back(backend: Backend, trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
    assert trustee.create(actor_id=actor_id, peerid="p1", peer_type="t", baseuri="uri", passphrase="phrase") is True
    assert get_peer_trustee(backend).get(actor_id=actor_id, peerid="p1") == {
        "id": actor_id,
        "peerid": "p1",
        "type": "t",
        "baseuri": "uri",
        "passphrase": "phrase",
    }


def test_arguments_are_in_this_order(trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
    assert trustee.create(actor_id, "p1", "t", "uri", "phrase")
    assert trustee.get(actor_id, "t", "p1") == trustee.get(actor_id, None, "p1") == trustee.get(actor_id, "t")
    assert (trustee.handle.type, trustee.handle.baseuri, trustee.handle.passphrase) == ("t", "uri", "phrase")


@pytest.mark.parametrize("empty", [None, ""])
def test_texts_may_be_empty_and_are_text(trustee: DbPeerTrusteeProtocol, actor_id: str, empty: str | None) -> None:
    assert trustee.create(actor_id, "p1", "t", baseuri=empty, passphrase=empty) is True
    assert trustee.get(actor_id, peerid="p1") == {
        "id": actor_id,
        "peerid": "p1",
        "type": "t",
        "baseuri": "",
        "passphrase": "",
    }


@pytest.mark.parametrize("missing", [None, ""])
def test_create_needs_a_type(trustee: DbPeerTrusteeProtocol, actor_id: str, missing: str | None) -> None:
    assert trustee.create(actor_id=actor_id, peerid="p1", peer_type=missing) is False
    assert trustee.get(actor_id=actor_id, peerid="p1") is None


class TestByType:
    def test_the_only_peer_of_the_type_is_loaded(
        self, backend: Backend, trustee: DbPeerTrusteeProtocol, actor_id: str
    ) -> None:
        trustee.create(actor_id, "p2", "other")
        trustee.create(actor_id, "p1", "t")
        found = get_peer_trustee(backend)
        assert found.get(actor_id=actor_id, peer_type="t") == trustee.get(actor_id=actor_id, peerid="p1")
        assert found.handle == trustee.handle

    def test_several_are_false_and_an_error(
        self, trustee: DbPeerTrusteeProtocol, actor_id: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        for peerid in ("p1", "p2"):
            trustee.create(actor_id, peerid, "t", passphrase="canary")
        with caplog.at_level(logging.INFO):
            assert trustee.get(actor_id=actor_id, peer_type="t") is False
        assert trustee.handle is None
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert actor_id in caplog.text
        assert "canary" not in caplog.text

    def test_after_one_of_two_went_the_other_is_found(self, trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
        trustee.create(actor_id, "p1", "t")
        trustee.create(actor_id, "p2", "t")
        trustee.delete()
        result = trustee.get(actor_id=actor_id, peer_type="t")
        assert result
        assert result["peerid"] == "p1"

    def test_the_peer_wins_over_the_type(self, trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
        trustee.create(actor_id, "p1", "t")
        trustee.create(actor_id, "p2", "other")
        result = trustee.get(actor_id=actor_id, peer_type="t", peerid="p2")
        assert result
        assert result["peerid"] == "p2"
        assert trustee.get(actor_id=actor_id, peer_type="t", peerid="absent") is None

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"peer_type": ""}, {"peer_type": "", "peerid": ""}, {"peer_type": "T"}, {"peer_type": "x\x00"}],
    )
    def test_neither_or_no_match_is_none_and_clears_the_handle(
        self, trustee: DbPeerTrusteeProtocol, actor_id: str, arguments: dict[str, Any]
    ) -> None:
        trustee.create(actor_id, "p1", "t")
        assert trustee.get(actor_id=actor_id, **arguments) is None
        assert trustee.handle is None

    def test_it_is_looked_for_within_the_actor(
        self, trustee: DbPeerTrusteeProtocol, new_actor: Callable[..., str]
    ) -> None:
        one, other = new_actor(), new_actor()
        trustee.create(one, "p1", "t")
        assert trustee.get(actor_id=other, peer_type="t") is None
        trustee.create(other, "p1", "t")
        result = trustee.get(actor_id=one, peer_type="t")
        assert result
        assert result["id"] == one

    def test_a_changed_type_is_found_under_the_new_one_only(
        self, trustee: DbPeerTrusteeProtocol, actor_id: str
    ) -> None:
        trustee.create(actor_id, "p1", "t")
        assert trustee.modify(peer_type="new") is True
        assert trustee.get(actor_id=actor_id, peer_type="t") is None
        assert trustee.get(actor_id=actor_id, peer_type="new")

    @pytest.mark.backends("dynamodb")
    def test_a_peer_behind_a_megabyte_of_others_is_found(self, trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
        for number in range(4):
            trustee.create(actor_id, f"p{number}", "other", baseuri="x" * 390_000)
        trustee.create(actor_id, "p9", "t")
        assert trustee.get(actor_id=actor_id, peer_type="t")


@pytest.mark.parametrize("name", ["peer_type", "baseuri", "passphrase"])
@pytest.mark.parametrize("empty", [None, ""])
def test_modify_ignores_what_is_empty(
    backend: Backend, trustee: DbPeerTrusteeProtocol, actor_id: str, name: str, empty: str | None
) -> None:
    trustee.create(actor_id, "p1", "t", "uri", "phrase")
    before = trustee.get(actor_id, peerid="p1")
    assert trustee.modify(**{name: empty}) is True
    assert get_peer_trustee(backend).get(actor_id, peerid="p1") == before


def test_modify_writes_all_that_is_given(backend: Backend, trustee: DbPeerTrusteeProtocol, actor_id: str) -> None:
    trustee.create(actor_id, "p1", "t", "uri", "phrase")
    assert trustee.modify(peer_type="t2", baseuri="uri2", passphrase="phrase2") is True
    assert get_peer_trustee(backend).get(actor_id, peerid="p1") == {
        "id": actor_id,
        "peerid": "p1",
        "type": "t2",
        "baseuri": "uri2",
        "passphrase": "phrase2",
    }
