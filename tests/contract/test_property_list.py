"""DbPropertyList: all properties of an actor, with and without the rows of property lists."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbError, DbInputError, get_property, get_property_list
from actingweb.db.protocols import DbPropertyListProtocol, DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import Claims, properties

# In the order of their UTF-8 bytes.
PLAIN = ["A", "a", "b", "lis", "list", "list;", "listen", "lists:x", "é", "\uffee", "🎈"]
LISTS = ["list:", "list:b:0", "list:b:1", "list:é"]


@pytest.fixture
def stored(backend: Backend) -> DbPropertyListProtocol:
    return get_property_list(backend)


@pytest.fixture
def owner(prop: DbPropertyProtocol, new_actor: Callable[..., str]) -> str:
    """Return the id of an actor with plain properties and list rows, beside another's."""
    actor_id, other = new_actor(), new_actor()
    for name in (PLAIN + LISTS)[::-1]:
        prop.set(actor_id, name, f"value of {name}")
    prop.set(other, "a", "another's")
    return actor_id


def _values(names: list[str]) -> list[tuple[str, str]]:
    return [(name, f"value of {name}") for name in names]


def test_fetch_returns_the_plain_properties_in_byte_order(stored: DbPropertyListProtocol, owner: str) -> None:
    found = stored.fetch(actor_id=owner)
    assert found is not None
    assert list(found.items()) == _values(PLAIN)


def test_the_other_fetch_returns_the_list_rows_too(stored: DbPropertyListProtocol, owner: str) -> None:
    found = stored.fetch_all_including_lists(actor_id=owner)
    assert found is not None
    assert list(found.items()) == _values(sorted(PLAIN + LISTS, key=str.encode))


def test_an_actor_without_properties_has_an_empty_dict(stored: DbPropertyListProtocol, actor_id: str) -> None:
    assert stored.fetch(actor_id) == {}
    assert stored.fetch_all_including_lists(actor_id) == {}
    assert stored.fetch("nobody") == {}


@pytest.mark.parametrize("missing", [None, ""])
def test_without_an_actor_it_is_none(stored: DbPropertyListProtocol, missing: str | None) -> None:
    assert stored.fetch(actor_id=missing) is None
    assert stored.fetch_all_including_lists(actor_id=missing) is None
    assert stored.fetch() is None
    assert stored.fetch_all_including_lists() is None


@pytest.mark.parametrize("owner_id", ["a\x00", "a" * 5000])
def test_an_actor_that_cannot_exist_has_nothing(stored: DbPropertyListProtocol, owner_id: str) -> None:
    assert stored.fetch(owner_id) == {}
    assert stored.delete() is True
    assert stored.fetch_all_including_lists(owner_id) == {}


def test_an_actor_id_that_is_not_text_is_refused(stored: DbPropertyListProtocol) -> None:
    wrong: Any = 5
    with pytest.raises(DbInputError) as refusal:
        stored.fetch(wrong)
    assert refusal.value.op == "property list"


def test_the_attributes(stored: DbPropertyListProtocol, owner: str) -> None:
    assert (stored.handle, stored.actor_id, stored.props) == (None, None, None)
    found = stored.fetch(owner)
    assert (stored.handle, stored.actor_id, stored.props) == (None, owner, found)


def test_the_other_fetch_sets_the_actor_only(stored: DbPropertyListProtocol, owner: str) -> None:
    stored.fetch_all_including_lists(owner)
    assert (stored.handle, stored.actor_id, stored.props) == (None, owner, None)


