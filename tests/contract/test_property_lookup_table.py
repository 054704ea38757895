"""DbPropertyLookup: raw access to look-up rows."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbError, DbInputError, DbUnknownActorError, get_property
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.contract.support.property_tables import Claims, lookup_table
from tests.support import race

LookupRows = Callable[[], Claims]
VALUE = "anna@example.com"
KEY = compute_lookup_key("email", VALUE)


@pytest.fixture
def table(backend: Backend) -> Any:
    return lookup_table(backend)


@pytest.fixture
def stored(table: Any, actor_id: str) -> str:
    """Return the id of the actor that the row of VALUE names."""
    assert table.create(property_name="email", value=VALUE, actor_id=actor_id) is True
    return actor_id


def test_create_makes_the_row_whatever_the_property_holds(table: Any, stored: str, lookup_rows: LookupRows) -> None:
    assert lookup_rows() == {KEY: ("email", stored)}
    assert table.get(property_name="email", value=VALUE) == stored


def test_create_again_is_true(backend: Backend, stored: str, lookup_rows: LookupRows) -> None:
    assert lookup_table(backend).create("email", VALUE, stored) is True
    assert lookup_rows() == {KEY: ("email", stored)}


def test_create_does_not_replace_another_actors_row(
    table: Any, stored: str, new_actor: Callable[..., str], lookup_rows: LookupRows, caplog: pytest.LogCaptureFixture
) -> None:
    other = new_actor()
    assert table.create(property_name="email", value=VALUE, actor_id=other) is False
    assert lookup_rows() == {KEY: ("email", stored)}
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    for word in ("LOOKUP_COLLISION", "email", stored, other):
        assert word in record.getMessage()
    assert VALUE not in record.getMessage()


def test_overwrite_points_the_row_elsewhere(
    table: Any, stored: str, new_actor: Callable[..., str], lookup_rows: LookupRows, caplog: pytest.LogCaptureFixture
) -> None:
    other = new_actor()
    assert table.create(property_name="email", value=VALUE, actor_id=other, overwrite=True) is True
    assert lookup_rows() == {KEY: ("email", other)}
    assert caplog.records == []


@pytest.mark.parametrize("missing", [{"property_name": None}, {"value": None}, {"property_name": ""}, {"value": ""}])
def test_missing_arguments(table: Any, stored: str, missing: dict[str, Any], lookup_rows: LookupRows) -> None:
    arguments = {"property_name": "email", "value": VALUE} | missing
    assert table.get(**arguments) is None
    assert table.get_v1(**arguments) is None
    assert table.create(**arguments, actor_id=stored) is False
    assert table.delete(**arguments) is False
    assert len(lookup_rows()) == 1


@pytest.mark.parametrize("actor_id", [None, ""])
def test_create_without_an_actor_is_false(table: Any, actor_id: str | None, lookup_rows: LookupRows) -> None:
    assert table.create("email", VALUE, actor_id) is False
    assert lookup_rows() == {}


def test_no_arguments(table: Any) -> None:
    assert table.get() is None
    assert table.get_v1() is None
    assert table.create() is False
    assert table.delete() is False


def test_name_and_value_are_matched_verbatim(table: Any, stored: str) -> None:
    assert table.get("oauthId", VALUE) is None
    assert table.get("email", VALUE.upper()) is None


def test_text_is_cleaned(table: Any, actor_id: str, lookup_rows: LookupRows) -> None:
    assert table.create("na\ud800me", "a\udfff", actor_id)
    assert lookup_rows() == {compute_lookup_key("na\ufffdme", "a\ufffd"): ("na\ufffdme", actor_id)}
    assert table.get("na\udfffme", "a\ud800") == actor_id
    assert table.delete("na\ufffdme", "a\ud800") is True


@pytest.mark.parametrize(
    "changed", [{"property_name": "a\x00"}, {"value": "a\x00"}, {"property_name": 1}, {"value": 1}]
)
def test_create_refuses_what_cannot_be_stored(
    table: Any, actor_id: str, changed: dict[str, Any], lookup_rows: LookupRows
) -> None:
    arguments = {"property_name": "email", "value": VALUE, "actor_id": actor_id} | changed
    with pytest.raises(DbInputError) as refusal:
        table.create(**arguments)
    assert refusal.value.op == "property lookup write"
    assert lookup_rows() == {}


def test_a_key_that_cannot_exist_is_not_found(table: Any) -> None:
    assert table.get("email", "a\x00") is None
    assert table.delete("email", "a\x00") is False


def test_delete_removes_the_row_of_the_pair(table: Any, stored: str, lookup_rows: LookupRows) -> None:
    table.create("email", "other", stored)
    assert table.delete(property_name="email", value=VALUE) is True
    assert table.delete(property_name="email", value=VALUE) is False
    assert list(lookup_rows()) == [compute_lookup_key("email", "other")]


def test_delete_without_arguments_removes_the_handles_row(
    backend: Backend, table: Any, stored: str, lookup_rows: LookupRows
) -> None:
    loaded = lookup_table(backend)
    assert loaded.delete() is False
    loaded.get("email", VALUE)
    assert loaded.delete() is True
    assert lookup_rows() == {}
    assert loaded.handle is None
    assert loaded.delete() is False


def test_delete_without_arguments_keeps_a_row_that_another_actor_has_taken(
    backend: Backend, table: Any, stored: str, new_actor: Callable[..., str], lookup_rows: LookupRows
) -> None:
    other = new_actor()
    lookup_table(backend).create("email", VALUE, other, overwrite=True)
    assert table.delete() is False
    assert lookup_rows() == {KEY: ("email", other)}


def test_the_handle(table: Any, stored: str, new_actor: Callable[..., str]) -> None:
    assert (table.handle.property_name, table.handle.actor_id, table.handle["lookup_key"]) == ("email", stored, KEY)
    table.get("email", "absent")
    assert not table.handle
    table.get("email", VALUE)
    assert table.handle.actor_id == stored
    table.create("email", VALUE, new_actor())
    assert not table.handle


def test_deleting_the_row_does_not_change_the_property(backend: Backend, table: Any, actor_id: str) -> None:
    get_property(backend).set(actor_id, "email", VALUE)
    table.delete("email", VALUE)
    assert get_property(backend).get(actor_id, "email") == VALUE


@lacks(Capability.LOOKUP_FALLBACKS)
def test_without_fallbacks_get_v1_is_none(table: Any, stored: str) -> None:
    assert table.get_v1(property_name="email", value=VALUE) is None


@requires(Capability.ACTOR_REFERENCES)
def test_an_unknown_actor_is_refused(table: Any, lookup_rows: LookupRows) -> None:
    with pytest.raises(DbUnknownActorError):
        table.create("email", VALUE, "nobody")
    assert lookup_rows() == {}


def test_one_of_eight_actors_gets_the_row(
    backend: Backend, new_actor: Callable[..., str], lookup_rows: LookupRows
) -> None:
    actors = [new_actor() for _ in range(8)]
    waiting = iter(actors)

    def create() -> tuple[bool, str]:
        actor_id = next(waiting)
        return lookup_table(backend).create("email", VALUE, actor_id), actor_id

    winners = [actor_id for won, actor_id in race(len(actors), create) if won]
    assert lookup_rows() == {KEY: ("email", winners[0])}
    assert len(winners) == 1


def test_a_fault_raises_and_a_failed_create_is_logged_without_the_value(
    table: Any, no_tables: None, caplog: pytest.LogCaptureFixture
) -> None:
    for call in (table.get, table.delete):
        with pytest.raises(DbError):
            call("email", VALUE)
    assert caplog.records == []
    with pytest.raises(DbError):
        table.create("email", VALUE, "a")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "LOOKUP_CREATE_FAILED" in record.getMessage()
    assert VALUE not in record.getMessage()


def test_the_module_has_compute_lookup_key(table: Any) -> None:
    assert sys.modules[type(table).__module__].compute_lookup_key("email", VALUE) == KEY
