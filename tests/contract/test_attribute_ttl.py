"""DbAttribute: the time to live."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from actingweb.db import DbInputError, get_attribute, get_attribute_bucket_list
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.policy import attribute as policy
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend
from tests.support import ddb_table, race

BUFFER = 3600
EXPIRED = -BUFFER
NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)

Clock = Callable[[float], None]


@pytest.fixture
def start() -> int:
    """Return a point in time, in epoch seconds, that the server's own clock has not reached."""
    return int(time.time()) + 1_000_000


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch, start: int) -> Clock:
    """Return a function that sets the clock of the library; it stands at `start`."""

    def change(now: float) -> None:
        monkeypatch.setattr(policy, "time", SimpleNamespace(time=lambda: now))

    change(start)
    return change


def _alive(backend: Backend, data: Any = "v") -> list[bool]:
    """Tell for each way to read an attribute whether it is there; none of them changes the data."""
    attribute, buckets = get_attribute(backend), get_attribute_bucket_list(backend)
    return [
        attribute.get_attr("a", "b", "n") is not None,
        attribute.get_attr_strict("a", "b", "n") is not None,
        "n" in (attribute.get_bucket("a", "b") or {}),
        "n" in (buckets.fetch("a") or {}).get("b", {}),
        "b" in (buckets.fetch_timestamps("a") or {}),
        attribute.conditional_update_attr("a", "b", "n", old_data=data, new_data=data),
    ]


ALL, NONE = [True] * 6, [False] * 6


@pytest.mark.parametrize("ttl", [10, 0, -10, -3599, 86_400 * 365])
def test_a_row_exists_until_ttl_and_buffer_have_passed(
    backend: Backend, attribute: DbAttributeProtocol, start: int, set_clock: Clock, ttl: int
) -> None:
    attribute.set_attr(actor_id="a", bucket="b", name="n", data="v", ttl_seconds=ttl)
    assert _alive(backend) == ALL
    set_clock(start + ttl + BUFFER - 0.001)
    assert _alive(backend) == ALL
    set_clock(start + ttl + BUFFER)
    assert _alive(backend) == NONE
    assert attribute.delete_attr_conditional("a", "b", "n") is False


def test_a_row_without_a_ttl_never_expires(
    backend: Backend, attribute: DbAttributeProtocol, start: int, set_clock: Clock
) -> None:
    attribute.set_attr("a", "b", "n", "v")
    set_clock(start + 10**9)
    assert _alive(backend) == ALL


def test_an_expired_attribute_is_absent_everywhere(backend: Backend, attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a", "b", "n", "v", timestamp=NOON, ttl_seconds=EXPIRED)
    assert _alive(backend) == NONE
    assert attribute.get_bucket("a", "b") == {}
    assert get_attribute_bucket_list(backend).fetch("a") == {}
    assert get_attribute_bucket_list(backend).fetch_timestamps("a") == {}
    assert attribute.delete_attr_conditional("a", "b", "n") is False


def test_expired_rows_do_not_hide_live_ones(backend: Backend, attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a", "b", "dead", 1, timestamp=NOON.replace(year=2030), ttl_seconds=EXPIRED)
    attribute.set_attr("a", "b", "live", 2, timestamp=NOON, ttl_seconds=0)
    assert attribute.get_bucket("a", "b") == {"live": {"data": 2, "timestamp": NOON}}
    assert get_attribute_bucket_list(backend).fetch("a") == {"b": {"live": {"data": 2, "timestamp": NOON}}}
    assert get_attribute_bucket_list(backend).fetch_timestamps("a") == {"b": NOON}


def test_an_expired_row_can_be_written_anew_and_deleted(backend: Backend, attribute: DbAttributeProtocol) -> None:
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=EXPIRED)
    assert attribute.set_attr("a", "b", "n", "v") is True
    assert _alive(backend) == ALL
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=EXPIRED)
    assert attribute.delete_attr("a", "b", "n") is True


def test_no_conditional_call_succeeds_on_an_expired_row(attribute: DbAttributeProtocol, backend: Backend) -> None:
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=EXPIRED)
    assert race(8, lambda: get_attribute(backend).delete_attr_conditional("a", "b", "n")) == [False] * 8


def test_a_swap_without_a_ttl_keeps_the_stored_one(
    backend: Backend, attribute: DbAttributeProtocol, start: int, set_clock: Clock
) -> None:
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=10)
    set_clock(start + 5)
    assert attribute.conditional_update_attr("a", "b", "n", "v", "w") is True
    set_clock(start + 9 + BUFFER)
    assert _alive(backend, "w") == ALL
    set_clock(start + 10 + BUFFER)
    assert _alive(backend, "w") == NONE


@pytest.mark.parametrize("stored", [10, None])
def test_a_swap_with_a_ttl_replaces_it(
    backend: Backend, attribute: DbAttributeProtocol, start: int, set_clock: Clock, stored: int | None
) -> None:
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=stored)
    set_clock(start + 5)
    assert attribute.conditional_update_attr("a", "b", "n", old_data="v", new_data="w", ttl_seconds=100) is True
    set_clock(start + 104 + BUFFER)
    assert _alive(backend, "w") == ALL
    set_clock(start + 105 + BUFFER)
    assert _alive(backend, "w") == NONE


