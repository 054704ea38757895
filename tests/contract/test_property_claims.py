"""DbProperty: claims, the look-up rows of indexed properties, one caller at a time."""

import json
import logging
from collections.abc import Callable

import pytest

from actingweb.db import DbError, DbInputError, get_property, get_property_list
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.contract.support.property_tables import Claims, lookup_table, properties, without_lookup_table
from tests.support import new_id

ADDRESS = "anna@example.com"
NEW = "new@example.com"
KEY = compute_lookup_key("email", ADDRESS)

LookupRows = Callable[[], Claims]
Change = Callable[[Backend, str], object]


def _wipe(backend: Backend, actor_id: str) -> bool:
    stored = get_property_list(backend)
    stored.fetch(actor_id=actor_id)
    return stored.delete()


def _delete_loaded(backend: Backend, actor_id: str) -> bool:
    prop = get_property(backend)
    prop.get(actor_id, "email")
    return prop.delete()


REMOVALS: dict[str, Change] = {
    "set none": lambda backend, owner: get_property(backend).set(owner, "email", None),
    "delete": _delete_loaded,
    "conditional empty": lambda backend, owner: get_property(backend).set_if_value_equals(owner, "email", ADDRESS, ""),
    "conditional delete": lambda backend, owner: get_property(backend).delete_if_value_equals(owner, "email", ADDRESS),
    "batch delete": lambda backend, owner: get_property(backend).batch_delete(owner, ["other", "email", "email"]),
    "set many": lambda backend, owner: get_property(backend).set_many(owner, {"email": None, "other": "x"}),
    "wipe": _wipe,
}
REPLACEMENTS: dict[str, Change] = {
    "set": lambda backend, owner: get_property(backend).set(owner, "email", NEW),
    "set many": lambda backend, owner: get_property(backend).set_many(owner, {"color": "red", "email": NEW}),
    "conditional set": lambda backend, owner: get_property(backend).set_if_value_equals(owner, "email", ADDRESS, NEW),
}
WRITES: dict[str, Change] = {
    "set": lambda backend, owner: get_property(backend).set(owner, "email", ADDRESS),
    "set many": lambda backend, owner: get_property(backend).set_many(owner, {"email": ADDRESS}),
    "create": lambda backend, owner: get_property(backend).create_if_not_exists(owner, "email", ADDRESS),
}
SWAP_IN: dict[str, Change] = {
    "conditional set": lambda backend, owner: get_property(backend).set_if_value_equals(owner, "email", "old", ADDRESS)
}
CREATE_ANOTHER: dict[str, Change] = {
    "create": lambda backend, owner: get_property(backend).create_if_not_exists(owner, "oauthId", NEW)
}


