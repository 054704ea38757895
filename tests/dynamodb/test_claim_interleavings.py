"""Claims on DynamoDB when another caller writes between a caller's reading and its transaction."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import get_property
from actingweb.db.conformance import Harness
from actingweb.db.dynamodb import client
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.contract.support.property_tables import Claims, lookup_table

pytestmark = pytest.mark.backends("dynamodb")

ADDRESS = "anna@example.com"
NEW = "new@example.com"
KEY, NEW_KEY = compute_lookup_key("email", ADDRESS), compute_lookup_key("email", NEW)

Before = Callable[[int, Callable[[], object]], None]


@pytest.fixture
def lookup_rows(harness: Harness) -> Callable[[], Claims]:
    return harness.lookup_rows


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Return a function that lets another caller act right before the n-th transaction from now on."""
    transact = client.transact

    def arrange(number: int, act: Callable[[], object]) -> None:
        left = number

        def interrupted(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                act()
            return transact(*arguments)

        monkeypatch.setattr(client, "transact", interrupted)

    return arrange


def _set(backend: Backend, actor_id: str, value: str | None) -> bool:
    return get_property(backend).set(actor_id, "email", value)


def test_a_former_owner_that_comes_back_keeps_its_claim(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims], caplog: pytest.LogCaptureFixture
) -> None:
    lookup_table(backend).create("email", ADDRESS, "former")
    before(2, lambda: _set(backend, "former", ADDRESS))
    assert _set(backend, "taker", ADDRESS)
    assert lookup_rows() == {KEY: ("email", "former")}
    assert [record.getMessage() for record in caplog.records if "LOOKUP_COLLISION" in record.getMessage()]


def test_an_owner_that_leaves_meanwhile_loses_its_claim(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims], caplog: pytest.LogCaptureFixture
) -> None:
    _set(backend, "owner", ADDRESS)
    before(2, lambda: _set(backend, "owner", NEW))
    assert _set(backend, "taker", ADDRESS)
    assert lookup_rows() == {KEY: ("email", "taker"), NEW_KEY: ("email", "owner")}
    assert caplog.records == []


def test_a_claim_taken_over_by_the_same_actor_elsewhere(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims]
) -> None:
    lookup_table(backend).create("email", ADDRESS, "former")
    before(2, lambda: _set(backend, "taker", ADDRESS))
    assert _set(backend, "taker", ADDRESS)
    assert lookup_rows() == {KEY: ("email", "taker")}


def test_a_claim_that_the_actor_got_meanwhile_is_released_with_its_value(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims]
) -> None:
    _set(backend, "owner", ADDRESS)
    _set(backend, "second", ADDRESS)

    def hand_over() -> None:
        _set(backend, "owner", None)
        _set(backend, "second", ADDRESS)

    # The first transaction finds the value, the second that its claim is the owner's.
    before(3, hand_over)
    assert _set(backend, "second", NEW)
    assert lookup_rows() == {NEW_KEY: ("email", "second")}


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_value_that_changes_meanwhile_leaves_no_claim(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims], rounds: int
) -> None:
    _set(backend, "owner", ADDRESS)
    before(rounds, lambda: _set(backend, "owner", "between@example.com"))
    assert _set(backend, "owner", NEW)
    assert lookup_rows() == {NEW_KEY: ("email", "owner")}


def test_a_deleted_value_that_changes_meanwhile_leaves_no_claim(
    backend: Backend, before: Before, lookup_rows: Callable[[], Claims]
) -> None:
    _set(backend, "owner", ADDRESS)
    before(1, lambda: _set(backend, "owner", NEW))
    get_property(backend).batch_delete("owner", ["email"])
    assert get_property(backend).get("owner", "email") is None
    assert lookup_rows() == {}
