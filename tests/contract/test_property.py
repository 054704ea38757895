"""DbProperty: get and set, and what names and values may be."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbInputError, DbUnknownActorError, get_property
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties
from tests.support import new_id

pytestmark = pytest.mark.aio

NFC, NFD = "\u00e9", "e\u0301"
AWKWARD_TEXTS = [
    "100%",
    "under_score",
    "a:b",
    "list:x:1",
    "quote'\"",
    "back\\slash",
    " ",
    "\n",
    NFC,
    NFD,
    "\uffee",
    "🎈",
]


class TestGetAndSet:
    def test_a_stored_value_is_read_back(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
        assert prop.set(actor_id=actor_id, name="color", value="blue") is True
        assert get_property(backend).get(actor_id=actor_id, name="color") == "blue"

    def test_set_replaces(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "color", "blue")
        assert prop.set(actor_id, "color", "red") is True
        assert properties(backend, actor_id) == {"color": "red"}

    def test_an_absent_property_is_none(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        assert prop.get(actor_id=actor_id, name="color") is None

    @pytest.mark.parametrize(("owner", "name"), [(None, "n"), ("", "n"), ("a", None), ("a", ""), (None, None)])
    def test_missing_arguments(
        self, backend: Backend, prop: DbPropertyProtocol, owner: str | None, name: str | None
    ) -> None:
        assert prop.get(actor_id=owner, name=name) is None
        assert prop.set(actor_id=owner, name=name, value="v") is False
        assert prop.set(actor_id=owner, name=name, value=None) is False
        assert properties(backend, "a") == {}

    def test_arguments_default_to_none(self, prop: DbPropertyProtocol) -> None:
        assert prop.get() is None
        assert prop.set() is False

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_value_deletes(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, empty: str | None
    ) -> None:
        prop.set(actor_id, "color", "blue")
        assert prop.set(actor_id=actor_id, name="color", value=empty) is True
        assert properties(backend, actor_id) == {}
        assert prop.set(actor_id=actor_id, name="color", value=empty) is True

    @pytest.mark.parametrize("text", AWKWARD_TEXTS)
    def test_names_and_values_are_verbatim(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, text: str
    ) -> None:
        prop.set(actor_id, text, text)
        assert prop.get(actor_id, text) == text
        assert properties(backend, actor_id) == {text: text}

    def test_names_differ_by_case_and_by_normal_form(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str
    ) -> None:
        names = ["a", "A", NFC, NFD]
        for name in names:
            prop.set(actor_id, name, f"value of {name}")
        assert properties(backend, actor_id) == {name: f"value of {name}" for name in ["A", "a", NFD, NFC]}

    def test_actors_do_not_share_properties(
        self, backend: Backend, prop: DbPropertyProtocol, new_actor: Callable[..., str]
    ) -> None:
        one, other = new_actor(), new_actor()
        prop.set(one, "color", "blue")
        assert prop.get(other, "color") is None
        prop.set(other, "color", "red")
        prop.set(other, "color", None)
        assert properties(backend, one) == {"color": "blue"}


class TestText:
    def test_lone_surrogates_become_replacement_characters(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str
    ) -> None:
        prop.set(actor_id, "n\ud800", "v\udfff!")
        assert properties(backend, actor_id) == {"n\ufffd": "v\ufffd!"}

    def test_a_read_cleans_its_arguments_too(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "n\ufffd", "v")
        assert prop.get(actor_id, "n\ud800") == "v"

    def test_a_pair_of_surrogates_is_two_lone_ones(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "n", "\ud83c\udf88")
        assert prop.get(actor_id, "n") == "\ufffd\ufffd"

    @pytest.mark.parametrize(("name", "value"), [("n", "a\x00b"), ("n\x00", "v")])
    def test_zero_bytes_are_refused_and_the_old_value_stays(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, value: str
    ) -> None:
        prop.set(actor_id, "n", "old")
        with pytest.raises(DbInputError, match=r"U\+0000"):
            prop.set(actor_id, name, value)
        with pytest.raises(DbInputError, match=r"U\+0000"):
            prop.create_if_not_exists(actor_id, name, value)
        assert properties(backend, actor_id) == {"n": "old"}

    @pytest.mark.parametrize("name", ["n\x00", "n" * 5000, "🎈" * 5000])
    def test_a_name_that_cannot_exist_finds_nothing(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        prop.set(actor_id, "n", "v")
        assert prop.get(actor_id, name) is None
        assert prop.set(actor_id, name, None) is True
        assert prop.delete_if_value_equals(actor_id, name, "v") is False
        prop.batch_delete(actor_id, [name])
        assert prop.get_prefix(actor_id, name) == {}
        assert properties(backend, actor_id) == {"n": "v"}

    @pytest.mark.parametrize("owner", ["a\x00", "a" * 5000])
    def test_an_actor_that_cannot_exist_has_nothing(self, prop: DbPropertyProtocol, owner: str) -> None:
        assert prop.get(owner, "n") is None
        assert prop.get_range(owner, "", "z") == {}
        assert prop.get_prefix(owner, "n") == {}
        assert prop.get_last_in_range(owner, "", "z") is None

    @pytest.mark.parametrize("arguments", [(1, "n", "v"), ("a", 1, "v"), (b"a", "n", "v"), ("a", ["n"], None)])
    def test_keys_that_are_not_text_are_refused(self, prop: DbPropertyProtocol, arguments: Any) -> None:
        with pytest.raises(DbInputError, match="must be text"):
            prop.set(*arguments)
        with pytest.raises(DbInputError, match="must be text"):
            prop.get(*arguments[:2])

    def test_a_refusal_names_the_operation_and_the_actor(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        with pytest.raises(DbInputError) as refusal:
            prop.set(actor_id=actor_id, name="n", value="top\x00secret")
        assert (refusal.value.op, refusal.value.actor_id) == ("property write", actor_id)
        assert str(refusal.value).startswith(f"database error during property write for actor {actor_id}: ")
        assert "secret" not in str(refusal.value)


class TestSize:
    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize("name", ["n" * 1024, "é" * 512])
    def test_dynamodb_takes_names_of_1024_bytes(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        assert prop.set(actor_id, name, "v")
        assert prop.get(actor_id, name) == "v"

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize("name", ["n" * 1025, "é" * 512 + "n"])
    def test_dynamodb_refuses_longer_names(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        with pytest.raises(DbInputError, match=r"(?s)1024.*1025|1025.*1024"):
            prop.set(actor_id, name, "v")
        assert properties(backend, actor_id) == {}

    @pytest.mark.backends("dynamodb")
    def test_dynamodb_refuses_an_actor_id_over_2048_bytes(self, prop: DbPropertyProtocol) -> None:
        assert prop.set("a" * 2048, "n", "v")
        with pytest.raises(DbInputError, match=r"(?s)2048.*2049|2049.*2048"):
            prop.set("a" * 2049, "n", "v")

    @lacks(Capability.LARGE_VALUES)
    @pytest.mark.parametrize("name", ["plain", "email"])
    def test_an_item_over_400_kb_is_refused_and_the_old_value_kept(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        prop.set(actor_id, name, "old")
        fixed = len("id" + actor_id + "name" + name + "value")
        assert prop.set(actor_id, name, "x" * (400 * 1024 - fixed))
        assert prop.set(actor_id, name, "old")
        with pytest.raises(DbInputError, match=r"\d{6}"):
            prop.set(actor_id, name, "x" * (400 * 1024 - fixed + 1))
        assert properties(backend, actor_id) == {name: "old"}

    @pytest.mark.backends("postgresql")
    def test_postgresql_refuses_an_actor_id_over_255_characters(
        self, prop: DbPropertyProtocol, new_actor: Callable[..., str]
    ) -> None:
        longest = new_actor("é" * 255)
        assert prop.set(longest, "n", "v")
        assert prop.get(longest, "n") == "v"
        with pytest.raises(DbInputError, match=r"(?s)255.*256|256.*255"):
            prop.set("é" * 256, "n", "v")

    @pytest.mark.backends("postgresql")
    def test_postgresql_takes_names_of_2500_bytes_and_refuses_longer_ones(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str
    ) -> None:
        # Random text, so that compression does not help.
        name = "".join(new_id("") for _ in range(200))
        assert prop.set(actor_id, name[:2500], "v")
        with pytest.raises(DbInputError, match=r"\d{4}"):
            prop.set(actor_id, name[:2800], "v")
        assert properties(backend, actor_id) == {name[:2500]: "v"}

    @requires(Capability.LARGE_VALUES)
    def test_a_value_may_be_megabytes_long(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        value = "é" * 1_500_000
        assert prop.set(actor_id, "n", value)
        assert prop.get(actor_id, "n") == value


class TestUnknownActor:
    @requires(Capability.ACTOR_REFERENCES)
    def test_with_references_the_row_is_refused(self, backend: Backend, prop: DbPropertyProtocol) -> None:
        for call in (prop.set, prop.create_if_not_exists):
            for name in ("n", "email"):
                with pytest.raises(DbUnknownActorError) as refusal:
                    call(actor_id="nobody", name=name, value="v")
                assert refusal.value.reason == "unknown actor"
                assert refusal.value.actor_id == "nobody"
        assert properties(backend, "nobody") == {}

    @lacks(Capability.ACTOR_REFERENCES)
    def test_without_references_the_row_is_stored(self, prop: DbPropertyProtocol) -> None:
        assert prop.set("nobody", "n", "v")
        assert prop.create_if_not_exists("nobody", "email", "v")
        assert prop.get("nobody", "n") == "v"

    def test_reads_and_deletes_find_nothing(self, prop: DbPropertyProtocol) -> None:
        assert prop.get("nobody", "n") is None
        assert prop.set("nobody", "n", None) is True
        assert prop.set_if_value_equals("nobody", "n", "v", "w") is False
        assert prop.delete_if_value_equals("nobody", "n", "v") is False
        prop.batch_delete("nobody", ["n"])