def _each(changes: dict[str, Change]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("change", changes.values(), ids=changes.keys())


@pytest.fixture
def owner(prop: DbPropertyProtocol, actor_id: str) -> str:
    """Return the id of an actor that stores ADDRESS and has the claim."""
    prop.set(actor_id, "email", ADDRESS)
    return actor_id


@pytest.fixture
def second(prop: DbPropertyProtocol, owner: str, new_actor: Callable[..., str]) -> str:
    """Return the id of an actor that stores ADDRESS later and has no claim."""
    actor_id = new_actor()
    prop.set(actor_id, "email", ADDRESS)
    return actor_id


@_each(WRITES)
def test_a_write_claims_the_value(backend: Backend, actor_id: str, lookup_rows: LookupRows, change: Change) -> None:
    assert change(backend, actor_id)
    assert lookup_rows() == {KEY: ("email", actor_id)}


def test_a_plain_property_makes_no_claim(prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows) -> None:
    prop.set(actor_id, "color", "blue")
    prop.set_if_value_equals(actor_id, "color", "blue", "red")
    prop.create_if_not_exists(actor_id, "shape", "round")
    assert lookup_rows() == {}


def test_every_name_has_claims_of_its_own(prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows) -> None:
    prop.set(actor_id, "email", "same")
    prop.set(actor_id, "oauthId", "same")
    assert sorted(lookup_rows().values()) == [("email", actor_id), ("oauthId", actor_id)]
    prop.set(actor_id, "email", None)
    assert list(lookup_rows().values()) == [("oauthId", actor_id)]


@_each(REPLACEMENTS)
def test_a_change_moves_the_claim(backend: Backend, owner: str, lookup_rows: LookupRows, change: Change) -> None:
    assert change(backend, owner)
    assert lookup_rows() == {compute_lookup_key("email", NEW): ("email", owner)}


def test_the_same_value_again_keeps_the_claim(prop: DbPropertyProtocol, owner: str, lookup_rows: LookupRows) -> None:
    assert prop.set(owner, "email", ADDRESS)
    assert prop.set_if_value_equals(owner, "email", ADDRESS, ADDRESS)
    assert lookup_rows() == {KEY: ("email", owner)}


@_each(REMOVALS)
def test_a_removal_deletes_the_look_up_row(
    backend: Backend, owner: str, lookup_rows: LookupRows, change: Change
) -> None:
    change(backend, owner)
    assert not get_property(backend).get(owner, "email")
    assert lookup_rows() == {}


@_each(REMOVALS | REPLACEMENTS)
def test_a_change_keeps_the_claim_of_another_actor(
    backend: Backend, owner: str, second: str, lookup_rows: LookupRows, change: Change
) -> None:
    change(backend, second)
    rows = lookup_rows()
    assert rows[KEY] == ("email", owner)
    assert len(rows) == (2 if get_property(backend).get(second, "email") else 1)
    assert get_property(backend).get_actor_id_from_property("email", ADDRESS) == owner


@pytest.mark.parametrize(
    "call",
    [
        lambda prop, owner: prop.set_if_value_equals(owner, "email", "wrong", NEW),
        lambda prop, owner: prop.delete_if_value_equals(owner, "email", "wrong"),
        lambda prop, owner: prop.create_if_not_exists(owner, "email", NEW),
    ],
    ids=["conditional set", "conditional delete", "create"],
)
def test_a_write_that_answers_false_changes_no_claim(
    prop: DbPropertyProtocol, owner: str, lookup_rows: LookupRows, call: Callable[[DbPropertyProtocol, str], bool]
) -> None:
    assert call(prop, owner) is False
    assert lookup_rows() == {KEY: ("email", owner)}
    assert prop.get(owner, "email") == ADDRESS


@pytest.mark.parametrize("claimant", [None, "another", "the owner, on another value"])
@pytest.mark.parametrize(
    "call",
    [
        lambda prop, owner: prop.set_if_value_equals(owner, "email", "wrong", ADDRESS),
        lambda prop, owner: prop.create_if_not_exists(owner, "email", ADDRESS),
    ],
    ids=["conditional set", "create"],
)
def test_a_write_that_answers_false_changes_no_claim_where_its_value_is_stored_already(
    backend: Backend,
    owner: str,
    new_actor: Callable[..., str],
    lookup_rows: LookupRows,
    call: Callable[[DbPropertyProtocol, str], bool],
    claimant: str | None,
) -> None:
    lookup = lookup_table(backend)
    if claimant is None:
        assert lookup.delete("email", ADDRESS)
    elif claimant == "another":
        assert lookup.create("email", ADDRESS, new_actor(), overwrite=True)
    else:
        assert lookup.create("email", NEW, owner)
    before = lookup_rows()
    assert call(get_property(backend), owner) is False
    assert lookup_rows() == before
    assert get_property(backend).set(owner, "email", ADDRESS)
    assert lookup_rows()[KEY] == ("email", owner)


def test_a_conditional_delete_that_answers_false_changes_no_claim_of_an_absent_property(
    prop: DbPropertyProtocol, backend: Backend, actor_id: str, lookup_rows: LookupRows
) -> None:
    assert lookup_table(backend).create("email", ADDRESS, actor_id)
    assert prop.delete_if_value_equals(actor_id, "email", ADDRESS) is False
    assert lookup_rows() == {KEY: ("email", actor_id)}


@_each(WRITES | SWAP_IN)
def test_the_first_actor_keeps_its_claim_and_the_second_stores_without_one(
    backend: Backend,
    owner: str,
    new_actor: Callable[..., str],
    lookup_rows: LookupRows,
    caplog: pytest.LogCaptureFixture,
    change: Change,
) -> None:
    other = new_actor()
    if change in SWAP_IN.values():
        get_property(backend).set(other, "email", "old")
    assert change(backend, other) is True
    assert properties(backend, other) == {"email": ADDRESS}
    assert lookup_rows() == {KEY: ("email", owner)}
    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, f"actingweb.db.{backend.database}.property")
    for word in ("LOOKUP_COLLISION", "email", owner, other):
        assert word in record.getMessage()
    assert ADDRESS not in record.getMessage()


@_each(REMOVALS | REPLACEMENTS)
def test_a_released_claim_is_nobodys_until_the_next_set(
    backend: Backend, owner: str, second: str, lookup_rows: LookupRows, change: Change
) -> None:
    change(backend, owner)
    assert KEY not in lookup_rows()
    assert get_property(backend).get_actor_id_from_property("email", ADDRESS) is None
    # An unchanged value set again takes it.
    get_property(backend).set(second, "email", ADDRESS)
    assert lookup_rows()[KEY] == ("email", second)
    assert get_property(backend).get_actor_id_from_property("email", ADDRESS) == second