def test_an_empty_value_is_listed(prop: DbPropertyProtocol, stored: DbPropertyListProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    prop.set_if_value_equals(actor_id, "n", "v", "")
    assert stored.fetch(actor_id) == {"n": ""}


def test_results_are_fresh(stored: DbPropertyListProtocol, owner: str) -> None:
    found = stored.fetch_all_including_lists(owner)
    assert found is not None
    found.clear()
    assert stored.fetch_all_including_lists(owner)


def test_every_page_is_read(prop: DbPropertyProtocol, stored: DbPropertyListProtocol, actor_id: str) -> None:
    """Values of 390,000 characters before and after the list rows fill several DynamoDB pages of 1 MB."""
    values = {name: name[0] * 390_000 for name in ("a", "b", "c", "d", "list:x", "list:y", "x", "y", "z")}
    for name, value in values.items():
        prop.set(actor_id, name, value)
    assert stored.fetch(actor_id) == {name: value for name, value in values.items() if not name.startswith("list:")}
    assert stored.fetch_all_including_lists(actor_id) == values


class TestDelete:
    def test_without_a_fetch_it_is_false(self, backend: Backend, stored: DbPropertyListProtocol, owner: str) -> None:
        assert stored.delete() is False
        stored.fetch(None)
        assert stored.delete() is False
        assert len(properties(backend, owner)) == len(PLAIN + LISTS)

    @pytest.mark.parametrize("fetch", ["fetch", "fetch_all_including_lists"])
    def test_all_rows_of_the_actor_go_list_rows_too(
        self, backend: Backend, stored: DbPropertyListProtocol, owner: str, new_actor: Callable[..., str], fetch: str
    ) -> None:
        other = new_actor()
        get_property(backend).set(other, "a", "v")
        getattr(stored, fetch)(owner)
        assert stored.delete() is True
        assert properties(backend, owner) == {}
        assert properties(backend, other) == {"a": "v"}

    def test_it_can_be_repeated(self, stored: DbPropertyListProtocol, owner: str, actor_id: str) -> None:
        stored.fetch(owner)
        assert stored.delete() is True
        assert stored.delete() is True
        stored.fetch(actor_id)
        assert stored.delete() is True

    def test_delete_removes_rows_written_after_the_fetch_too(
        self, backend: Backend, prop: DbPropertyProtocol, stored: DbPropertyListProtocol, actor_id: str
    ) -> None:
        stored.fetch(actor_id)
        for number in range(60):
            prop.set(actor_id, f"n{number}", "v")
        prop.set(actor_id, "email", "anna@example.com")
        assert stored.delete() is True
        assert properties(backend, actor_id) == {}

    def test_it_goes_by_the_last_fetch(
        self, backend: Backend, stored: DbPropertyListProtocol, owner: str, new_actor: Callable[..., str]
    ) -> None:
        other = new_actor()
        get_property(backend).set(other, "a", "v")
        stored.fetch(owner)
        stored.fetch_all_including_lists(other)
        stored.delete()
        assert properties(backend, other) == {}
        assert len(properties(backend, owner)) == len(PLAIN + LISTS)

    def test_the_actors_claims_go_and_no_others(
        self,
        prop: DbPropertyProtocol,
        stored: DbPropertyListProtocol,
        new_actor: Callable[..., str],
        lookup_rows: Callable[[], Claims],
    ) -> None:
        one, other = new_actor(), new_actor()
        for actor_id in (one, other):
            prop.set(actor_id, "email", "shared@example.com")
            prop.set(actor_id, "oauthId", f"id of {actor_id}")
        stored.fetch(other)
        stored.delete()
        assert sorted(lookup_rows().values()) == [("email", one), ("oauthId", one)]
        stored.fetch(one)
        stored.delete()
        assert lookup_rows() == {}


def test_a_fault_raises_and_does_not_read_as_empty(stored: DbPropertyListProtocol, no_tables: None) -> None:
    for fetch in (stored.fetch, stored.fetch_all_including_lists):
        with pytest.raises(DbError) as error:
            fetch("a")
        assert (error.value.op, error.value.actor_id) == ("property list", "a")
    with pytest.raises(DbError) as error:
        stored.delete()
    assert (error.value.op, error.value.actor_id) == ("property delete", "a")
