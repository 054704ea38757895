"""DbSubscriptionDiff and DbSubscriptionDiffList: numbers, scopes and times."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actingweb.db import get_subscription_diff, get_subscription_diff_list
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbSubscriptionDiffListProtocol, DbSubscriptionDiffProtocol
from actingweb.db.registry import Backend

from .support.entities import refusal

pytestmark = pytest.mark.aio


@pytest.fixture
def diff(backend: Backend) -> DbSubscriptionDiffProtocol:
    return get_subscription_diff(backend)


@pytest.fixture
def diffs(backend: Backend) -> DbSubscriptionDiffListProtocol:
    return get_subscription_diff_list(backend)


def _add(backend: Backend, actor_id: str, *keys: tuple[str, int]) -> None:
    for subid, seqnr in keys:
        assert get_subscription_diff(backend).create(actor_id, subid, f"{subid} {seqnr}", seqnr) is True


def _keys(backend: Backend, actor_id: str, subid: str | None = None) -> list[tuple[str, int]]:
    listed = get_subscription_diff_list(backend).fetch(actor_id=actor_id, subid=subid)
    return [(entry["subscriptionid"], entry["sequence"]) for entry in listed]


class TestCreate:
    def test_diff_and_number_have_defaults(self, diff: DbSubscriptionDiffProtocol, actor_id: str) -> None:
        assert diff.create(actor_id=actor_id, subid="s") is True
        result = diff.get(actor_id, "s", 1)
        assert result is not None
        assert (result["data"], result["sequence"]) == ("", 1)

    def test_it_is_timed_by_the_call(self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str) -> None:
        before = datetime.now(UTC)
        diff.create(actor_id, "s", '{"a": 1}', 5)
        after = datetime.now(UTC)
        (entry,) = get_subscription_diff_list(backend).fetch(actor_id, "s")
        result = get_subscription_diff(backend).get(actor_id, "s", 5)
        assert result is not None
        assert before <= result["timestamp"] <= after
        assert result["timestamp"] == entry["timestamp"] == diff.handle.timestamp
        assert result["timestamp"].utcoffset() == entry["timestamp"].utcoffset() == timedelta(0)
        del result["timestamp"], entry["timestamp"]
        assert result == {"id": actor_id, "subscriptionid": "s", "data": '{"a": 1}', "sequence": 5}
        assert entry == {"id": actor_id, "subscriptionid": "s", "diff": '{"a": 1}', "sequence": 5}

    def test_diffs_created_one_after_the_other_have_different_timestamps(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s", 1))
        time.sleep(1)
        _add(backend, actor_id, ("s", 2))
        first, second = diffs.fetch(actor_id, "s")
        assert second["timestamp"] - first["timestamp"] >= timedelta(seconds=1)

    def test_a_number_that_is_taken_is_false_and_the_stored_diff_stays(
        self, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        diff.create(actor_id, "s", "first", 5)
        before = diff.get(actor_id, "s", 5)
        assert diff.create(actor_id, "s", "second", 5) is False
        assert diff.get(actor_id, "s", 5) == before
        assert diff.create(actor_id, "t", "another", 5) is True

    @pytest.mark.parametrize("seqnr", ["1", 1.5, None, True])
    def test_a_number_that_is_no_integer_is_refused(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str, seqnr: Any
    ) -> None:
        with refusal("seqnr"):
            diff.create(actor_id, "s", "diff", seqnr)
        assert _keys(backend, actor_id) == []

    @pytest.mark.parametrize("content", [5, b"x", {"a": 1}])
    def test_a_diff_that_is_not_text_is_refused(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str, content: Any
    ) -> None:
        with refusal("diff"):
            diff.create(actor_id, "s", content)
        assert _keys(backend, actor_id) == []

    @lacks(Capability.LONG_NUMBERS)
    def test_a_number_of_more_than_64_bits_is_refused(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s", 2**63 - 1))
        with refusal():
            diff.create(actor_id, "s", "diff", 2**63)
        assert diff.get(actor_id, "s", 2**63) is None
        assert _keys(backend, actor_id) == [("s", 2**63 - 1)]

    @requires(Capability.LONG_NUMBERS)
    def test_a_number_may_have_38_digits(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s", 10**38 - 1), ("s", 10**38 - 2))
        assert _keys(backend, actor_id) == [("s", 10**38 - 2), ("s", 10**38 - 1)]

    @pytest.mark.backends("dynamodb")
    def test_dynamodb_refuses_a_number_of_39_digits(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        with refusal():
            diff.create(actor_id, "s", "diff", 10**38 + 1)


class TestGet:
    def test_without_arguments_it_is_the_row_of_the_handle(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        assert diff.get() is None
        diff.create(actor_id, "s", "one", 5)
        stored = get_subscription_diff(backend)
        expected = stored.get(actor_id, "s", 5)
        stored.delete()
        assert diff.get() == expected
        assert diff.get(actor_id, "s", 5) is None
        assert diff.get() is None

    def test_without_a_number_it_is_the_lowest_diff(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s", 11), ("s", 2), ("s", 100), ("r", 1), ("t", 1))
        for lowest in (2, 11, 100):
            result = diff.get(actor_id=actor_id, subid="s")
            assert result is not None
            assert (result["subscriptionid"], result["sequence"]) == ("s", lowest)
            assert diff.handle.seqnr == lowest
            assert diff.delete() is True
        assert diff.get(actor_id=actor_id, subid="s") is None
        assert diff.handle is None

    def test_number_zero_is_a_number_like_others(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s", 1))
        assert diff.get(actor_id=actor_id, subid="s", seqnr=0) is None
        _add(backend, actor_id, ("s", 0))
        result = diff.get(actor_id=actor_id, subid="s", seqnr=0)
        assert result is not None
        assert result["sequence"] == 0

    @pytest.mark.parametrize("key", [{"actor_id": None}, {"actor_id": ""}, {"subid": None}, {"subid": ""}])
    def test_a_missing_key_is_none_and_clears_the_handle(
        self, diff: DbSubscriptionDiffProtocol, actor_id: str, key: dict[str, Any]
    ) -> None:
        diff.create(actor_id, "s")
        assert diff.get(**{"actor_id": actor_id, "subid": "s", "seqnr": 1, **key}) is None
        assert diff.handle is None

    @pytest.mark.parametrize("seqnr", ["1", 1.0, True])
    def test_a_number_that_is_no_integer_is_refused(
        self, diff: DbSubscriptionDiffProtocol, actor_id: str, seqnr: Any
    ) -> None:
        diff.create(actor_id, "s")
        with refusal("seqnr"):
            diff.get(actor_id, "s", seqnr)

    def test_the_lowest_diff_is_the_subscriptions_own_and_numbers_sort_as_numbers(
        self, backend: Backend, diff: DbSubscriptionDiffProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("s10", 1), ("s1:2", 1), ("s", 1))
        assert diff.get(actor_id=actor_id, subid="s1") is None
        _add(backend, actor_id, *(("s1", number) for number in (11, 3, 1, 10, 2, 4, 5, 9, 6, 8, 7)))
        _add(backend, actor_id, ("s1", 0))
        result = diff.get(actor_id=actor_id, subid="s1")
        assert result is not None
        assert (result["subscriptionid"], result["sequence"]) == ("s1", 0)
        diff.delete()
        assert _keys(backend, actor_id, "s1") == [("s1", number) for number in range(1, 12)]


class TestList:
    def test_fetch_remembers_actor_and_subscription(self, diffs: DbSubscriptionDiffListProtocol, actor_id: str) -> None:
        assert (diffs.actor_id, diffs.subid, diffs.diffs) == (None, None, None)
        found = diffs.fetch(actor_id=actor_id, subid="s")
        assert (diffs.actor_id, diffs.subid, diffs.diffs) == (actor_id, "s", found)
        diffs.fetch(actor_id=actor_id)
        assert (diffs.actor_id, diffs.subid) == (actor_id, None)

    def test_all_diffs_of_the_actor_are_by_number_and_subscription(self, backend: Backend, actor_id: str) -> None:
        keys = [("b", 1), ("\uffee", 1), ("🎈", 1), ("a", 2), ("a", 10), ("b", 10), ("a", 11)]
        _add(backend, actor_id, *reversed(keys))
        assert _keys(backend, actor_id) == keys

    def test_one_subscription_never_shows_another(self, backend: Backend, actor_id: str) -> None:
        keys = [("s1", 1), ("s10", 1), ("s1:1", 1), ("s1:", 1), ("s", 1), ("S1", 1)]
        _add(backend, actor_id, *keys)
        for key in keys:
            assert _keys(backend, actor_id, key[0]) == [key]

    def test_negative_numbers_come_first(self, backend: Backend, actor_id: str) -> None:
        _add(backend, actor_id, ("s", 1), ("s", -2), ("s", -10), ("s", 0))
        assert _keys(backend, actor_id, "s") == [("s", -10), ("s", -2), ("s", 0), ("s", 1)]

    @pytest.mark.parametrize("seqnr", [None, 0])
    @pytest.mark.parametrize("scope", ["s1", None])
    def test_delete_of_none_or_zero_removes_the_whole_scope(
        self,
        backend: Backend,
        diffs: DbSubscriptionDiffListProtocol,
        actor_id: str,
        seqnr: int | None,
        scope: str | None,
    ) -> None:
        _add(backend, actor_id, ("s1", 0), ("s1", 1), ("s1", 30), ("s10", 1), ("s1:1", 1))
        diffs.fetch(actor_id=actor_id, subid=scope)
        assert diffs.delete(seqnr=seqnr) is True
        assert _keys(backend, actor_id) == ([("s10", 1), ("s1:1", 1)] if scope else [])
        assert diffs.delete(seqnr=seqnr) is True

    def test_delete_of_a_number_removes_up_to_and_including_it(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, *(("s", number) for number in range(13)), ("s1", 1), ("t", 2))
        diffs.fetch(actor_id=actor_id, subid="s")
        assert diffs.delete(seqnr=9) is True
        assert _keys(backend, actor_id) == [("s1", 1), ("t", 2), ("s", 10), ("s", 11), ("s", 12)]
        assert diffs.delete(9) is True
        assert diffs.delete(seqnr=100) is True
        assert _keys(backend, actor_id, "s") == []

    def test_delete_of_a_number_over_all_subscriptions(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("a", 1), ("a", 10), ("b", 2), ("b", 3))
        diffs.fetch(actor_id=actor_id)
        assert diffs.delete(seqnr=2) is True
        assert _keys(backend, actor_id) == [("b", 3), ("a", 10)]

    def test_the_scope_is_the_last_fetch(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, ("a", 1), ("b", 1))
        diffs.fetch(actor_id=actor_id)
        diffs.fetch(actor_id=actor_id, subid="b")
        assert diffs.delete() is True
        assert _keys(backend, actor_id) == [("a", 1)]

    @pytest.mark.parametrize("seqnr", ["1", "0", "", 1.0, False, True, b"1"])
    def test_delete_of_anything_but_a_number_is_refused(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str, seqnr: Any
    ) -> None:
        _add(backend, actor_id, ("s", 1))
        diffs.fetch(actor_id, "s")
        with refusal("seqnr"):
            diffs.delete(seqnr=seqnr)
        assert _keys(backend, actor_id) == [("s", 1)]

    @pytest.mark.backends("postgresql", "dynamodb")
    @pytest.mark.parametrize("seqnr", [10**40, -(10**40)])
    def test_a_number_that_no_diff_can_have_is_refused(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str, seqnr: int
    ) -> None:
        _add(backend, actor_id, ("s", 1))
        diffs.fetch(actor_id, "s")
        with refusal("number"):
            diffs.delete(seqnr=seqnr)
        assert _keys(backend, actor_id) == [("s", 1)]

    def test_it_removes_diffs_written_after_the_fetch(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        diffs.fetch(actor_id, "s")
        _add(backend, actor_id, ("s", 1), ("s", 2))
        assert diffs.delete(seqnr=1) is True
        assert _keys(backend, actor_id) == [("s", 2)]

    def test_more_diffs_than_a_batch_holds(
        self, backend: Backend, diffs: DbSubscriptionDiffListProtocol, actor_id: str
    ) -> None:
        _add(backend, actor_id, *(("s", number) for number in range(1, 81)))
        diffs.fetch(actor_id, "s")
        assert diffs.delete(seqnr=60) is True
        assert _keys(backend, actor_id) == [("s", number) for number in range(61, 81)]
