"""DbAttribute: conditional_update_attr and delete_attr_conditional."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actingweb.db import DbInputError, get_attribute
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend
from tests.support import ddb_table, race

CALLERS = 8
FALSY: list[Any] = [None, 0, False, "", [], {}]
NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)


def _swap(attribute: DbAttributeProtocol, old: Any, new: Any, **more: Any) -> bool:
    return attribute.conditional_update_attr(actor_id="a", bucket="b", name="n", old_data=old, new_data=new, **more)


def _entry(attribute: DbAttributeProtocol) -> dict[str, Any] | None:
    return attribute.get_attr("a", "b", "n")


def _data(attribute: DbAttributeProtocol) -> Any:
    entry = _entry(attribute)
    assert entry is not None
    return entry["data"]


def _assert_null(attribute: DbAttributeProtocol) -> None:
    assert _entry(attribute) == {"data": None, "timestamp": None}
    assert [_swap(attribute, other, "new") for other in FALSY[1:]] == [False] * 5
    assert _swap(attribute, None, "new") is True
    assert _data(attribute) == "new"


class TestUpdate:
    def test_it_stores_if_the_data_is_the_expected_one(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", {"x": 1})
        attribute.set_attr("a", "b", "m", {"x": 1})
        assert _swap(attribute, {"x": 1}, {"x": 2}) is True
        assert _data(attribute) == {"x": 2}
        assert attribute.get_attr("a", "b", "m") == {"data": {"x": 1}, "timestamp": None}

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({"x": 1, "y": [1, 2]}, {"y": [1, 2], "x": 1}),
            ({"x": {"a": 1, "b": 2}}, {"x": {"b": 2, "a": 1}}),
            (1, 1.0),
            (1.0, 1),
            ({"x": [1.0, 2]}, {"x": [1, 2.0]}),
            ([1, 2], (1, 2)),
            ({"1": 2}, {1: 2}),
            ("a\ufffd", "a\ud800"),
            (True, True),
            ([None, False], [None, False]),
            ("é", "é"),
            (0.1, 0.1),
            (10**15, 1e15),
        ],
        ids=repr,
    )
    def test_equal_json_values_match(self, attribute: DbAttributeProtocol, stored: Any, expected: Any) -> None:
        attribute.set_attr("a", "b", "n", stored)
        assert _swap(attribute, expected, "new") is True
        assert _data(attribute) == "new"

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({"x": 1}, {"x": 2}),
            ({"x": 1}, {"x": 1, "y": 2}),
            ({"x": 1, "y": 2}, {"x": 1}),
            ({"x": 1}, '{"x": 1}'),
            ([1, 2], [2, 1]),
            ([1], [1, 1]),
            (True, 1),
            (1, True),
            ([True], [1]),
            ({"x": 1}, {"x": True}),
            ({"x": False}, {"x": 0}),
            ({"x": None}, {}),
            ("1", 1),
            ("a", "A"),
            ("é", "e\u0301"),
            ("a", None),
            ([None], None),
            ("null", None),
            ("a", ""),
        ],
        ids=repr,
    )
    def test_other_json_values_do_not(self, attribute: DbAttributeProtocol, stored: Any, expected: Any) -> None:
        attribute.set_attr("a", "b", "n", stored)
        assert _swap(attribute, expected, "new") is False
        assert _data(attribute) == stored

    @pytest.mark.parametrize("expected", [None, 0, "", {}, "old"])
    def test_an_update_of_an_absent_row_creates_nothing(self, attribute: DbAttributeProtocol, expected: Any) -> None:
        assert _swap(attribute, expected, "new") is False
        assert _entry(attribute) is None

    @pytest.mark.parametrize("falsy", FALSY)
    def test_falsy_data_is_written_and_matched_literally(self, attribute: DbAttributeProtocol, falsy: Any) -> None:
        attribute.set_attr("a", "b", "n", "old")
        assert _swap(attribute, "old", falsy) is True
        assert _entry(attribute) == {"data": falsy, "timestamp": None}
        assert type(_data(attribute)) is type(falsy)
        others = [other for other in FALSY if type(other) is not type(falsy)]
        assert [_swap(attribute, other, "new") for other in others] == [False] * 5
        assert _swap(attribute, falsy, "new") is True

    def test_a_stored_null_is_listed(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", "old")
        _swap(attribute, "old", None)
        assert attribute.get_bucket("a", "b") == {"n": {"data": None, "timestamp": None}}
        assert attribute.delete_attr_conditional("a", "b", "n") is True

    @pytest.mark.parametrize("stored", [{}, {"data": {"NULL": True}}, {"data": {"S": "null"}}], ids=repr)
    @pytest.mark.backends("dynamodb")
    def test_every_stored_null_of_dynamodb_matches_none(
        self, attribute: DbAttributeProtocol, ddb: Any, stored: dict[str, Any]
    ) -> None:
        key = {"id": {"S": "a"}, "bucket_name": {"S": "b:n"}, "bucket": {"S": "b"}, "name": {"S": "n"}}
        ddb.put_item(TableName=ddb_table("attributes"), Item=key | stored)
        _assert_null(attribute)

    @pytest.mark.parametrize("stored", ["NULL", "'null'"])
    @pytest.mark.backends("postgresql")
    def test_every_stored_null_of_postgresql_matches_none(
        self, attribute: DbAttributeProtocol, pg: Any, stored: str
    ) -> None:
        pg.execute(f"INSERT INTO attributes (id, bucket, name, data) VALUES ('a', 'b', 'n', {stored})")
        _assert_null(attribute)

    def test_without_a_timestamp_argument_the_stored_one_is_kept(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", 1, timestamp=NOON)
        assert _swap(attribute, 1, 2)
        assert _entry(attribute) == {"data": 2, "timestamp": NOON}
        assert _swap(attribute, 2, 3, timestamp="")
        assert _entry(attribute) == {"data": 3, "timestamp": NOON}

    def test_a_timestamp_replaces_the_stored_one(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", 1, timestamp=NOON)
        assert _swap(attribute, 1, 2, timestamp="2024-01-02T15:00:00+02:00")
        assert _entry(attribute) == {"data": 2, "timestamp": NOON + timedelta(hours=1)}

    def test_expected_data_that_is_not_json_is_refused(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", "old")
        for wrong in (b"old", float("nan"), {"k": {1}}):
            with pytest.raises(DbInputError):
                _swap(attribute, wrong, "new")
        assert _data(attribute) == "old"

    def test_one_caller_wins(self, attribute: DbAttributeProtocol, backend: Backend) -> None:
        attribute.set_attr("a", "b", "n", {"old": 1})
        numbers = iter(range(CALLERS))

        def swap() -> tuple[bool, int]:
            number = next(numbers)
            return _swap(get_attribute(backend), {"old": 1}, {"new": number}), number

        winners = [number for won, number in race(CALLERS, swap) if won]
        assert len(winners) == 1
        assert _data(attribute) == {"new": winners[0]}

    def test_no_increment_is_lost(self, attribute: DbAttributeProtocol, backend: Backend) -> None:
        attribute.set_attr("a", "b", "n", {"count": 0}, timestamp=NOON)
        # A key order that the writes keep changing must not matter.
        _swap(attribute, {"count": 0}, {"a": 1, "count": 0, "z": 2})

        def increment() -> None:
            swapped = False
            while not swapped:
                old = _data(get_attribute(backend))
                new = {"z": 2, "count": old["count"] + 1, "a": 1}
                swapped = _swap(get_attribute(backend), old, new)

        race(CALLERS, increment)
        assert _entry(attribute) == {"data": {"a": 1, "count": CALLERS, "z": 2}, "timestamp": NOON}


class TestDelete:
    def test_it_is_true_only_if_it_removed_the_row(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", "v")
        attribute.set_attr("a", "b", "m", "v")
        assert attribute.delete_attr_conditional(actor_id="a", bucket="b", name="n") is True
        assert attribute.delete_attr_conditional(actor_id="a", bucket="b", name="n") is False
        assert attribute.get_bucket("a", "b") == {"m": {"data": "v", "timestamp": None}}

    def test_of_eight_concurrent_callers_one_wins(self, attribute: DbAttributeProtocol, backend: Backend) -> None:
        attribute.set_attr("a", "b", "n", "v")
        answers = race(CALLERS, lambda: get_attribute(backend).delete_attr_conditional("a", "b", "n"))
        assert sorted(answers) == [False] * (CALLERS - 1) + [True]
        assert _entry(attribute) is None

    def test_of_a_concurrent_delete_and_swap_one_is_false(
        self, attribute: DbAttributeProtocol, backend: Backend
    ) -> None:
        """A swap that lost brings nothing back to life."""
        attribute.set_attr("a", "b", "n", "v")
        numbers = iter(range(CALLERS))

        def act() -> tuple[str, bool]:
            if next(numbers) % 2:
                return "delete", get_attribute(backend).delete_attr_conditional("a", "b", "n")
            return "swap", _swap(get_attribute(backend), "v", "w")

        answers = race(CALLERS, act)
        assert answers.count(("delete", True)) == 1
        assert answers.count(("swap", True)) <= 1
        assert _entry(attribute) is None