@pytest.mark.parametrize("wrong", ["10", 1.5, True, [1]])
def test_a_ttl_that_is_not_a_whole_number_is_refused(attribute: DbAttributeProtocol, wrong: Any) -> None:
    attribute.set_attr("a", "b", "n", "old")
    with pytest.raises(DbInputError):
        attribute.set_attr("a", "b", "n", "new", ttl_seconds=wrong)
    with pytest.raises(DbInputError):
        attribute.conditional_update_attr("a", "b", "n", "old", "new", ttl_seconds=wrong)
    assert attribute.get_attr("a", "b", "n") == {"data": "old", "timestamp": None}


def test_the_module_tells_the_deadline(backend: Backend, start: int, set_clock: Clock) -> None:
    assert backend.DbAttribute.TTL_CLOCK_SKEW_BUFFER == BUFFER
    set_clock(start + 0.9)
    assert [backend.DbAttribute.ttl_deadline(ttl) for ttl in (10, 0, -10)] == [
        start + 3610,
        start + 3600,
        start + 3590,
    ]


@pytest.mark.backends("postgresql", "dynamodb")
def test_the_stored_deadline(
    request: pytest.FixtureRequest, attribute: DbAttributeProtocol, backend: Backend, start: int, set_clock: Clock
) -> None:
    attribute.set_attr("a", "b", "n", "v", ttl_seconds=7)
    attribute.set_attr("a", "b", "m", "v")
    readers = {"postgresql": _postgresql_deadlines, "dynamodb": _dynamodb_deadlines}
    assert readers[backend.database](request) == {"m": None, "n": start + 7 + BUFFER}


def _postgresql_deadlines(request: pytest.FixtureRequest) -> dict[str, int | None]:
    pg = request.getfixturevalue("pg")
    return dict(pg.execute("SELECT name, ttl_timestamp FROM attributes").fetchall())


def _dynamodb_deadlines(request: pytest.FixtureRequest) -> dict[str, int | None]:
    ddb = request.getfixturevalue("ddb")
    items = ddb.scan(TableName=ddb_table("attributes"), ConsistentRead=True)["Items"]
    found = {item["name"]["S"]: item.get("ttl_timestamp") for item in items}
    return {name: number and int(number["N"]) for name, number in found.items()}


class TestDeleteExpired:
    @pytest.mark.backends("postgresql", "dynamodb")
    @pytest.mark.parametrize("now", [10**40, -(10**40)])
    def test_a_time_that_no_row_can_have_is_refused(self, attribute: DbAttributeProtocol, now: int) -> None:
        attribute.set_attr("a", "b", "n", "v", ttl_seconds=60)
        with pytest.raises(DbInputError, match="number"):
            attribute.delete_expired(now_epoch=now)
        assert attribute.get_attr("a", "b", "n") is not None

    @requires(Capability.PURGE)
    def test_rows_at_their_deadline_are_deleted_and_counted(
        self, attribute: DbAttributeProtocol, start: int, set_clock: Clock
    ) -> None:
        for ttl in (1, 2, 3, 4):
            attribute.set_attr("a", f"b{ttl}", "n", "v", ttl_seconds=ttl)
            attribute.set_attr("other", "b", f"n{ttl}", "v", ttl_seconds=ttl)
        attribute.set_attr("a", "b", "forever", "v")
        assert attribute.delete_expired(now_epoch=start + 2 + BUFFER) == 4
        assert attribute.delete_expired(now_epoch=start + 2 + BUFFER) == 0
        assert set(attribute.get_bucket("other", "b") or {}) == {"n3", "n4"}
        assert attribute.get_attr("a", "b", "forever") is not None
        assert attribute.delete_expired() == 0
        set_clock(start + 3 + BUFFER)
        assert attribute.delete_expired() == 2

    @requires(Capability.PURGE)
    def test_only_rows_of_the_given_buckets_are_deleted(self, attribute: DbAttributeProtocol) -> None:
        for bucket in ("b", "c", "bb", "b:c"):
            attribute.set_attr("a", bucket, "n", "v", ttl_seconds=EXPIRED)
        assert attribute.delete_expired(buckets=["b", "absent", "b"]) == 1
        assert attribute.delete_expired(buckets="bb") == 1
        assert attribute.delete_expired(buckets=[]) == 2

    @lacks(Capability.PURGE)
    def test_where_the_database_expires_rows_it_is_0_without_a_request(
        self, attribute: DbAttributeProtocol, no_tables: None
    ) -> None:
        assert attribute.delete_expired() == 0
        assert attribute.delete_expired(now_epoch=2**40, buckets=["b"]) == 0

    @pytest.mark.parametrize("wrong", ["now", 1.5, NOON])
    def test_a_time_that_is_not_a_whole_number_is_refused(self, attribute: DbAttributeProtocol, wrong: Any) -> None:
        with pytest.raises(DbInputError):
            attribute.delete_expired(now_epoch=wrong)

    @requires(Capability.PURGE)
    def test_a_live_row_of_the_same_bucket_is_kept(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "dead", "v", ttl_seconds=EXPIRED)
        attribute.set_attr("a", "b", "live", "v", ttl_seconds=0)
        assert attribute.delete_expired() == 1
        assert set(attribute.get_bucket("a", "b") or {}) == {"live"}
