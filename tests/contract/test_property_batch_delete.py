"""DbProperty: batch_delete."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbInputError
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.contract.support.property_tables import properties


@pytest.mark.parametrize("collection", [list, tuple, set, dict.fromkeys, iter])
def test_the_named_rows_go(
    backend: Backend, prop: DbPropertyProtocol, new_actor: Callable[..., str], collection: Callable[..., Any]
) -> None:
    owner, other = new_actor(), new_actor()
    for name in ("a", "b", "c"):
        prop.set(owner, name, "v")
        prop.set(other, name, "v")
    prop.batch_delete(actor_id=owner, names=collection(["a", "b", "absent"]))
    assert properties(backend, owner) == {"c": "v"}
    assert len(properties(backend, other)) == 3


def test_a_plain_text_is_one_name(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    for name in ("ab", "a", "b"):
        prop.set(actor_id, name, "v")
    prop.batch_delete(actor_id, "ab")
    assert properties(backend, actor_id) == {"a": "v", "b": "v"}


@pytest.mark.parametrize("names", [None, [], "", [None], ["", None]])
def test_falsy_names_do_nothing(backend: Backend, prop: DbPropertyProtocol, actor_id: str, names: Any) -> None:
    prop.set(actor_id, "a", "v")
    prop.batch_delete(actor_id, names)
    assert properties(backend, actor_id) == {"a": "v"}


@pytest.mark.parametrize("owner", [None, ""])
def test_without_an_actor_it_does_nothing(prop: DbPropertyProtocol, owner: str | None) -> None:
    prop.batch_delete(owner, ["a"])


@pytest.mark.parametrize("names", [5, [5], b"ab"])
def test_names_that_are_not_text_are_refused(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str, names: Any
) -> None:
    prop.set(actor_id, "ab", "v")
    with pytest.raises(DbInputError) as refusal:
        prop.batch_delete(actor_id, names)
    assert refusal.value.op == "property batch delete"
    assert properties(backend, actor_id) == {"ab": "v"}


def test_names_are_cleaned(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "n\ufffd", "v")
    prop.batch_delete(actor_id, ["n\ud800", "n\udfff"])
    assert properties(backend, actor_id) == {}


def test_a_hundred_names_go_in_one_call(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    names = [f"n{number:03}" for number in range(120)]
    for name in names:
        prop.set(actor_id, name, "v")
    prop.batch_delete(actor_id, names[:110])
    assert list(properties(backend, actor_id)) == names[110:]


def test_a_name_may_be_given_twice(backend: Backend, prop: DbPropertyProtocol, actor_id: str) -> None:
    prop.set(actor_id, "a", "v")
    prop.set(actor_id, "email", "v")
    prop.batch_delete(actor_id=actor_id, names=["a", "a", "email", "email"])
    assert properties(backend, actor_id) == {}
