"""DbProperty: get_many and set_many."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from actingweb.db import DbInputError, get_property
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.contract.support.property_tables import Claims, properties
from tests.support import new_id

LookupRows = Callable[[], Claims]

AWKWARD = ["A", "B", "a", "a:b", "e\u0301", "é", "list:x", "\uffee", "🎈"]
MISSING = [None, ""]


class TestGetMany:
    def test_the_named_properties_come_in_the_order_of_their_bytes(
        self, backend: Backend, prop: DbPropertyProtocol, new_actor: Callable[..., str]
    ) -> None:
        owner, other = new_actor(), new_actor()
        for name in AWKWARD:
            prop.set(owner, name, f"value of {name}")
            prop.set(other, name, "another's")
        expected = {name: f"value of {name}" for name in sorted(AWKWARD, key=str.encode) if name != "a"}
        found = prop.get_many(actor_id=owner, names=["absent", *reversed(list(expected))])
        assert list(found.items()) == list(expected.items())

    @pytest.mark.parametrize("collection", [list, tuple, set, dict.fromkeys, iter])
    def test_any_collection_of_names_is_accepted(
        self, prop: DbPropertyProtocol, actor_id: str, collection: Callable[..., Any]
    ) -> None:
        prop.set_many(actor_id, {"a": "1", "b": "2", "c": "3"})
        assert prop.get_many(actor_id, collection(["b", "a"])) == {"a": "1", "b": "2"}

    def test_duplicates_and_names_equal_after_cleaning_are_one(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "n\ufffd", "v")
        assert prop.get_many(actor_id, ["n\ud800", "n\udfff", "n\ufffd", "n\ufffd"]) == {"n\ufffd": "v"}

    def test_a_plain_text_is_one_name(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set_many(actor_id, {"ab": "1", "a": "2", "b": "3"})
        assert prop.get_many(actor_id, "ab") == {"ab": "1"}

    @pytest.mark.parametrize("names", [None, "", [], [None, ""]])
    def test_falsy_names_find_nothing(self, prop: DbPropertyProtocol, actor_id: str, names: Any) -> None:
        assert prop.get_many(actor_id, names) == {}

    @pytest.mark.parametrize("names", [5, [5], b"ab", ["a", 5]])
    def test_names_that_are_not_text_are_refused(self, prop: DbPropertyProtocol, actor_id: str, names: Any) -> None:
        with pytest.raises(DbInputError) as refusal:
            prop.get_many(actor_id, names)
        assert refusal.value.op == "property read"

    def test_a_name_that_cannot_exist_does_not_hide_the_others(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "a", "v")
        assert prop.get_many(actor_id, ["n" * 5000, "a", "a\x00"]) == {"a": "v"}

    def test_a_property_with_an_empty_value_is_returned(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "a", "v")
        prop.set_if_value_equals(actor_id, "a", "v", "")
        assert prop.get_many(actor_id, ["a", "b"]) == {"a": ""}

    def test_the_handle_stays(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "a", "v")
        before = prop.handle
        prop.get_many(actor_id, ["absent"])
        prop.get_many(None, ["a"])
        assert prop.handle is before

    def test_more_names_than_one_request_holds(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        values = {f"n{number:03}": str(number) for number in range(230)}
        assert prop.set_many(actor_id, values, chunk_size=100)
        assert list(prop.get_many(actor_id, [*values, "absent"]).items()) == list(values.items())


class TestSetMany:
    def test_each_value_is_stored_as_set_stores_it(
        self, backend: Backend, prop: DbPropertyProtocol, new_actor: Callable[..., str]
    ) -> None:
        values = {"text": "x", "zero": 0, "no": False, "list": [], "dict": {"k\ud800": (1, 2)}, "name\ud800": "v\udfff"}
        one, other = new_actor(), new_actor()
        for name, value in values.items():
            prop.set(one, name, value)
        assert prop.set_many(actor_id=other, values=values) is True
        assert properties(backend, other) == properties(backend, one)

    def test_values_are_replaced_and_empty_ones_deleted(
        self, backend: Backend, prop: DbPropertyProtocol, new_actor: Callable[..., str]
    ) -> None:
        owner, other = new_actor(), new_actor()
        for actor in (owner, other):
            prop.set_many(actor, {"kept": "1", "changed": "1", "gone": "1", "gone too": "1"})
        changes = {"changed": "2", "gone": None, "gone too": "", "absent": None, "new": "2"}
        assert prop.set_many(owner, changes) is True
        assert properties(backend, owner) == {"changed": "2", "kept": "1", "new": "2"}
        assert len(properties(backend, other)) == 4

    def test_a_call_may_consist_of_deletes_alone(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str
    ) -> None:
        prop.set_many(actor_id, {"a": "1", "b": "1"})
        assert prop.set_many(actor_id, {"a": None, "absent": None, "n" * 5000: None, "b\x00": ""}) is True
        assert properties(backend, actor_id) == {"b": "1"}

    @pytest.mark.parametrize("missing", MISSING)
    def test_without_actor_or_values_it_is_false(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, missing: Any
    ) -> None:
        assert prop.set_many(missing, {"a": "v"}) is False
        assert prop.set_many(actor_id, missing) is False
        assert prop.set_many(missing, {}) is False
        assert properties(backend, actor_id) == {}

    def test_an_empty_mapping_is_true(self, prop: DbPropertyProtocol, actor_id: str) -> None:
        assert prop.set_many(actor_id, {}) is True

    @pytest.mark.parametrize("missing", MISSING)
    def test_a_missing_name_is_false_and_nothing_is_stored(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, missing: Any
    ) -> None:
        values: dict[Any, Any] = {"a": "v", missing: "v", "b": "v\x00"}
        assert prop.set_many(actor_id, values) is False
        assert properties(backend, actor_id) == {}

    def test_any_mapping_is_accepted(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
        assert prop.set_many(actor_id, MappingProxyType({"a": "v"}))
        assert properties(backend, actor_id) == {"a": "v"}

    @pytest.mark.parametrize(
        "values",
        [
            {"a": "new", "b": "x\x00"},
            {"a": "new", "b\x00": "x"},
            {"a": "new", 5: "x"},
            {"a": "new", b"b": "x"},
            {"a": "new", "b": dict.fromkeys(["k\ud800", "k\udfff"], 1)},
            dict.fromkeys(["a", "n\ud800", "n\ufffd"], "new"),
            {"a": "new", **dict.fromkeys(["n\ud800", "n\udfff"])},
            [("a", "new")],
            "a",
        ],
    )
    def test_bad_input_refuses_the_whole_call(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, values: Any
    ) -> None:
        prop.set(actor_id, "a", "old")
        for chunk_size in (None, 1):
            with pytest.raises(DbInputError) as refusal:
                prop.set_many(actor_id, values, chunk_size)
            assert (refusal.value.op, refusal.value.actor_id) == ("property write", actor_id)
        assert properties(backend, actor_id) == {"a": "old"}

    @lacks(Capability.LONG_KEYS)
    def test_a_name_that_is_too_long_refuses_the_whole_call(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str
    ) -> None:
        with pytest.raises(DbInputError, match=r"5000|5033|limit"):
            prop.set_many(actor_id, {"a": "v", "n" * 5000: "v"}, chunk_size=1)
        assert properties(backend, actor_id) == {}

    @pytest.mark.parametrize("chunk_size", [1, 2, 7, 1000])
    def test_chunks_store_the_same(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, chunk_size: int
    ) -> None:
        prop.set_many(actor_id, {"n3": "old", "n5": "old"})
        values = {f"n{number}": f"{number}" for number in range(7)}
        assert prop.set_many(actor_id, {**values, "n5": None}, chunk_size=chunk_size) is True
        del values["n5"]
        assert properties(backend, actor_id) == values

    @pytest.mark.parametrize("chunk_size", [0, -1, "2", 1.5, True])
    def test_a_chunk_size_that_is_no_number_above_zero_is_refused(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, chunk_size: Any
    ) -> None:
        with pytest.raises(DbInputError, match="chunk_size"):
            prop.set_many(actor_id, {"a": "v"}, chunk_size)
        assert properties(backend, actor_id) == {}

    def test_the_handle_stays(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
        prop.set(actor_id, "email", "old")
        before = prop.handle
        prop.set_many(actor_id, {"email": "new", "a": "v"})
        assert prop.handle is before
        assert prop.delete() is True
        assert properties(backend, actor_id) == {"a": "v"}
        assert get_property(backend).get_actor_id_from_property("email", "new") is None

    def test_without_the_look_up_table_values_are_stored(
        self, backend: Backend, actor_id: str, lookup_rows: LookupRows
    ) -> None:
        prop = backend.DbProperty.DbProperty(use_lookup_table=False)
        assert prop.set_many(actor_id, {"email": "a@b", "a": "v"})
        assert prop.get_many(actor_id, ["a", "email"]) == {"a": "v", "email": "a@b"}
        assert lookup_rows() == {}

    @pytest.mark.parametrize("size", [300_000, 40_000])
    def test_large_values_are_stored(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, size: int
    ) -> None:
        values = {f"n{number}": new_id("") * (size // 32) for number in range(8)}
        assert prop.set_many(actor_id, {**values, "email": new_id("") * (size // 32)})
        assert prop.get_many(actor_id, list(values)) == values


def _claims(actor_id: str, values: Mapping[str, str]) -> Claims:
    return {compute_lookup_key(name, value): (name, actor_id) for name, value in values.items()}


class TestClaims:
    def test_each_indexed_value_is_claimed_and_each_old_one_released(
        self, prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows
    ) -> None:
        prop.set_many(actor_id, {"email": "1", "oauthId": "1", "externalUserId": "1", "color": "1"})
        assert lookup_rows() == _claims(actor_id, {"email": "1", "oauthId": "1", "externalUserId": "1"})
        prop.set_many(actor_id, {"email": "2", "oauthId": None, "externalUserId": "1", "color": None})
        assert lookup_rows() == _claims(actor_id, {"email": "2", "externalUserId": "1"})
        assert prop.get_actor_id_from_property("email", "2") == actor_id

    def test_each_collision_is_reported_and_spares_the_claim(
        self,
        prop: DbPropertyProtocol,
        new_actor: Callable[..., str],
        lookup_rows: LookupRows,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        values = {"email": "secret1", "externalUserId": "secret2", "oauthId": "secret3"}
        first, second = new_actor(), new_actor()
        prop.set_many(first, {**values, "oauthId": "other"})
        assert prop.set_many(second, values) is True
        assert prop.get_many(second, list(values)) == values
        expected = {**_claims(first, {**values, "oauthId": "other"}), **_claims(second, {"oauthId": "secret3"})}
        assert lookup_rows() == expected
        texts = [record.getMessage() for record in caplog.records]
        assert len(texts) == 2
        for text, name in zip(texts, ["email", "externalUserId"], strict=True):
            assert f"LOOKUP_COLLISION property {name} of actor {second} is claimed by actor {first}" in text
            assert "secret" not in text

    def test_a_released_claim_is_taken(
        self, prop: DbPropertyProtocol, new_actor: Callable[..., str], lookup_rows: LookupRows
    ) -> None:
        first, second = new_actor(), new_actor()
        for actor in (first, second):
            prop.set_many(actor, {"email": "x", "oauthId": "x"})
        prop.set_many(first, {"email": "y", "oauthId": None})
        prop.set_many(second, {"email": "x", "oauthId": "x"})
        assert lookup_rows() == {**_claims(first, {"email": "y"}), **_claims(second, {"email": "x", "oauthId": "x"})}

    def test_values_can_change_places(self, prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows) -> None:
        prop.set_many(actor_id, {"email": "1", "oauthId": "2"})
        prop.set_many(actor_id, {"email": "2", "oauthId": "1"})
        assert lookup_rows() == _claims(actor_id, {"email": "2", "oauthId": "1"})

    def test_many_indexed_names_in_chunks(self, backend: Backend, actor_id: str, lookup_rows: LookupRows) -> None:
        values = {f"n{number:02}": f"value {number}" for number in range(60)}
        prop = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=list(values))
        for mark in ("old", "new"):
            current = {name: f"{mark} {value}" for name, value in values.items()}
            assert prop.set_many(actor_id, current, chunk_size=25) is True
            assert lookup_rows() == _claims(actor_id, current)
        assert prop.set_many(actor_id, dict.fromkeys(values), chunk_size=50) is True
        assert lookup_rows() == {}
        assert properties(backend, actor_id) == {}
