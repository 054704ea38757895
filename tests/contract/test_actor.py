"""DbActor: creators, passphrases, and what a delete takes along."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import (
    DbThrottledError,
    get_actor,
    get_attribute,
    get_peer_trustee_list,
    get_property,
    get_property_list,
    get_subscription_diff_list,
    get_subscription_list,
    get_subscription_suspension,
    get_trust,
    get_trust_list,
)
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbActorProtocol
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, failing
from tests.conftest import SetEnv

from .support.entities import OWNED, refusal

pytestmark = pytest.mark.aio


@pytest.fixture
def actor(backend: Backend) -> DbActorProtocol:
    return get_actor(backend)


class TestCreate:
    def test_a_stored_actor_is_read_back(self, backend: Backend, actor: DbActorProtocol) -> None:
        assert actor.create(actor_id="a1", creator="me", passphrase="secret") is True
        assert get_actor(backend).get(actor_id="a1") == {"id": "a1", "creator": "me", "passphrase": "secret"}

    def test_arguments_are_in_this_order(self, actor: DbActorProtocol) -> None:
        assert actor.create("a1", "me", "secret")
        assert actor.get("a1") == {"id": "a1", "creator": "me", "passphrase": "secret"}

    @pytest.mark.parametrize("arguments", [{}, {"actor_id": None}, {"actor_id": ""}])
    def test_without_an_id_it_is_false(self, backend: Backend, actor: DbActorProtocol, arguments: Any) -> None:
        assert actor.create(creator="me", passphrase="secret", **arguments) is False
        assert get_actor(backend).get_by_creator("me") == []

    @pytest.mark.parametrize("empty", [None, ""])
    def test_creator_and_passphrase_may_be_empty(
        self, backend: Backend, actor: DbActorProtocol, empty: str | None
    ) -> None:
        assert actor.create(actor_id="a1", creator=empty, passphrase=empty) is True
        assert actor.handle.creator == actor.handle.passphrase == ""
        assert get_actor(backend).get("a1") == {"id": "a1", "creator": "", "passphrase": ""}

    def test_a_duplicate_is_logged_without_its_values(
        self, actor: DbActorProtocol, caplog: pytest.LogCaptureFixture
    ) -> None:
        actor.create("a1", "canary-creator", "canary-phrase")
        with caplog.at_level(logging.WARNING):
            assert actor.create("a1", "canary-other", "canary-other") is False
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert warnings[0].name == f"{type(actor).__module__}"
        assert "a1" in caplog.text
        assert "canary" not in caplog.text

    def test_a_first_create_logs_nothing(self, actor: DbActorProtocol, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            actor.create("a1", "me", "secret")
            assert actor.get("a2") is None
        assert caplog.records == []


class TestCreator:
    @pytest.mark.parametrize(
        ("given", "stored"),
        [("Me@Example.COM", "me@example.com"), ("ÅSA@X.se", "åsa@x.se"), ("Admin", "Admin"), ("trustee", "trustee")],
    )
    def test_a_creator_with_an_at_sign_is_lower_case(
        self, backend: Backend, actor: DbActorProtocol, given: str, stored: str
    ) -> None:
        actor.create(actor_id="a1", creator=given)
        assert actor.handle.creator == stored
        actor.create(actor_id="a2", creator="other")
        actor.modify(creator=given)
        assert actor.handle.creator == stored
        assert [row["creator"] for row in get_actor(backend).get_by_creator(creator=given) or []] == [stored] * 2

    def test_get_by_creator_ignores_case_only_with_an_at_sign(self, actor: DbActorProtocol) -> None:
        actor.create(actor_id="a1", creator="me@example.com")
        actor.create(actor_id="a2", creator="Admin")
        assert actor.get_by_creator(creator="ME@example.com")
        assert actor.get_by_creator(creator="admin") == []
        assert actor.get_by_creator(creator="Admin")

    def test_it_answers_all_actors_of_the_creator_by_id(self, actor: DbActorProtocol) -> None:
        ids = ["a2", "B", "a10", "🎈", "\uffee", "a1"]
        for actor_id in ids:
            actor.create(actor_id=actor_id, creator="me", passphrase=f"of {actor_id}")
        actor.create(actor_id="other", creator="you")
        assert actor.get_by_creator(creator="me") == [
            {"id": actor_id, "creator": "me", "passphrase": f"of {actor_id}"}
            for actor_id in ["B", "a1", "a10", "a2", "\uffee", "🎈"]
        ]

    def test_get_by_creator_sets_the_handle_if_there_is_one_row(self, backend: Backend, actor: DbActorProtocol) -> None:
        actor.create("a1", "me", "secret")
        found = get_actor(backend)
        found.get_by_creator("me")
        assert found.handle == actor.handle

    @pytest.mark.parametrize("creator", ["nobody", "me", None, ""], ids=["none", "several", "missing", "empty"])
    def test_get_by_creator_clears_the_handle_without_exactly_one_row(
        self, actor: DbActorProtocol, creator: str | None
    ) -> None:
        actor.create(actor_id="a1", creator="me")
        actor.create(actor_id="a2", creator="me")
        assert actor.handle
        actor.get_by_creator(creator=creator)
        assert actor.handle is None

    def test_a_creator_without_actors_is_an_empty_list(self, actor: DbActorProtocol) -> None:
        assert actor.get_by_creator(creator="nobody") == []

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_missing_creator_is_none(self, actor: DbActorProtocol, missing: str | None) -> None:
        actor.create(actor_id="a1", creator="")
        assert actor.get_by_creator(creator=missing) is None
        assert actor.get_by_creator() is None

    @pytest.mark.parametrize("creator", ["x\x00", "c" * 5000])
    def test_a_creator_that_cannot_exist_is_an_empty_list(self, actor: DbActorProtocol, creator: str) -> None:
        assert actor.get_by_creator(creator=creator) == []

    def test_a_changed_creator_finds_the_actor_and_the_old_one_does_not(self, actor: DbActorProtocol) -> None:
        actor.create(actor_id="a1", creator="old")
        actor.modify(creator="new")
        assert actor.get_by_creator(creator="old") == []
        assert [row["id"] for row in actor.get_by_creator(creator="new") or []] == ["a1"]


class TestModify:
    @pytest.mark.parametrize("passphrase", ["n€w", "n€w".encode()])
    def test_a_passphrase_is_text_or_utf_8(
        self, backend: Backend, actor: DbActorProtocol, passphrase: str | bytes
    ) -> None:
        actor.create("a1", "me", "old")
        assert actor.modify(passphrase=passphrase) is True
        assert actor.handle.passphrase == "n€w"
        assert get_actor(backend).get("a1") == {"id": "a1", "creator": "me", "passphrase": "n€w"}

    @pytest.mark.parametrize("passphrase", [b"\xff\xfe", b"a\x00b", 5])
    def test_other_passphrases_are_refused(self, backend: Backend, actor: DbActorProtocol, passphrase: Any) -> None:
        actor.create("a1", "me", "old")
        with refusal():
            actor.modify(creator="you", passphrase=passphrase)
        assert get_actor(backend).get("a1") == {"id": "a1", "creator": "me", "passphrase": "old"}

    @pytest.mark.parametrize("empty", [None, "", b""])
    def test_empty_values_do_not_change_the_fields(
        self, backend: Backend, actor: DbActorProtocol, empty: str | bytes | None
    ) -> None:
        actor.create("a1", "me", "secret")
        assert actor.modify(creator="" if empty is not None else None, passphrase=empty) is True
        assert get_actor(backend).get("a1") == {"id": "a1", "creator": "me", "passphrase": "secret"}

    def test_an_empty_creator_can_be_filled(self, backend: Backend, actor: DbActorProtocol) -> None:
        actor.create(actor_id="a1")
        assert actor.modify(creator="me") is True
        assert [row["id"] for row in get_actor(backend).get_by_creator("me") or []] == ["a1"]


def _fill(backend: Backend, actor_id: str) -> None:
    """Store a row of every kind for the actor."""
    for entity in OWNED:
        entity.create(backend, actor_id)
    get_property(backend).set(actor_id, "email", "me@example.com")
    get_subscription_suspension(backend, actor_id).suspend("target")
    get_attribute(backend).set_attr(actor_id, "bucket", "name", {"a": 1})


def _owned_rows(backend: Backend, actor_id: str) -> list[int]:
    """Count the actor's rows of each kind but attributes."""
    found = [
        get_property_list(backend).fetch(actor_id),
        get_trust_list(backend).fetch(actor_id),
        get_peer_trustee_list(backend).fetch(actor_id),
        get_subscription_list(backend).fetch(actor_id),
        get_subscription_diff_list(backend).fetch(actor_id),
        get_subscription_suspension(backend, actor_id).get_all_suspended(),
    ]
    return [len(rows or ()) for rows in found]


