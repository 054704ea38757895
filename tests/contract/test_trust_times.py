"""Times of a trust: how they are given, stored and answered (1.4)."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest

from actingweb.db import get_trust
from actingweb.db.protocols import DbTrustProtocol
from actingweb.db.registry import Backend
from tests.conftest import SetEnv

from .support.entities import refusal

TIMES = ["created_at", "last_accessed", "capabilities_fetched_at"]
NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)
MOMENTS: list[tuple[Any, str]] = [
    (NOON, "2024-01-02T12:00:00+00:00"),
    (datetime(2024, 1, 2, 12, 0), "2024-01-02T12:00:00+00:00"),
    (datetime(2024, 1, 2, 14, 0, tzinfo=timezone(timedelta(hours=2))), "2024-01-02T12:00:00+00:00"),
    (NOON.replace(microsecond=123456), "2024-01-02T12:00:00.123456+00:00"),
    (NOON.replace(microsecond=100), "2024-01-02T12:00:00.000100+00:00"),
    ("2024-01-02T12:00:00Z", "2024-01-02T12:00:00+00:00"),
    ("2024-01-02T12:00:00", "2024-01-02T12:00:00+00:00"),
    ("2024-01-02T07:00:00-05:00", "2024-01-02T12:00:00+00:00"),
    ("2024-01-02T12:00:00.5Z", "2024-01-02T12:00:00.500000+00:00"),
    ("2024-01-02 12:00:00.123456", "2024-01-02T12:00:00.123456+00:00"),
    ("2024-07-02T12:00:00Z", "2024-07-02T12:00:00+00:00"),
    ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59+00:00"),
]
"""Points in time as they may be given, and as they are answered."""


class _NoOffset(tzinfo):
    """A zone that does not know its offset, so that a time in it is as good as naive."""

    def utcoffset(self, _: datetime | None) -> None:
        return None

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


@pytest.fixture
def far_from_utc(set_env: SetEnv) -> Iterator[None]:
    """Let the process live in another zone than UTC."""
    before = os.environ.get("TZ")
    set_env(TZ="Asia/Tokyo")
    time.tzset()
    yield
    set_env(TZ=before)
    time.tzset()


@pytest.fixture
def trust(backend: Backend) -> DbTrustProtocol:
    return get_trust(backend)


def _only(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def _stored(backend: Backend, actor_id: str, peerid: str = "p1") -> dict[str, Any]:
    found = get_trust(backend).get(actor_id=actor_id, peerid=peerid)
    assert found is not None
    return found


class TestTimes:
    @pytest.mark.parametrize("name", TIMES)
    def test_times_come_back_in_utc(self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str) -> None:
        for given, answered in MOMENTS:
            trust.create(actor_id=actor_id, peerid="p1", **_only(name, given))
            assert _stored(backend, actor_id)[name] == answered
            assert trust.handle[name] == datetime.fromisoformat(answered)
            trust.modify(**_only(name, NOON + timedelta(9)))
            assert trust.modify(**_only(name, given)) is True
            assert _stored(backend, actor_id)[name] == answered
            trust.delete()

    @pytest.mark.usefixtures("far_from_utc")
    @pytest.mark.parametrize("zone", [None, _NoOffset()])
    def test_the_zone_of_the_process_does_not_matter(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, zone: tzinfo | None
    ) -> None:
        trust.create(actor_id, "p1", created_at=datetime(2024, 1, 2, 12, 0, tzinfo=zone))
        assert _stored(backend, actor_id)["created_at"] == "2024-01-02T12:00:00+00:00"

    def test_times_of_the_handle_are_aware(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        naive: dict[str, Any] = dict.fromkeys(TIMES, datetime(2024, 1, 2, 12, 0))
        trust.create(actor_id, "p1", **naive)
        loaded = get_trust(backend)
        loaded.get(actor_id, "p1")
        for handle in (trust.handle, loaded.handle):
            assert [handle[name] for name in TIMES] == [NOON] * 3
            assert {handle[name].utcoffset() for name in TIMES} == {timedelta(0)}

    @pytest.mark.parametrize("name", TIMES)
    @pytest.mark.parametrize("given", ["yesterday", "2024-13-01T00:00:00", "12:00", 5, b"2024-01-02"])
    def test_what_is_no_time_is_refused(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, name: str, given: Any
    ) -> None:
        trust.create(actor_id=actor_id, peerid="p1", desc="old")
        before = _stored(backend, actor_id)
        with refusal(name):
            trust.modify(desc="new", **_only(name, given))
        with refusal(name):
            trust.create(actor_id=actor_id, peerid="p1", **_only(name, given))
        assert _stored(backend, actor_id) == before

    @pytest.mark.parametrize("empty", [None, ""])
    def test_an_empty_time_is_not_given(
        self, backend: Backend, trust: DbTrustProtocol, actor_id: str, empty: str | None
    ) -> None:
        trust.create(actor_id, "p1", created_at=NOON, last_accessed=empty, capabilities_fetched_at=empty)
        before = _stored(backend, actor_id)
        assert before["last_accessed"] == NOON.isoformat()
        assert "capabilities_fetched_at" not in before
        assert trust.modify(created_at=empty, last_accessed=empty, capabilities_fetched_at=empty) is True
        assert _stored(backend, actor_id) == before

    def test_last_connected_at_is_last_accessed(self, backend: Backend, trust: DbTrustProtocol, actor_id: str) -> None:
        trust.create(actor_id, "p1", created_at=NOON, last_accessed=NOON + timedelta(1))
        assert _stored(backend, actor_id)["last_connected_at"] == (NOON + timedelta(1)).isoformat()
        trust.modify(last_accessed=NOON + timedelta(2))
        assert _stored(backend, actor_id)["last_connected_at"] == (NOON + timedelta(2)).isoformat()
