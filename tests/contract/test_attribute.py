"""DbAttribute: set, get and delete, buckets, and what data and timestamps may be."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from actingweb.db import DbError, DbInputError, get_attribute
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbAttributeProtocol
from actingweb.db.registry import Backend

NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)
READS = ["get_attr", "get_attr_strict"]
KEY: dict[str, Any] = {"actor_id": "a", "bucket": "b", "name": "n"}
MISSING = [{part: empty} for part in KEY for empty in (None, "")]


def _get(attribute: DbAttributeProtocol, name: str = "n") -> Any:
    entry = attribute.get_attr("a", "b", name)
    return None if entry is None else entry["data"]


@pytest.mark.aio
class TestGetAndSet:
    @pytest.mark.parametrize("read", READS)
    def test_a_stored_attribute_is_read_back(self, backend: Backend, attribute: DbAttributeProtocol, read: str) -> None:
        assert attribute.set_attr(actor_id="a", bucket="b", name="n", data={"x": 1}, timestamp=NOON) is True
        found = getattr(get_attribute(backend), read)(actor_id="a", bucket="b", name="n")
        assert found == {"data": {"x": 1}, "timestamp": NOON}

    @pytest.mark.parametrize("read", READS)
    def test_an_absent_attribute_is_none(self, attribute: DbAttributeProtocol, read: str) -> None:
        attribute.set_attr("a", "b", "n", "v")
        for key in (("a", "b", "m"), ("a", "c", "n"), ("c", "b", "n")):
            assert getattr(attribute, read)(*key) is None

    def test_methods_are_static(self, backend: Backend) -> None:
        methods = backend.DbAttribute.DbAttribute
        assert methods.set_attr("a", "b", "n", 1) is True
        assert methods.get_attr("a", "b", "n") == {"data": 1, "timestamp": None}
        assert methods.get_bucket("a", "b") == {"n": {"data": 1, "timestamp": None}}
        assert methods.delete_attr("a", "b", "n") is True

    def test_there_is_no_handle(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", 1)
        assert not hasattr(attribute, "handle")

    @pytest.mark.parametrize("missing", MISSING)
    def test_missing_arguments(self, attribute: DbAttributeProtocol, missing: dict[str, Any]) -> None:
        key = KEY | missing
        attribute.set_attr(**KEY, data="v")
        assert [getattr(attribute, read)(**key) for read in READS] == [None, None]
        assert attribute.set_attr(**key, data="w") is False
        assert attribute.set_attr(**key, data=None) is False
        assert attribute.delete_attr(**key) is False
        assert attribute.delete_attr_conditional(**key) is False
        assert attribute.conditional_update_attr(**key, old_data="v", new_data="w") is False
        assert _get(attribute) == "v"

    def test_no_arguments(self, attribute: DbAttributeProtocol) -> None:
        assert [attribute.get_attr(), attribute.get_attr_strict(), attribute.get_bucket()] == [None] * 3
        writes = [attribute.set_attr, attribute.delete_attr, attribute.delete_attr_conditional]
        assert [write() for write in (*writes, attribute.conditional_update_attr, attribute.delete_bucket)] == [
            False
        ] * 5
        assert attribute.delete_by_chain() == 0

    def test_set_replaces_the_whole_row(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", {"x": 1}, timestamp=NOON, ttl_seconds=-3600)
        assert attribute.set_attr("a", "b", "n", {"y": 2}) is True
        assert attribute.get_attr("a", "b", "n") == {"data": {"y": 2}, "timestamp": None}

    @pytest.mark.parametrize("empty", [None, "", 0, False, [], {}, 0.0])
    def test_falsy_data_deletes(self, attribute: DbAttributeProtocol, empty: Any) -> None:
        attribute.set_attr("a", "b", "n", "v")
        assert attribute.set_attr("a", "b", "n", data=empty) is True
        assert attribute.get_attr("a", "b", "n") is None
        assert attribute.set_attr("a", "b", "n", data=empty) is True

    def test_delete(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", "v")
        attribute.set_attr("a", "b", "m", "v")
        assert attribute.delete_attr(actor_id="a", bucket="b", name="n") is True
        assert attribute.get_bucket("a", "b") == {"m": {"data": "v", "timestamp": None}}
        assert attribute.delete_attr(actor_id="a", bucket="b", name="n") is True

    def test_an_id_that_is_no_actor_may_have_attributes(self, attribute: DbAttributeProtocol) -> None:
        assert attribute.set_attr("_system", "tombstones", "n", True)
        assert attribute.get_attr("_system", "tombstones", "n") == {"data": True, "timestamp": None}

    def test_changing_the_returned_data_changes_nothing_stored(self, attribute: DbAttributeProtocol) -> None:
        given = {"list": [1]}
        attribute.set_attr("a", "b", "n", given)
        given["list"].append(2)
        _get(attribute)["list"].append(3)
        assert _get(attribute) == {"list": [1]}


class TestData:
    @pytest.mark.parametrize(
        "data",
        [
            "text", " ", "null", "é🎈\uffee", "\\u0000", '"', True, 1, -1, 2**53, 1.5, 1e-7,
            [None], [[], {}], [0, False, ""], {"": ""}, {"a": None}, {"a": {"b": [1, {"c": "d"}]}},
            {"e\u0301": 1, "é": 2},
        ],
        ids=repr,
    )  # fmt: skip
    def test_json_values_come_back_as_they_were(self, attribute: DbAttributeProtocol, data: Any) -> None:
        attribute.set_attr("a", "b", "n", data)
        found = _get(attribute)
        assert found == data
        assert type(found) is type(data)

    @pytest.mark.parametrize(
        ("data", "stored"),
        [
            ((1, (2, 3)), [1, [2, 3]]),
            ({2: "a", None: "b", 1.5: "c", False: "d"}, {"2": "a", "null": "b", "1.5": "c", "false": "d"}),
            ("a\ud800", "a\ufffd"),
            ({"k\ud800": ["v\udfff"]}, {"k\ufffd": ["v\ufffd"]}),
        ],
    )
    def test_values_without_a_json_form_of_their_own_are_converted(
        self, attribute: DbAttributeProtocol, data: Any, stored: Any
    ) -> None:
        attribute.set_attr("a", "b", "n", data)
        assert _get(attribute) == stored

    @pytest.mark.parametrize(
        "data",
        [
            float("nan"), float("inf"), -float("inf"), [float("nan")], b"bytes", NOON, date(2024, 1, 2), {"set"},
            Decimal(1), {"a": b"x"}, {(1, 2): 3}, {b"k": 1}, "a\x00", ["a\x00"], {"a\x00": 1}, {"a": {"b": "\x00"}},
            {1: "a", "1": "b"}, dict.fromkeys(["a\ud800", "a\udc00"], 1), [{"deep": {None: 1, "null": 2}}],
        ],
        ids=repr,
    )  # fmt: skip
    def test_data_that_is_not_json_is_refused_and_the_old_data_kept(
        self, attribute: DbAttributeProtocol, data: Any
    ) -> None:
        attribute.set_attr("a", "b", "n", "old", timestamp=NOON)
        calls: list[Callable[[], object]] = [
            lambda: attribute.set_attr("a", "b", "n", data),
            lambda: attribute.conditional_update_attr("a", "b", "n", old_data="old", new_data=data),
        ]
        for call in calls:
            with pytest.raises(DbInputError) as refusal:
                call()
            assert (refusal.value.op, refusal.value.actor_id) == ("attribute write", "a")
        assert attribute.get_attr("a", "b", "n") == {"data": "old", "timestamp": NOON}

    def test_data_that_contains_itself_is_refused(self, attribute: DbAttributeProtocol) -> None:
        data: list[Any] = []
        data.append(data)
        with pytest.raises(DbInputError):
            attribute.set_attr("a", "b", "n", data)

    @lacks(Capability.LARGE_VALUES)
    def test_an_item_over_400_kb_is_refused(self, attribute: DbAttributeProtocol) -> None:
        assert attribute.set_attr("a", "b", "n", "x" * 400_000)
        with pytest.raises(DbInputError, match=r"\d{6}"):
            attribute.set_attr("a", "b", "n", "x" * 410_000)
        assert _get(attribute) == "x" * 400_000

    @requires(Capability.LARGE_VALUES)
    def test_data_may_be_megabytes_long(self, attribute: DbAttributeProtocol) -> None:
        assert attribute.set_attr("a", "b", "n", ["x" * 1_500_000])
        assert _get(attribute) == ["x" * 1_500_000]


class TestTimestamp:
    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            (NOON, NOON),
            (datetime(2024, 1, 2, 12, 0), NOON),
            (NOON.astimezone(timezone(timedelta(hours=5))), NOON),
            ("2024-01-02T12:00:00", NOON),
            ("2024-01-02T12:00:00Z", NOON),
            ("2024-01-02T07:00:00-05:00", NOON),
            (NOON.replace(microsecond=123456), NOON.replace(microsecond=123456)),
            (None, None),
            ("", None),
        ],
    )
    def test_it_comes_back_in_utc(
        self, attribute: DbAttributeProtocol, given: datetime | str | None, stored: datetime | None
    ) -> None:
        attribute.set_attr("a", "b", "n", 1, timestamp=given)
        entry = attribute.get_attr("a", "b", "n")
        assert entry is not None
        assert entry["timestamp"] == stored
        assert stored is None or entry["timestamp"].utcoffset() == timedelta(0)

    @pytest.mark.parametrize("given", ["yesterday", "2024-13-01", 5, NOON.timestamp(), "2024-01-02\x00"])
    def test_anything_else_is_refused(self, attribute: DbAttributeProtocol, given: Any) -> None:
        attribute.set_attr("a", "b", "n", "old")
        with pytest.raises(DbInputError):
            attribute.set_attr("a", "b", "n", "new", timestamp=given)
        with pytest.raises(DbInputError):
            attribute.conditional_update_attr("a", "b", "n", "old", "new", timestamp=given)
        assert _get(attribute) == "old"


def test_a_failed_delete_raises(attribute: DbAttributeProtocol, no_tables: None) -> None:
    calls: list[Callable[[], object]] = [
        lambda: attribute.delete_attr("a", "b", "n"),
        lambda: attribute.set_attr("a", "b", "n", None),
        lambda: attribute.delete_attr_conditional("a", "b", "n"),
        lambda: attribute.delete_bucket("a", "b"),
        lambda: attribute.delete_by_chain("a", ["b"], "c"),
    ]
    for call in calls:
        with pytest.raises(DbError) as error:
            call()
        assert error.value.actor_id == "a"
