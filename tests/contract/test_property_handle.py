"""DbProperty: the handle, and delete, which goes by it."""

from typing import Any

import pytest

from actingweb.db import DbInputError, get_property
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties


def test_it_is_none_at_first(prop: DbPropertyProtocol) -> None:
    assert prop.handle is None
    assert prop.delete() is False


def test_get_shows_the_row(backend: Backend, actor_id: str) -> None:
    get_property(backend).set(actor_id, "n", "v")
    prop = get_property(backend)
    prop.get(actor_id, "n")
    handle = prop.handle
    assert handle
    assert (handle.id, handle.name, handle.value) == (actor_id, "n", "v")
    assert (handle["id"], handle["name"], handle["value"]) == (actor_id, "n", "v")


def test_it_is_read_only(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    with pytest.raises(AttributeError):
        prop.handle.value = "w"
    with pytest.raises(TypeError):
        prop.handle["value"] = "w"


def test_its_repr_shows_no_value(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "canary")
    assert actor_id in repr(prop.handle)
    assert "canary" not in repr(prop.handle)


def test_set_shows_the_cleaned_text_that_is_stored(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n\ud800", {"a": 1})
    assert (prop.handle.name, prop.handle.value) == ("n\ufffd", '{"a": 1}')


@pytest.mark.parametrize("arguments", [{"name": "other"}, {"name": None}, {"name": ""}, {"actor_id": None}])
def test_a_get_that_misses_clears_it(prop: DbPropertyProtocol, actor_id: str, arguments: dict[str, Any]) -> None:
    prop.set(actor_id, "n", "v")
    assert prop.get(**({"actor_id": actor_id, "name": "n"} | arguments)) is None
    assert prop.handle is None


def test_a_set_that_deletes_clears_it(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    prop.set(actor_id, "n", None)
    assert prop.handle is None


def test_delete_deletes_its_row_and_clears_it(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "other", "v")
    prop.set(actor_id, "n", "v")
    assert prop.delete() is True
    assert prop.handle is None
    assert properties(backend, actor_id) == {"other": "v"}
    assert prop.delete() is False


def test_delete_of_a_row_already_gone_is_true(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    get_property(backend).set(actor_id, "n", None)
    assert prop.delete() is True


def test_get_reads_the_key_given_and_sees_changes_of_others(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str
) -> None:
    prop.set(actor_id, "one", "1")
    get_property(backend).set(actor_id, "two", "2")
    assert prop.get(actor_id, "two") == "2"
    get_property(backend).set(actor_id, "two", "2 changed")
    assert prop.get(actor_id, "two") == "2 changed"
    assert (prop.handle.name, prop.handle.value) == ("two", "2 changed")


def test_after_a_get_that_misses_delete_is_false_and_the_row_stays(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str
) -> None:
    prop.set(actor_id, "n", "v")
    prop.get(actor_id, "n")
    assert prop.get(actor_id, "absent") is None
    assert prop.delete() is False
    assert properties(backend, actor_id) == {"n": "v"}


def test_a_refused_write_does_not_change_the_handle(prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n", "v")
    with pytest.raises(DbInputError):
        prop.set(actor_id, "n", "a\x00b")
    assert (prop.handle.name, prop.handle.value) == ("n", "v")
