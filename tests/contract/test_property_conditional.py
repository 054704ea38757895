"""DbProperty: create_if_not_exists, set_if_value_equals and delete_if_value_equals."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbInputError, get_property
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties
from tests.support import race

CALLERS = 8
# A name without and a name with look-up rows.
NAMES = pytest.mark.parametrize("name", ["plain", "email"])
MISSING_KEYS = pytest.mark.parametrize("missing", [{"actor_id": None}, {"actor_id": ""}, {"name": None}, {"name": ""}])


@NAMES
class TestCreateIfNotExists:
    def test_the_first_call_makes_the_row(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        assert prop.create_if_not_exists(actor_id=actor_id, name=name, value="first") is True
        assert get_property(backend).create_if_not_exists(actor_id=actor_id, name=name, value="second") is False
        assert properties(backend, actor_id) == {name: "first"}

    @MISSING_KEYS
    def test_missing_arguments(self, prop: DbPropertyProtocol, name: str, missing: dict[str, Any]) -> None:
        assert prop.create_if_not_exists(**({"actor_id": "a", "name": name, "value": "v"} | missing)) is False
        assert prop.create_if_not_exists() is False

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_value_makes_nothing(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, empty: str | None
    ) -> None:
        assert prop.create_if_not_exists(actor_id, name, empty) is False
        assert properties(backend, actor_id) == {}

    def test_a_row_with_an_empty_value_exists(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "v")
        prop.set_if_value_equals(actor_id, name, "v", "")
        assert prop.create_if_not_exists(actor_id, name, "w") is False

    def test_the_handle(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        assert prop.create_if_not_exists(actor_id, name, [1])
        assert (prop.handle.id, prop.handle.name, prop.handle.value) == (actor_id, name, "[1]")
        assert not prop.create_if_not_exists(actor_id, name, [2])
        assert prop.handle is None
        assert prop.delete() is False
        assert properties(backend, actor_id) == {name: "[1]"}

    def test_of_eight_concurrent_callers_one_wins(self, backend: Backend, actor_id: str, name: str) -> None:
        values = iter(map(str, range(CALLERS)))

        def create() -> tuple[bool, str]:
            value = next(values)
            return get_property(backend).create_if_not_exists(actor_id, name, value), value

        answers = race(CALLERS, create)
        winners = [value for won, value in answers if won]
        assert sorted(won for won, _ in answers) == [False] * (CALLERS - 1) + [True]
        assert properties(backend, actor_id) == {name: winners[0]}


@NAMES
class TestSetIfValueEquals:
    def test_it_stores_if_the_value_is_the_expected_one(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.set_if_value_equals(actor_id=actor_id, name=name, expected="old", value="new") is True
        assert properties(backend, actor_id) == {name: "new"}

    @pytest.mark.parametrize("expected", ["", "ol", "OLD", "old ", "old\x00", "x" * 500_000])
    def test_any_other_value_is_false(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, expected: str
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.set_if_value_equals(actor_id, name, expected, "new") is False
        assert properties(backend, actor_id) == {name: "old"}

    @pytest.mark.parametrize("expected", ["", "old"])
    def test_an_absent_row_is_false(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, expected: str
    ) -> None:
        assert prop.set_if_value_equals(actor_id, name, expected, "new") is False
        assert properties(backend, actor_id) == {}

    def test_the_raw_stored_text_is_compared(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, {"a": 1})
        assert prop.set_if_value_equals(actor_id, name, '{"a":1}', "new") is False
        assert prop.set_if_value_equals(actor_id, name, '{"a": 1}', "new") is True

    def test_it_can_store_an_empty_text_and_expect_one(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.set_if_value_equals(actor_id, name, "old", "") is True
        assert get_property(backend).get(actor_id, name) == ""
        assert properties(backend, actor_id) == {name: ""}
        assert prop.set_if_value_equals(actor_id, name, "", "new") is True
        assert prop.get(actor_id, name) == "new"

    def test_arguments_are_cleaned(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "\ud800")
        assert prop.set_if_value_equals(actor_id, name, "\udfff", "new \ud800") is True
        assert prop.get(actor_id, name) == "new \ufffd"

    @pytest.mark.parametrize(
        "missing",
        [{"actor_id": None}, {"actor_id": ""}, {"name": None}, {"name": ""}, {"expected": None}, {"value": None}],
    )
    def test_missing_arguments(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, missing: dict[str, Any]
    ) -> None:
        prop.set(actor_id, name, "old")
        arguments = {"actor_id": actor_id, "name": name, "expected": "old", "value": "new"}
        assert prop.set_if_value_equals(**(arguments | missing)) is False
        assert prop.set_if_value_equals() is False
        assert properties(backend, actor_id) == {name: "old"}

    @pytest.mark.parametrize(
        "wrong", [{"expected": 1}, {"value": {}}, {"value": 0}, {"expected": b"old"}, {"value": "\x00"}]
    )
    def test_what_is_not_text_is_refused(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, wrong: dict[str, Any]
    ) -> None:
        prop.set(actor_id, name, "old")
        arguments = {"actor_id": actor_id, "name": name, "expected": "old", "value": "new"}
        with pytest.raises(DbInputError) as refusal:
            prop.set_if_value_equals(**(arguments | wrong))
        assert refusal.value.op == "property conditional set"
        assert properties(backend, actor_id) == {name: "old"}

    def test_the_handle(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "old")
        assert prop.set_if_value_equals(actor_id, name, "old", "new")
        assert prop.handle.value == "new"
        assert not prop.set_if_value_equals(actor_id, name, "old", "newer")
        assert prop.handle is None

    def test_one_caller_wins(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "old")
        values = iter(map(str, range(CALLERS)))

        def swap() -> tuple[bool, str]:
            value = next(values)
            return get_property(backend).set_if_value_equals(actor_id, name, "old", value), value

        answers = race(CALLERS, swap)
        winners = [value for won, value in answers if won]
        assert len(winners) == 1
        assert properties(backend, actor_id) == {name: winners[0]}


@NAMES
class TestDeleteIfValueEquals:
    def test_it_deletes_if_the_value_is_the_given_one(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.delete_if_value_equals(actor_id=actor_id, name=name, value="old") is True
        assert properties(backend, actor_id) == {}
        assert prop.delete_if_value_equals(actor_id, name, "old") is False

    @pytest.mark.parametrize("value", ["", "ol", "OLD", "old ", "old\x00", "x" * 500_000])
    def test_any_other_value_is_false(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, value: str
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.delete_if_value_equals(actor_id, name, value) is False
        assert properties(backend, actor_id) == {name: "old"}

    def test_an_empty_text_is_a_value(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str
    ) -> None:
        assert prop.delete_if_value_equals(actor_id, name, "") is False
        prop.set(actor_id, name, "v")
        prop.set_if_value_equals(actor_id, name, "v", "")
        assert prop.delete_if_value_equals(actor_id, name, "") is True
        assert properties(backend, actor_id) == {}

    def test_arguments_are_cleaned(self, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "\ud800")
        assert prop.delete_if_value_equals(actor_id, name, "\udfff") is True

    @pytest.mark.parametrize(
        "missing", [{"actor_id": None}, {"actor_id": ""}, {"name": None}, {"name": ""}, {"value": None}]
    )
    def test_missing_arguments(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, missing: dict[str, Any]
    ) -> None:
        prop.set(actor_id, name, "old")
        assert prop.delete_if_value_equals(**({"actor_id": actor_id, "name": name, "value": "old"} | missing)) is False
        assert prop.delete_if_value_equals() is False
        assert properties(backend, actor_id) == {name: "old"}

    @pytest.mark.parametrize("value", [1, {}, b"old", False])
    def test_what_is_not_text_is_refused(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str, value: Any
    ) -> None:
        prop.set(actor_id, name, "old")
        with pytest.raises(DbInputError) as refusal:
            prop.delete_if_value_equals(actor_id, name, value)
        assert refusal.value.op == "property conditional delete"
        assert properties(backend, actor_id) == {name: "old"}

    @pytest.mark.parametrize("value", ["old", "other"])
    def test_the_handle_is_cleared(self, prop: DbPropertyProtocol, actor_id: str, name: str, value: str) -> None:
        prop.set(actor_id, name, "old")
        prop.delete_if_value_equals(actor_id, name, value)
        assert prop.handle is None
        assert prop.delete() is False

    def test_one_caller_wins(self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, name: str) -> None:
        prop.set(actor_id, name, "old")
        answers = race(CALLERS, lambda: get_property(backend).delete_if_value_equals(actor_id, name, "old"))
        assert sorted(answers) == [False] * (CALLERS - 1) + [True]
        assert properties(backend, actor_id) == {}


@NAMES
def test_no_increment_by_compare_and_swap_is_lost(backend: Backend, actor_id: str, name: str) -> None:
    get_property(backend).set(actor_id, name, "0")

    def increment() -> None:
        prop = get_property(backend)
        swapped = False
        while not swapped:
            value = prop.get(actor_id, name)
            assert value is not None
            swapped = prop.set_if_value_equals(actor_id, name, value, str(int(value) + 1))

    race(CALLERS, increment)
    assert properties(backend, actor_id) == {name: str(CALLERS)}


@pytest.mark.parametrize(
    "call",
    [
        lambda prop, owner: prop.create_if_not_exists(owner, None, "v"),
        lambda prop, owner: prop.create_if_not_exists(owner, "other", None),
        lambda prop, owner: prop.set_if_value_equals(owner, None, "v", "w"),
        lambda prop, owner: prop.delete_if_value_equals(owner, "n", None),
    ],
)
def test_a_call_without_its_arguments_clears_the_handle(
    prop: DbPropertyProtocol, actor_id: str, call: Callable[[DbPropertyProtocol, str], bool]
) -> None:
    prop.set(actor_id, "n", "v")
    assert call(prop, actor_id) is False
    assert prop.handle is None