class TestDelete:
    @requires(Capability.ACTOR_REFERENCES)
    def test_its_rows_are_deleted_with_it_but_not_its_attributes(
        self, backend: Backend, new_actor: Callable[..., str]
    ) -> None:
        one, other = new_actor(), new_actor()
        _fill(backend, other)
        get_property(backend).set(other, "email", None)
        _fill(backend, one)
        actor = get_actor(backend)
        actor.get(one)
        assert actor.delete() is True
        assert _owned_rows(backend, one) == [0] * 6
        assert get_property(backend).get_actor_id_from_property("email", "me@example.com") is None
        assert get_attribute(backend).get_attr(one, "bucket", "name") == {"data": {"a": 1}, "timestamp": None}
        assert _owned_rows(backend, other) == [0, *[1] * 5]

    @lacks(Capability.ACTOR_REFERENCES)
    def test_without_references_only_its_own_row_is_deleted(self, backend: Backend, actor_id: str) -> None:
        _fill(backend, actor_id)
        actor = get_actor(backend)
        actor.get(actor_id)
        assert actor.delete() is True
        assert actor.get(actor_id) is None
        assert _owned_rows(backend, actor_id) == [1] * 6
        assert get_attribute(backend).get_attr(actor_id, "bucket", "name")

    @requires(Capability.ACTOR_REFERENCES)
    def test_an_actor_created_again_owns_nothing(self, backend: Backend, actor_id: str) -> None:
        get_trust(backend).create(actor_id, "p1")
        actor = get_actor(backend)
        actor.get(actor_id)
        actor.delete()
        assert actor.create(actor_id) is True
        assert get_trust(backend).get(actor_id, "p1") is None


@pytest.mark.backends("dynamodb")
def test_a_throttled_create_never_overwrites_a_live_actor(
    backend: Backend, actor: DbActorProtocol, request_proxy: SpoilingProxy, set_env: SetEnv
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="2", AWS_DB_AUTO_CREATE_TABLES="false")
    actor.create("a1", "me", "secret")
    request_proxy.always = failing("ProvisionedThroughputExceededException")
    with pytest.raises(DbThrottledError):
        get_actor(backend).create("a1", "thief", "stolen")
    with pytest.raises(DbThrottledError):
        get_actor(backend).get("a1")
    request_proxy.always = None
    assert actor.get("a1") == {"id": "a1", "creator": "me", "passphrase": "secret"}