@pytest.mark.parametrize("held", [None, "something else"])
@_each(WRITES)
def test_a_claim_whose_owner_does_not_hold_the_value_counts_as_released(
    backend: Backend,
    new_actor: Callable[..., str],
    lookup_rows: LookupRows,
    caplog: pytest.LogCaptureFixture,
    change: Change,
    held: str | None,
) -> None:
    former, taker = new_actor(), new_actor()
    get_property(backend).set(former, "email", held)
    lookup_table(backend).create("email", ADDRESS, former)
    assert change(backend, taker)
    assert lookup_rows()[KEY] == ("email", taker)
    assert caplog.records == []


def test_a_claim_of_an_owner_with_an_empty_value_counts_as_released(
    backend: Backend, owner: str, new_actor: Callable[..., str], lookup_rows: LookupRows
) -> None:
    get_property(backend).set_if_value_equals(owner, "email", ADDRESS, "")
    lookup_table(backend).create("email", ADDRESS, owner)
    taker = new_actor()
    get_property(backend).set(taker, "email", ADDRESS)
    assert lookup_rows() == {KEY: ("email", taker)}


def test_an_empty_value_makes_no_claim(prop: DbPropertyProtocol, owner: str, lookup_rows: LookupRows) -> None:
    prop.set_if_value_equals(owner, "email", ADDRESS, "")
    assert lookup_rows() == {}
    prop.set_if_value_equals(owner, "email", "", ADDRESS)
    assert lookup_rows() == {KEY: ("email", owner)}


def test_a_stale_handle_releases_the_claim_that_is_there_now(
    backend: Backend, owner: str, lookup_rows: LookupRows
) -> None:
    loaded = get_property(backend)
    loaded.get(owner, "email")
    get_property(backend).set(owner, "email", NEW)
    loaded.set(owner, "email", "third@example.com")
    assert list(lookup_rows()) == [compute_lookup_key("email", "third@example.com")]
    get_property(backend).set(owner, "email", NEW)
    assert loaded.delete() is True
    assert lookup_rows() == {}


@pytest.mark.parametrize("size", [8_000, 300_000])
def test_a_long_random_value_has_a_look_up_row(
    backend: Backend, prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows, size: int
) -> None:
    value = "".join(new_id("") for _ in range(size // 32))
    assert prop.set(actor_id, "email", value)
    assert get_property(backend).get(actor_id, "email") == value
    assert lookup_rows() == {compute_lookup_key("email", value): ("email", actor_id)}
    assert get_property(backend).get_actor_id_from_property("email", value) == actor_id
    assert prop.set_if_value_equals(actor_id, "email", value, value[::-1])
    assert prop.delete_if_value_equals(actor_id, "email", value[::-1])
    assert lookup_rows() == {}


def test_the_claim_is_on_the_encoded_and_cleaned_text(
    prop: DbPropertyProtocol, actor_id: str, lookup_rows: LookupRows
) -> None:
    prop.set(actor_id, "email", {"a": "\ud800"})
    assert list(lookup_rows()) == [compute_lookup_key("email", json.dumps({"a": "\ufffd"}))]
    prop.set(actor_id, "email", "\ud800")
    assert list(lookup_rows()) == [compute_lookup_key("email", "\ufffd")]


def test_a_refused_value_keeps_the_claim(prop: DbPropertyProtocol, owner: str, lookup_rows: LookupRows) -> None:
    with pytest.raises(DbInputError):
        prop.set(owner, "email", "a\x00")
    assert lookup_rows() == {KEY: ("email", owner)}


def test_batch_delete_of_many_indexed_names(backend: Backend, actor_id: str, lookup_rows: LookupRows) -> None:
    names = [f"n{number}" for number in range(120)]
    prop = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=names)
    for name in names:
        prop.set(actor_id, name, "v")
    prop.batch_delete(actor_id, names[:115])
    assert properties(backend, actor_id) == dict.fromkeys(sorted(names[115:]), "v")
    assert sorted(lookup_rows().values()) == sorted((name, actor_id) for name in names[115:])


def test_wipe_of_many_claims(
    backend: Backend, owner: str, new_actor: Callable[..., str], lookup_rows: LookupRows
) -> None:
    names = [f"n{number}" for number in range(60)]
    other = new_actor()
    prop = backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=names)
    for name in names:
        prop.set(other, name, "v")
    stored = backend.DbProperty.DbPropertyList(use_lookup_table=True, indexed_properties=names)
    stored.fetch(actor_id=other)
    assert stored.delete() is True
    assert properties(backend, other) == {}
    assert lookup_rows() == {KEY: ("email", owner)}


@pytest.mark.backends("dynamodb", "postgresql")
@_each(REMOVALS | REPLACEMENTS | CREATE_ANOTHER)
def test_without_its_look_up_row_no_property_row_changes(
    request: pytest.FixtureRequest, backend: Backend, owner: str, change: Change
) -> None:
    with without_lookup_table(request), pytest.raises(DbError):
        change(backend, owner)
    assert properties(backend, owner) == {"email": ADDRESS}
