"""DbAttribute and DbAttributeBucketList: reads and deletes of many rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from actingweb.db import DbError, DbInputError, get_attribute_bucket_list
from actingweb.db.protocols import DbAttributeBucketListProtocol, DbAttributeProtocol
from actingweb.db.registry import Backend
from tests.support import ddb_table

NOON = datetime(2024, 1, 2, 12, 0, tzinfo=UTC)
EXPIRED = -3600
# In the order of their UTF-8 bytes.
TEXTS = ["%", "A", "_", "a", "a-", "a:b", "aa", "é", "\uffee", "🎈"]


@pytest.fixture
def buckets(backend: Backend) -> DbAttributeBucketListProtocol:
    return get_attribute_bucket_list(backend)


def _names(attribute: DbAttributeProtocol, bucket: str, actor_id: str = "a") -> list[str]:
    found = attribute.get_bucket(actor_id, bucket)
    assert found is not None
    return list(found)


class TestBucket:
    def test_names_come_in_byte_order(self, attribute: DbAttributeProtocol) -> None:
        for name in TEXTS[::-1]:
            attribute.set_attr("a", "b", name, [name], timestamp=NOON)
        found = attribute.get_bucket(actor_id="a", bucket="b")
        assert found is not None
        assert list(found.items()) == [(name, {"data": [name], "timestamp": NOON}) for name in TEXTS]

    def test_an_empty_bucket_is_an_empty_dict(self, attribute: DbAttributeProtocol) -> None:
        assert attribute.get_bucket("a", "b") == {}

    @pytest.mark.parametrize("key", [(None, "b"), ("", "b"), ("a", None), ("a", "")])
    def test_missing_arguments(self, attribute: DbAttributeProtocol, key: tuple[str | None, str | None]) -> None:
        assert attribute.get_bucket(*key) is None
        assert attribute.delete_bucket(*key) is False

    @pytest.mark.parametrize("key", [("a\x00", "b"), ("a", "b\x00"), ("a" * 5000, "b"), ("a", "b" * 5000)])
    def test_a_bucket_that_cannot_exist_has_no_attributes(
        self, attribute: DbAttributeProtocol, key: tuple[str, str]
    ) -> None:
        assert attribute.get_bucket(*key) == {}
        assert attribute.delete_bucket(*key) is True

    def test_a_bucket_never_shows_or_deletes_another(self, attribute: DbAttributeProtocol) -> None:
        others = ["foobar", "foo:x", "fo", "foo%", "fo_", "Foo", "foo:"]
        for bucket in ["foo", *others]:
            attribute.set_attr("a", bucket, "n", bucket)
        attribute.set_attr("other", "foo", "n", "another's")
        assert attribute.get_bucket("a", "foo") == {"n": {"data": "foo", "timestamp": None}}
        assert attribute.get_bucket("a", "fo_") == {"n": {"data": "fo_", "timestamp": None}}
        assert attribute.delete_bucket(actor_id="a", bucket="foo") is True
        assert attribute.get_bucket("a", "foo") == {}
        assert [_names(attribute, bucket) for bucket in others] == [["n"]] * len(others)
        assert _names(attribute, "foo", "other") == ["n"]

    def test_delete_takes_expired_rows_and_can_be_repeated(self, attribute: DbAttributeProtocol) -> None:
        for number in range(60):
            attribute.set_attr("a", "b", f"n{number}", number + 1, ttl_seconds=EXPIRED if number % 2 else None)
        assert attribute.delete_bucket("a", "b") is True
        assert attribute.get_bucket("a", "b") == {}
        assert attribute.delete_bucket("a", "b") is True

    def test_every_page_is_read_and_deleted(
        self, attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol
    ) -> None:
        """Five rows of 390,000 characters fill several DynamoDB pages of 1 MB."""
        entries = {f"n{number}": {"data": str(number) * 390_000, "timestamp": None} for number in range(5)}
        for name, entry in entries.items():
            attribute.set_attr("a", "b", name, entry["data"])
        assert attribute.get_bucket("a", "b") == entries
        assert buckets.fetch("a") == {"b": entries}
        assert attribute.delete_bucket("a", "b") is True
        assert attribute.get_bucket("a", "b") == {}


class TestBucketList:
    def test_buckets_and_names_come_in_byte_order(
        self, attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol
    ) -> None:
        # Pairs that compose alike cannot coexist on DynamoDB.
        names = [name for name in TEXTS if ":" not in name]
        for bucket in TEXTS[::-1]:
            for name in names[::-3]:
                attribute.set_attr("a", bucket, name, [bucket, name], timestamp=NOON)
        attribute.set_attr("other", "b", "n", "another's")
        found = buckets.fetch(actor_id="a")
        assert found is not None
        assert list(found) == TEXTS
        for bucket, entries in found.items():
            expected = sorted(names[::-3], key=str.encode)
            assert list(entries.items()) == [(name, {"data": [bucket, name], "timestamp": NOON}) for name in expected]

    def test_nothing_stored(self, buckets: DbAttributeBucketListProtocol) -> None:
        assert buckets.fetch("a") == {}
        assert buckets.fetch_timestamps("a") == {}
        assert buckets.delete("a") is True

    @pytest.mark.parametrize("missing", [None, ""])
    def test_missing_arguments(self, buckets: DbAttributeBucketListProtocol, missing: str | None) -> None:
        assert buckets.fetch(actor_id=missing) is None
        assert buckets.fetch_timestamps(actor_id=missing) is None
        assert buckets.delete(actor_id=missing) is False
        assert [buckets.fetch(), buckets.fetch_timestamps(), buckets.delete()] == [None, None, False]

    @pytest.mark.parametrize("actor_id", ["a\x00", "a" * 5000])
    def test_an_actor_that_cannot_exist_has_no_attributes(
        self, buckets: DbAttributeBucketListProtocol, actor_id: str
    ) -> None:
        assert buckets.fetch(actor_id) == {}
        assert buckets.fetch_timestamps(actor_id) == {}
        assert buckets.delete(actor_id) is True

    def test_methods_are_static(self, backend: Backend, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", 1)
        methods = backend.DbAttribute.DbAttributeBucketList
        assert methods.fetch("a") == {"b": {"n": {"data": 1, "timestamp": None}}}
        assert methods.fetch_timestamps("a") == {"b": None}
        assert methods.delete("a") is True

    def test_the_timestamp_of_a_bucket_is_the_latest_of_its_rows(
        self, attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol
    ) -> None:
        for name, hour in [("a", 10), ("b", 12), ("c", 11)]:
            attribute.set_attr("a", "several", name, 1, timestamp=NOON.replace(hour=hour))
        attribute.set_attr("a", "several", "d", 1)
        attribute.set_attr("a", "none", "n", 1)
        attribute.set_attr("a", "expired", "n", 1, timestamp=NOON, ttl_seconds=EXPIRED)
        attribute.set_attr("a", "several", "e", 1, timestamp=NOON.replace(hour=13), ttl_seconds=EXPIRED)
        found = buckets.fetch_timestamps(actor_id="a")
        assert found is not None
        assert list(found.items()) == [("none", None), ("several", NOON)]

    def test_timestamps_come_in_byte_order(
        self, attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol
    ) -> None:
        for bucket in TEXTS[::-1]:
            attribute.set_attr("a", bucket, "n", 1)
        assert list(buckets.fetch_timestamps("a") or {}) == TEXTS

    def test_delete_removes_all_rows_of_the_actor_and_no_others(
        self, attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol
    ) -> None:
        buckets.fetch("a")
        for number in range(60):
            attribute.set_attr("a", f"b{number % 3}", f"n{number}", "v", ttl_seconds=EXPIRED if number % 2 else None)
        attribute.set_attr("aa", "b0", "n", "another's")
        assert buckets.delete(actor_id="a") is True
        assert buckets.fetch("a") == {}
        assert buckets.fetch("aa") == {"b0": {"n": {"data": "another's", "timestamp": None}}}
        assert buckets.delete(actor_id="a") is True


@pytest.fixture
def chain(attribute: DbAttributeProtocol) -> DbAttributeProtocol:
    """Store rows in and beside the chain "c1"."""
    rows: dict[str, dict[str, Any]] = {
        "tokens": {
            "t1": {"chain_id": "c1", "x": 1}, "t2": {"chain_id": "c2"}, "t3": {"x": "c1"}, "t4": ["chain_id", "c1"],
        },
        "codes": {
            "k1": {"chain_id": "c1"}, "k2": {"chain_id": {"chain_id": "c1"}}, "k3": "c1",
            "k4": {"deep": {"chain_id": "c1"}},
        },
        "tokens2": {"t1": {"chain_id": "c1"}},
        "tokens:x": {"t1": {"chain_id": "c1"}},
    }  # fmt: skip
    for bucket, entries in rows.items():
        for name, data in entries.items():
            attribute.set_attr("a", bucket, name, data)
    attribute.set_attr("other", "tokens", "t1", {"chain_id": "c1"})
    return attribute


class TestDeleteByChain:
    def test_the_rows_of_these_buckets_are_deleted_and_counted(self, chain: DbAttributeProtocol) -> None:
        assert chain.delete_by_chain(actor_id="a", buckets=["tokens", "codes", "tokens"], chain_id="c1") == 2
        assert _names(chain, "tokens") == ["t2", "t3", "t4"]
        assert _names(chain, "codes") == ["k2", "k3", "k4"]
        assert (_names(chain, "tokens2"), _names(chain, "tokens:x")) == (["t1"], ["t1"])
        assert _names(chain, "tokens", "other") == ["t1"]
        assert chain.delete_by_chain("a", ["tokens", "codes"], "c1") == 0

    def test_a_plain_text_is_one_bucket(self, chain: DbAttributeProtocol) -> None:
        assert chain.delete_by_chain("a", "tokens", "c1") == 1
        assert _names(chain, "codes") == ["k1", "k2", "k3", "k4"]

    @pytest.mark.parametrize(
        "missing",
        [
            {"actor_id": None}, {"actor_id": ""}, {"buckets": None}, {"buckets": []}, {"buckets": ""},
            {"buckets": [""]}, {"chain_id": None}, {"chain_id": ""},
        ],
    )  # fmt: skip
    def test_missing_arguments_count_nothing(self, chain: DbAttributeProtocol, missing: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {"actor_id": "a", "buckets": ["tokens"], "chain_id": "c1"}
        assert chain.delete_by_chain(**(arguments | missing)) == 0
        assert len(_names(chain, "tokens")) == 4

    @pytest.mark.parametrize("defer_name", ["t1", "absent", "", None])
    def test_the_deferred_row_is_deleted_too(self, chain: DbAttributeProtocol, defer_name: str | None) -> None:
        chain.set_attr("a", "tokens", "t0", {"chain_id": "c1"})
        assert chain.delete_by_chain("a", ["tokens"], "c1", defer_name=defer_name) == 2
        assert _names(chain, "tokens") == ["t2", "t3", "t4"]

    def test_a_deferred_row_of_another_chain_is_kept(self, chain: DbAttributeProtocol) -> None:
        assert chain.delete_by_chain("a", ["tokens"], "c1", defer_name="t2") == 1
        assert _names(chain, "tokens") == ["t2", "t3", "t4"]

    @pytest.mark.parametrize(
        ("chain_id", "others"),
        [
            (1, [True, "1", [1]]),
            (0, [False, "0", None, ""]),
            (False, [0, None, "false"]),
            (["a", {"x": 1}], ["a", [{"x": 1}, "a"]]),
            ("é", ["e\u0301", "É"]),
            ("100%", ["100", "100%%", "1000"]),
        ],
        ids=repr,
    )
    def test_chain_ids_are_compared_as_json_values(
        self, attribute: DbAttributeProtocol, chain_id: Any, others: list[Any]
    ) -> None:
        attribute.set_attr("a", "b", "n", {"chain_id": chain_id})
        for number, other in enumerate(others):
            attribute.set_attr("a", "b", f"other{number}", {"chain_id": other})
        assert attribute.delete_by_chain("a", ["b"], chain_id) == 1
        assert _names(attribute, "b") == [f"other{number}" for number in range(len(others))]

    @pytest.mark.parametrize(
        ("stored", "given"), [(1, 1.0), (1.0, 1), ({"x": 1, "y": 2}, {"y": 2.0, "x": 1}), ([1], (1,))]
    )
    def test_equal_json_values_are_one_chain(self, attribute: DbAttributeProtocol, stored: Any, given: Any) -> None:
        attribute.set_attr("a", "b", "n", {"chain_id": stored})
        assert attribute.delete_by_chain("a", ["b"], given) == 1

    def test_expired_rows_are_deleted_and_counted(self, attribute: DbAttributeProtocol) -> None:
        attribute.set_attr("a", "b", "n", {"chain_id": "c"}, ttl_seconds=EXPIRED)
        assert attribute.delete_by_chain("a", ["b"], "c") == 1

    def test_a_hundred_rows_are_deleted(self, attribute: DbAttributeProtocol) -> None:
        for number in range(100):
            attribute.set_attr("a", "b", f"n{number}", {"chain_id": "c"})
        attribute.set_attr("a", "b", "other", {"chain_id": "d"})
        assert attribute.delete_by_chain("a", ["b"], "c", defer_name="n50") == 100
        assert _names(attribute, "b") == ["other"]

    def test_a_chain_under_keys_that_cannot_exist_is_empty(self, chain: DbAttributeProtocol) -> None:
        assert chain.delete_by_chain("a\x00", ["tokens"], "c1") == 0
        assert chain.delete_by_chain("a", ["tokens\x00", "b" * 5000, "codes"], "c1") == 1
        assert chain.delete_by_chain("a", ["tokens"], "c1", defer_name="t1\x00") == 1

    @pytest.mark.parametrize(
        "wrong", [{"buckets": 5}, {"buckets": [5]}, {"chain_id": b"c1"}, {"actor_id": 5}, {"defer_name": 5}]
    )
    def test_what_is_of_a_wrong_type_is_refused(self, chain: DbAttributeProtocol, wrong: dict[str, Any]) -> None:
        arguments: dict[str, Any] = {"actor_id": "a", "buckets": ["tokens"], "chain_id": "c1"}
        with pytest.raises(DbInputError) as refusal:
            chain.delete_by_chain(**(arguments | wrong))
        assert refusal.value.op == "attribute delete"
        with pytest.raises(DbInputError):
            # Also where no row can have the key, as on PostgreSQL.
            chain.delete_by_chain(**(arguments | {"buckets": "\x00"} | wrong))
        assert len(_names(chain, "tokens")) == 4

    @pytest.mark.backends("dynamodb")
    def test_dynamodb_warns_of_long_scans(
        self, backend: Backend, attribute: DbAttributeProtocol, ddb: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        limit = backend.DbAttribute.CHAIN_SCAN_WARN_ROWS
        assert limit == 1000
        _fill(ddb, "short", limit)
        _fill(ddb, "long", limit + 1)
        assert attribute.delete_by_chain("a", ["short", "long"], "absent") == 0
        [record] = caplog.records
        assert (record.levelname, record.name) == ("WARNING", "actingweb.db.dynamodb.attribute")


def _fill(ddb: Any, bucket: str, count: int) -> None:
    items = [
        {"id": {"S": "a"}, "bucket_name": {"S": f"{bucket}:n{number}"}, "bucket": {"S": bucket},
         "name": {"S": f"n{number}"}, "data": {"S": "1"}}
        for number in range(count)
    ]  # fmt: skip
    for start in range(0, count, 25):
        puts = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        ddb.batch_write_item(RequestItems={ddb_table("attributes"): puts})


def test_a_fault_raises_and_does_not_read_as_empty(
    attribute: DbAttributeProtocol, buckets: DbAttributeBucketListProtocol, no_tables: None
) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("attribute read", lambda: attribute.get_attr("a", "b", "n")),
        ("attribute read", lambda: attribute.get_attr_strict("a", "b", "n")),
        ("attribute list", lambda: attribute.get_bucket("a", "b")),
        ("attribute list", lambda: buckets.fetch("a")),
        ("attribute list", lambda: buckets.fetch_timestamps("a")),
        ("attribute delete", lambda: buckets.delete("a")),
        ("attribute write", lambda: attribute.set_attr("a", "b", "n", "v")),
        ("attribute write", lambda: attribute.conditional_update_attr("a", "b", "n", "v", "w")),
    ]
    for op, call in calls:
        with pytest.raises(DbError) as error:
            call()
        assert (error.value.op, error.value.actor_id) == (op, "a")
