"""DbTrust: what is stored, what is answered, and reading by token."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actingweb.db import DbSchemaError, get_trust
from actingweb.db.protocols import DbTrustProtocol
from actingweb.db.registry import Backend
from tests.support import race

from .support.entities import FLAGS

ALWAYS = {
    "baseuri": "",
    "type": "",
    "relationship": "",
    "secret": "",
    "desc": "",
    "verification_token": "",
    "approved": False,
    "peer_approved": False,
    "verified": False,
}
OPTIONAL_TEXTS = [
    "peer_identifier",
    "established_via",
    "client_name",
    "client_version",
    "client_platform",
    "oauth_client_id",
    "aw_supported",
    "aw_version",
]
TIMES = ["created_at", "last_accessed", "capabilities_fetched_at"]
NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def trust(backend: Backend) -> DbTrustProtocol:
    return get_trust(backend)


def _only(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def _stored(backend: Backend, actor_id: str, peerid: str = "p1") -> dict[str, Any]:
    found = get_trust(backend).get(actor_id=actor_id, peerid=peerid)
    assert found is not None
    return found


class TestCreate:
    def test_a_trust_of_keys_only(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        before = datetime.now(UTC)
        assert trust.create(actor_id=actor_id, peerid="p1") is True
        after = datetime.now(UTC)
        result = _stored(backend, actor_id)
        created = result.pop("created_at")
        assert before <= datetime.fromisoformat(created) <= after
        assert created.endswith("+00:00")
        assert result.pop("last_accessed") == result.pop("last_connected_at") == created
        assert result == {"id": actor_id, "peerid": "p1", **ALWAYS}

    def test_a_trust_with_everything(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        texts: dict[str, Any] = {name: f"the {name}" for name in OPTIONAL_TEXTS}
        arguments: dict[str, Any] = {
            "baseuri": "https://peer/",
            "peer_type": "urn:peer",
            "relationship": "friend",
            "secret": "s3cret",
            "verification_token": "token",
            "desc": "described",
            "approved": True,
            "verified": True,
            "peer_approved": True,
            "last_connected_via": "mcp",
        }
        times = {name: f"2024-01-0{day}T00:00:00+00:00" for day, name in enumerate(TIMES, start=1)}
        assert trust.create(actor_id, "p1", **arguments, **texts, **times) is True
        arguments["type"] = arguments.pop("peer_type")
        assert _stored(backend, actor_id) == {
            "id": actor_id,
            "peerid": "p1",
            **arguments,
            **texts,
            **times,
            "last_connected_at": times["last_accessed"],
        }

    @pytest.mark.parametrize("name", ["baseuri", "peer_type", "relationship", "secret", "verification_token", "desc"])
    def test_none_for_a_text_is_stored_as_empty(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", **_only(name, None))
        result = _stored(backend, actor_id)
        assert {key: result[key] for key in ALWAYS} == ALWAYS

    @pytest.mark.parametrize(("given", "flag"), FLAGS, ids=repr)
    def test_flags(self, backend: Backend, trust: DbTrustProtocol, actor_id: str, given: Any, flag: bool) -> None:
        trust.create(actor_id=actor_id, peerid="p1", approved=given, verified=given, peer_approved=given)
        for result in (_stored(backend, actor_id), trust.handle):
            assert [result[name] for name in ("approved", "verified", "peer_approved")] == [flag] * 3

    @pytest.mark.parametrize("name", OPTIONAL_TEXTS)
    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_optional_text_has_no_key(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str, empty: str | None
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", **_only(name, empty))
        assert name not in _stored(backend, actor_id)

    def test_times_default_to_the_moment_of_the_call(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1")
        trust.create(actor_id=actor_id, peerid="p2")
        assert _stored(backend, actor_id, "p1")["created_at"] < _stored(backend, actor_id, "p2")["created_at"]

    def test_last_accessed_defaults_to_the_argument_created_at(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", created_at=NOON)
        assert _stored(backend, actor_id)["last_accessed"] == NOON.isoformat()
        trust.create(actor_id=actor_id, peerid="p1", created_at=NOON + timedelta(1))
        assert _stored(backend, actor_id)["created_at"] == NOON.isoformat()
        assert _stored(backend, actor_id)["last_accessed"] == (NOON + timedelta(1)).isoformat()

    def test_last_connected_via_defaults_to_established_via(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", established_via="OAuth2_client")
        result = _stored(backend, actor_id)
        assert (result["established_via"], result["last_connected_via"]) == ("OAuth2_client", "oauth")

    def test_it_replaces_all_fields(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(
            actor_id, "p1", "uri", "type", "rel", "secret", True, True, True, "token", "desc", created_at=NOON,
            capabilities_fetched_at=NOON, last_connected_via="mcp", **dict.fromkeys(OPTIONAL_TEXTS, "x"),
        )  # fmt: skip
        assert trust.create(actor_id=actor_id, peerid="p1", last_accessed=NOON) is True
        assert _stored(backend, actor_id) == {
            "id": actor_id,
            "peerid": "p1",
            **ALWAYS,
            **dict.fromkeys(["created_at", "last_accessed", "last_connected_at"], NOON.isoformat()),
        }

    @pytest.mark.parametrize("created_at", [None, NOON + timedelta(5)])
    def test_an_empty_secret_works_and_a_second_create_keeps_created_at(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, created_at: datetime | None
    ) -> None:
        assert trust.create(actor_id=actor_id, peerid="p1", secret="", created_at=NOON) is True
        assert _stored(backend, actor_id)["secret"] == ""
        assert trust.create(actor_id=actor_id, peerid="p1", secret="", created_at=created_at) is True
        assert _stored(backend, actor_id)["created_at"] == NOON.isoformat()
        assert trust.handle.created_at == NOON

    def test_after_a_delete_created_at_is_new(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(actor_id=actor_id, peerid="p1", created_at=NOON)
        trust.delete()
        trust.create(actor_id=actor_id, peerid="p1", created_at=NOON + timedelta(1))
        assert _stored(backend, actor_id)["created_at"] == (NOON + timedelta(1)).isoformat()

    def test_concurrent_creates_agree_on_created_at(self, backend: Backend, actor_id: str) -> None:
        def create() -> datetime:
            trust = get_trust(backend)
            assert trust.create(actor_id=actor_id, peerid="p1") is True
            created: datetime = trust.handle.created_at
            return created

        (agreed,) = set(race(8, create))
        assert _stored(backend, actor_id)["created_at"] == agreed.isoformat()


class TestModify:
    @pytest.mark.parametrize("name", ["baseuri", "secret", "desc", "verification_token", *OPTIONAL_TEXTS])
    def test_a_text_is_replaced(self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str) -> None:
        trust.create(actor_id=actor_id, peerid="p1", **_only(name, "old"))
        assert trust.modify(**_only(name, "new")) is True
        assert _stored(backend, actor_id)[name] == "new"

    @pytest.mark.parametrize("name", ["baseuri", "secret", "desc", "verification_token"])
    def test_an_empty_text_is_ignored(self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str) -> None:
        trust.create(actor_id=actor_id, peerid="p1", **_only(name, "old"))
        assert trust.modify(**_only(name, "")) is True
        assert _stored(backend, actor_id)[name] == trust.handle[name] == "old"

    @pytest.mark.parametrize("name", [*OPTIONAL_TEXTS, "last_connected_via"])
    def test_another_empty_text_is_stored_and_none_ignored(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", **_only(name, "old"))
        trust.modify(**_only(name, None))
        assert _stored(backend, actor_id)[name] == "old"
        assert trust.modify(**_only(name, "")) is True
        assert name not in _stored(backend, actor_id)
        assert not trust.handle[name]

    @pytest.mark.parametrize("name", ["approved", "verified", "peer_approved"])
    def test_flags(self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str) -> None:
        for given, flag in FLAGS:
            if given is not None:
                trust.create(actor_id=actor_id, peerid="p1", **_only(name, not flag))
                assert trust.modify(**_only(name, given)) is True
                assert _stored(backend, actor_id)[name] is flag
        assert trust.modify(approved=None, verified=None, peer_approved=None) is True
        assert _stored(backend, actor_id)[name] is flag

    @pytest.mark.parametrize(
        ("given", "answered"),
        [("OAuth2", "oauth"), (" MCP ", "mcp"), ("trust", "trust"), ("Subscription", "subscription"), ("Fax", "Fax")],
    )
    def test_last_connected_via_is_canonical(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, given: str, answered: str
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", last_connected_via=given)
        assert _stored(backend, actor_id)["last_connected_via"] == trust.handle.last_connected_via == answered
        trust.create(actor_id=actor_id, peerid="p1", last_connected_via="other")
        assert trust.modify(last_connected_via=given) is True
        assert _stored(backend, actor_id)["last_connected_via"] == trust.handle.last_connected_via == answered

    def test_three_concurrent_clients_keep_all_their_changes(self, backend: Backend, actor_id: str) -> None:
        get_trust(backend).create(actor_id, "p1")
        changes = iter([_only(name, f"new {name}") for name in OPTIONAL_TEXTS])

        def modify() -> bool:
            client = get_trust(backend)
            client.get(actor_id, "p1")
            return client.modify(**next(changes))

        assert race(8, modify) == [True] * 8
        result = _stored(backend, actor_id)
        assert {name: result[name] for name in OPTIONAL_TEXTS} == {name: f"new {name}" for name in OPTIONAL_TEXTS}


@pytest.mark.aio
class TestToken:
    def test_a_token_finds_the_trust_and_loads_it(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str
    ) -> None:
        trust.create(actor_id, "p0", secret="other")
        trust.create(actor_id, "p1", secret="s3cret")
        found = get_trust(backend)
        assert found.get(actor_id=actor_id, token="s3cret") == _stored(backend, actor_id)
        assert found.handle == trust.handle

    def test_the_peer_wins_over_the_token(self, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(actor_id, "p1", secret="one")
        trust.create(actor_id, "p2", secret="two")
        result = trust.get(actor_id=actor_id, peerid="p1", token="two")
        assert result is not None
        assert result["peerid"] == "p1"
        assert trust.get(actor_id=actor_id, peerid="absent", token="two") is None

    def test_a_token_is_looked_up_within_the_actor_alone(
        self, backend: Backend, trust: DbTrustProtocol, new_actor: Callable[..., str]
    ) -> None:
        one, other = new_actor(), new_actor()
        trust.create(one, "p1", secret="shared")
        assert trust.get(actor_id=other, token="shared") is None
        assert trust.handle is None
        get_trust(backend).create(other, "p2", secret="shared")
        for owner, peerid in ((one, "p1"), (other, "p2")):
            result = trust.get(actor_id=owner, token="shared")
            assert result is not None
            assert (result["id"], result["peerid"]) == (owner, peerid)

    @pytest.mark.parametrize("token", ["absent", "s3cre", "s3crets", "S3CRET", "x\x00", "t" * 5000, None, ""])
    def test_another_token_finds_nothing_and_clears_the_handle(
        self, trust: DbTrustProtocol, actor_id: str, token: str | None
    ) -> None:
        trust.create(actor_id, "p1", secret="s3cret")
        trust.create(actor_id, "p2", secret="")
        assert trust.get(actor_id=actor_id, token=token) is None
        assert trust.handle is None
        assert trust.is_token_in_db(actor_id=actor_id, token=token) is False

    def test_a_replaced_or_deleted_secret_finds_nothing(self, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(actor_id, "p1", secret="old")
        trust.modify(secret="new")
        assert trust.get(actor_id=actor_id, token="old") is None
        assert trust.get(actor_id=actor_id, token="new")
        trust.create(actor_id, "p1", secret="newest")
        assert trust.get(actor_id=actor_id, token="new") is None
        trust.create(actor_id, "p1", secret="")
        assert trust.get(actor_id=actor_id, token="newest") is None

    def test_is_token_in_db(self, backend: Backend, trust: DbTrustProtocol, new_actor: Callable[..., str]) -> None:
        one, other = new_actor(), new_actor()
        trust.create(one, "p1", secret="s3cret")
        assert trust.is_token_in_db(actor_id=one, token="s3cret") is True
        assert type(trust).is_token_in_db(one, "s3cret") is True
        assert trust.is_token_in_db(actor_id=other, token="s3cret") is False
        assert trust.handle.peerid == "p1"
        trust.delete()
        assert trust.is_token_in_db(actor_id=one, token="s3cret") is False

    @pytest.mark.parametrize("missing", [None, ""])
    def test_missing_arguments_are_false(self, trust: DbTrustProtocol, actor_id: str, missing: str | None) -> None:
        trust.create(actor_id, "p1", secret="s3cret")
        assert trust.is_token_in_db(actor_id=missing, token="s3cret") is False
        assert trust.is_token_in_db(actor_id=actor_id, token=missing) is False
        assert trust.is_token_in_db() is False

    def test_a_token_is_cleaned(self, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(actor_id, "p1", secret="x\ud800")
        assert trust.get(actor_id=actor_id, token="x\udfff")
        assert trust.is_token_in_db(actor_id, "x\ufffd") is True


def test_a_fault_raises_and_does_not_read_as_no_trust(trust: DbTrustProtocol, no_tables: None) -> None:
    with pytest.raises(DbSchemaError):
        trust.get(actor_id="a", peerid="p1")
    with pytest.raises(DbSchemaError):
        trust.get(actor_id="a", token="s3cret")
    with pytest.raises(DbSchemaError):
        trust.is_token_in_db(actor_id="a", token="s3cret")
