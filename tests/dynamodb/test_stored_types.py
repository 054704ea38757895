"""An item whose attribute has another type is decoded or named: it is never absent, empty, 0 or False."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pynamodb.exceptions import AttributeDeserializationError

from actingweb.db import (
    DbError,
    get_attribute,
    get_attribute_bucket_list,
    get_peer_trustee,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_subscription_list,
    get_subscription_suspension,
    get_trust,
)
from actingweb.db.dynamodb import DbPropertyLookup, Subscription
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.mapping import MAPPINGS
from tests.conftest import SetEnv
from tests.dynamodb.conftest import Table
from tests.dynamodb.foreign import CASES, ODD, SAMPLES, Item, create_tables
from tests.support import race

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.backends("dynamodb")

Tables = Callable[[str], Table]
Answer = Callable[[], object]
FAR = "9999999999"
PAST = "1000000000"


@pytest.fixture
def free(aside: str, ddb: DynamoDBClient, set_env: SetEnv) -> None:
    """Use tables without indexes, which hold any type."""
    create_tables(ddb, aside)
    set_env(AWS_DB_AUTO_CREATE_TABLES="0")


def named(column: str, sample: str) -> pytest.RaisesExc[DbError]:
    """Expect an error that names the attribute and its type."""
    return pytest.raises(DbError, match=rf"the stored attribute {column} (has|holds) type {sample}\b")


def answers(backend: Backend, table: str, actor_id: str) -> dict[str, Any]:
    return {name: read(backend, actor_id) for name, read in ODD[table].reads.items()}


class TestEveryColumn:
    def test_of_every_record(self, backend: Backend, table: Tables, free: None) -> None:
        for number, (name, column, sample) in enumerate(CASES):
            odd = ODD[name]
            # Some calls show all actors, so each case has to replace the one before.
            actor_id = "a" if name == "actors" else str(number)
            of_layout = odd.of_layout(actor_id, column, sample)
            expected = None
            if of_layout is not None:
                table(name).put(**of_layout)
                expected = answers(backend, name, actor_id)
            table(name).put(**odd.stored(actor_id, column, sample))
            if expected is not None:
                assert answers(backend, name, actor_id) == expected, (name, column, sample)
                continue
            for read in odd.reads.values():
                with named(column, sample):
                    read(backend, actor_id)

    @pytest.mark.parametrize("name", ODD)
    def test_no_column_is_left_out(self, backend: Backend, name: str) -> None:
        (layout,) = (mapping.layout for mapping in MAPPINGS if mapping.layout.suffix == name)
        assert set(ODD[name].columns) == set(layout.record.fields) - set(layout.key_names)

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({"N": "1"}, True),
            ({"N": "0"}, False),
            ({"S": " True "}, True),
            ({"S": "FALSE"}, False),
            ({"S": "0"}, False),
            ({"S": "yes"}, None),
            ({"N": "2"}, None),
            ({"S": ""}, None),
            ({"S": "maybe"}, None),
        ],
    )
    def test_a_flag(self, backend: Backend, table: Tables, stored: Item, expected: bool | None) -> None:
        table("trusts").put(id={"S": "a"}, peerid={"S": "p"}, approved=stored)
        if expected is None:
            with named("approved", next(iter(stored))):
                get_trust(backend).get("a", "p")
        else:
            assert (get_trust(backend).get("a", "p") or {})["approved"] is expected

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({"N": "7.0"}, 7),
            ({"N": "7E2"}, 700),
            ({"S": "7.0"}, 7),
            ({"S": " +7e0 "}, 7),
            ({"S": "-3"}, -3),
            ({"S": "9" * 38}, int("9" * 38)),
            ({"N": "7.5"}, None),
            ({"S": "7.5"}, None),
            ({"S": ""}, None),
            ({"S": "seven"}, None),
            ({"S": "1_000"}, None),
            ({"S": "٧"}, None),
            ({"S": "NaN"}, None),
            ({"S": "1e999999999"}, None),
            ({"S": "0x7"}, None),
        ],
    )
    def test_a_number(self, backend: Backend, table: Tables, stored: Item, expected: int | None) -> None:
        table("subscriptions").put(**subscription(seqnr=stored))
        if expected is None:
            with named("seqnr", next(iter(stored))):
                get_subscription(backend).get("a", "p", "s")
        else:
            assert (get_subscription(backend).get("a", "p", "s") or {})["sequence"] == expected

    @pytest.mark.parametrize(
        ("stored", "expected"),
        [
            ({"M": {"a": {"M": {}}, "b": {"L": []}}}, {"a": {}, "b": []}),
            ({"L": [{"N": "0.1"}, {"N": "-1.5"}, {"N": "1E+20"}]}, [0.1, -1.5, 10**20]),
            ({"N": "12345678901234567890123456789012345678"}, 12345678901234567890123456789012345678),
            ({"BOOL": False}, False),
            ({"M": {"S": {"S": "x"}}}, {"S": "x"}),
            ({"S": '{"S": "x"}'}, {"S": "x"}),
        ],
    )
    def test_native_data(self, backend: Backend, table: Tables, stored: Item, expected: object) -> None:
        table("attributes").put(**attribute(data=stored))
        found = get_attribute(backend).get_attr("a", "b", "n")
        assert found is not None
        assert (found["data"], type(found["data"])) == (expected, type(expected))

    @pytest.mark.parametrize(
        ("stored", "reason"),
        [
            ({"M": {"a": {"L": [{"SS": ["secret"]}]}}}, "attribute data holds type SS, which is not a JSON value"),
            ({"L": [{"B": b"secret"}]}, "attribute data holds type B, which is not a JSON value"),
            ({"N": "3.14159265358979323846264338327950288"}, "attribute data holds a number with more digits"),
            ({"S": "secret"}, "attribute data has type S, but its content is not a JSON value"),
        ],
    )
    def test_data_that_is_no_json(self, backend: Backend, table: Tables, stored: Item, reason: str) -> None:
        table("attributes").put(**attribute(data=stored))
        with pytest.raises(DbError, match=reason) as caught:
            get_attribute(backend).get_attr("a", "b", "n")
        assert "secret" not in str(caught.value)
        assert "3.14" not in str(caught.value)

    @pytest.mark.parametrize("text", ["1711010201159", "0001-01-01T00:00:00+01:00"])
    def test_digits_and_the_beginning_of_all_times_are_no_time(
        self, backend: Backend, table: Tables, text: str
    ) -> None:
        table("attributes").put(**attribute(timestamp={"S": text}))
        with named("timestamp", "S"):
            get_attribute(backend).get_attr("a", "b", "n")


def subscription(**columns: Any) -> Item:
    item: Item = {"id": {"S": "a"}, "peer_sub_id": {"S": "p:s"}, "peerid": {"S": "p"}, "subid": {"S": "s"}}
    return item | columns


def attribute(**columns: Any) -> Item:
    item: Item = {"id": {"S": "a"}, "bucket_name": {"S": "b:n"}, "bucket": {"S": "b"}, "name": {"S": "n"}}
    return item | {"data": {"S": "1"}} | columns


class TestKeyParts:
    """The parts of a composed key, of another type or missing."""

    @pytest.mark.parametrize("sample", [name for name in SAMPLES if name != "S"] + [None])
    def test_no_call_takes_the_row_for_absent(self, backend: Backend, table: Tables, sample: str | None) -> None:
        suspensions = get_subscription_suspension(backend, "a")
        loaded = get_subscription(backend)
        loaded.create("a", "7", "7")
        diff = get_subscription_diff(backend)
        diff.create("a", "7", "d", 7)
        part = {} if sample is None else SAMPLES[sample]
        expected = "has no attribute" if sample is None else f"type {sample}"
        items: dict[str, Item] = {}
        for name, column in PARTS.items():
            item = ODD[name].stored("a", column, sample or "S") | ({column: part} if part else {})
            if not part:
                del item[column]
            table(name).put(**item)
            items[name] = table(name).only()
        attributes = get_attribute(backend)
        diffs = get_subscription_diff_list(backend)
        calls: dict[str, Answer] = {
            f"{name} {read}": lambda call=call: call(backend, "a")  # type: ignore[misc]
            for name in PARTS
            for read, call in ODD[name].reads.items()
        }
        calls |= {
            "subscription create": lambda: get_subscription(backend).create("a", "7", "7"),
            "subscription modify": lambda: loaded.modify(target="x"),
            "subscription increment": lambda: loaded.increment_seqnr(),
            "subscription delete": lambda: loaded.delete(),
            "diff create": lambda: get_subscription_diff(backend).create("a", "7", "x", 7),
            "diff delete": lambda: diff.delete(),
            "is suspended": lambda: suspensions.is_suspended("7", "7"),
            "suspend": lambda: suspensions.suspend("7", "7"),
            "resume": lambda: suspensions.resume("7", "7"),
            "set": lambda: attributes.set_attr("a", "7", "7", "x"),
            "delete attribute": lambda: attributes.delete_attr("a", "7", "7"),
            "swap": lambda: attributes.conditional_update_attr("a", "7", "7", "d", "x"),
            "delete live": lambda: attributes.delete_attr_conditional("a", "7", "7"),
            "delete bucket": lambda: attributes.delete_bucket("a", "7"),
            "chain": lambda: attributes.delete_by_chain("a", ["7"], "x"),
            "timestamps": lambda: get_attribute_bucket_list(backend).fetch_timestamps("a"),
        }
        for name, call in calls.items():
            with pytest.raises(DbError, match=expected):
                raise AssertionError((name, call()))
        diffs.actor_id, diffs.subid = "a", "7"
        with pytest.raises(DbError, match=expected):
            diffs.delete(7)
        assert {name: table(name).only() for name in PARTS} == items

    def test_a_part_that_is_not_in_the_condition(self, backend: Backend, table: Tables) -> None:
        item = attribute()
        del item["name"]
        table("attributes").put(**item)
        with pytest.raises(DbError, match="the stored item has no attribute name"):
            get_attribute(backend).get_bucket("a", "b")

    def test_whole_wipes_need_no_parts(self, backend: Backend, table: Tables) -> None:
        for name, column in PARTS.items():
            table(name).put(**ODD[name].stored("a", column, "N"))
        get_attribute_bucket_list(backend).delete("a")
        get_subscription_suspension(backend, "a").delete_all()
        subscriptions, diffs = get_subscription_list(backend), get_subscription_diff_list(backend)
        subscriptions.actor_id = diffs.actor_id = "a"
        assert subscriptions.delete()
        assert diffs.delete()
        assert [item for name in PARTS for item in table(name).items()] == []

    def test_a_subtarget(self, backend: Backend, table: Tables) -> None:
        item = {"id": {"S": "a"}, "target_key": {"S": "t"}, "target": {"S": "t"}}
        suspensions = get_subscription_suspension(backend, "a")
        table("subscription_suspensions").put(**item, subtarget={"NULL": True})
        assert suspensions.get_all_suspended() == [("t", None)]
        table("subscription_suspensions").put(**item, subtarget={"N": "1"})
        assert suspensions.is_suspended("t") is True
        with named("subtarget", "N"):
            suspensions.get_all_suspended()


PARTS = {
    "attributes": "bucket",
    "subscriptions": "peerid",
    "subscriptiondiffs": "subid",
    "subscription_suspensions": "target",
}


class TestIncrement:
    @pytest.mark.parametrize("stored", [{"S": "7"}, {"S": "7.0"}, {"N": "7.0"}])
    def test_is_atomic(self, backend: Backend, table: Tables, stored: Item) -> None:
        table("subscriptions").put(**subscription(seqnr=stored))

        def increment() -> int | None:
            one = get_subscription(backend)
            one.get("a", "p", "s")
            return one.increment_seqnr()

        assert sorted(number or 0 for number in race(20, increment)) == list(range(8, 28))
        assert table("subscriptions").only()["seqnr"] == {"N": "27"}

    def test_by_another_number(self, backend: Backend, table: Tables) -> None:
        table("subscriptions").put(**subscription(seqnr={"S": "7"}, callback={"S": "true"}))
        one = get_subscription(backend)
        one.get("a", "p", "s")
        assert one.increment_seqnr(-3) == 4
        assert one.handle is not None
        assert (one.handle.seqnr, one.handle.callback) == (4, True)

    @pytest.mark.parametrize("sample", [name for name in SAMPLES if name not in ("S", "N")])
    def test_of_what_is_no_number(self, backend: Backend, table: Tables, sample: str) -> None:
        one = get_subscription(backend)
        one.create("a", "p", "s", seqnr=7)
        table("subscriptions").put(**subscription(seqnr=SAMPLES[sample]))
        stored = table("subscriptions").only()
        with named("seqnr", sample):
            one.increment_seqnr()
        assert table("subscriptions").only() == stored

    def test_of_no_number_at_all(self, backend: Backend, table: Tables) -> None:
        table("subscriptions").put(**subscription())
        one = get_subscription(backend)
        one.get("a", "p", "s")
        assert one.increment_seqnr() == 1


class TestSwap:
    @pytest.mark.parametrize(
        ("stored", "old"),
        [
            (SAMPLES["M"], {"b": [None], "a": 1}),
            (SAMPLES["L"], ["x", False]),
            (SAMPLES["N"], 7.0),
            (SAMPLES["BOOL"], True),
            (SAMPLES["NULL"], None),
        ],
    )
    def test_of_native_data_has_one_winner(self, backend: Backend, table: Tables, stored: Item, old: object) -> None:
        table("attributes").put(**attribute(data=stored, ttl_timestamp={"S": FAR}))
        swap = get_attribute(backend).conditional_update_attr
        assert swap("a", "b", "n", [old], "x") is False
        assert swap("a", "b", "n", "", "x") is False
        assert sorted(race(8, lambda: swap("a", "b", "n", old, {"won": True}))) == [False] * 7 + [True]
        assert table("attributes").only() == attribute(data={"S": '{"won": true}'}, ttl_timestamp={"S": FAR})

    @pytest.mark.parametrize("sample", ["B", "SS", "NS", "BS"])
    @pytest.mark.parametrize("old", [None, 0, "", [], False, "7"])
    def test_of_what_is_no_json(self, backend: Backend, table: Tables, sample: str, old: object) -> None:
        table("attributes").put(**attribute(data=SAMPLES[sample]))
        stored = table("attributes").only()
        with named("data", sample):
            get_attribute(backend).conditional_update_attr("a", "b", "n", old, "x")
        assert table("attributes").only() == stored

    def test_none_is_not_what_another_type_says(self, backend: Backend, table: Tables) -> None:
        for sample in ("M", "L", "N", "BOOL"):
            table("attributes").put(**attribute(data=SAMPLES[sample]))
            assert get_attribute(backend).conditional_update_attr("a", "b", "n", None, "x") is False
            assert table("attributes").only()["data"] == SAMPLES[sample]


class TestTimeToLive:
    @pytest.mark.parametrize("stored", [{"S": FAR}, {"S": f"{FAR}.0"}, {"NULL": True}])
    def test_a_live_row(self, backend: Backend, table: Tables, stored: Item) -> None:
        attributes = get_attribute(backend)
        table("attributes").put(**attribute(ttl_timestamp=stored))
        assert attributes.get_attr("a", "b", "n") == {"data": 1, "timestamp": None}
        assert attributes.get_bucket("a", "b") == {"n": {"data": 1, "timestamp": None}}
        assert get_attribute_bucket_list(backend).fetch_timestamps("a") == {"b": None}
        assert attributes.conditional_update_attr("a", "b", "n", 2, "x") is False
        assert attributes.conditional_update_attr("a", "b", "n", 1.0, "x") is True
        assert table("attributes").only()["ttl_timestamp"] == stored
        deletes = race(8, lambda: attributes.delete_attr_conditional("a", "b", "n"))
        assert sorted(deletes) == [False] * 7 + [True]

    @pytest.mark.parametrize("stored", [{"S": PAST}, {"S": "0"}, {"S": "-1"}])
    def test_an_expired_row(self, backend: Backend, table: Tables, stored: Item) -> None:
        attributes = get_attribute(backend)
        item = attribute(ttl_timestamp=stored)
        table("attributes").put(**item)
        assert attributes.get_attr("a", "b", "n") is None
        assert attributes.get_bucket("a", "b") == {}
        assert get_attribute_bucket_list(backend).fetch("a") == {}
        assert get_attribute_bucket_list(backend).fetch_timestamps("a") == {}
        assert attributes.conditional_update_attr("a", "b", "n", 1, "x") is False
        assert attributes.delete_attr_conditional("a", "b", "n") is False
        assert table("attributes").only() == item

    @pytest.mark.parametrize("sample", ["B", "BOOL", "M", "L", "SS", "NS", "BS"])
    def test_what_is_no_number(self, backend: Backend, table: Tables, sample: str) -> None:
        attributes = get_attribute(backend)
        table("attributes").put(**attribute(ttl_timestamp=SAMPLES[sample]))
        stored = table("attributes").only()
        for call in (
            lambda: attributes.conditional_update_attr("a", "b", "n", 1, "x"),
            lambda: attributes.delete_attr_conditional("a", "b", "n"),
            lambda: get_attribute_bucket_list(backend).fetch_timestamps("a"),
        ):
            with named("ttl_timestamp", sample):
                call()
        assert table("attributes").only() == stored


OTHER_VALUES = [name for name in SAMPLES if name != "S"]


class TestPropertyValue:
    @pytest.mark.parametrize("name", ["plain", "email"])
    @pytest.mark.parametrize("sample", OTHER_VALUES)
    def test_no_conditional_call_compares_it(self, backend: Backend, table: Tables, name: str, sample: str) -> None:
        prop = get_property(backend)
        table("properties").put(id={"S": "a"}, name={"S": name}, value=SAMPLES[sample])
        stored = table("properties").only()
        for expected in ("7", "", "x"):
            with named("value", sample):
                prop.set_if_value_equals("a", name, expected, "new")
            with named("value", sample):
                prop.delete_if_value_equals("a", name, expected)
        assert prop.create_if_not_exists("a", name, "new") is False
        assert prop.get_range("a", "a", "z", keys_only=True) == {name: ""}
        assert prop.get_last_in_range("a", "a", "z") == name
        assert table("properties").only() == stored
        assert table("property_lookup_v2").items() == []

    @pytest.mark.parametrize("name", ["plain", "email"])
    @pytest.mark.parametrize("sample", OTHER_VALUES)
    def test_what_writes_unconditionally_mends_it(
        self, backend: Backend, table: Tables, name: str, sample: str
    ) -> None:
        prop, whole = get_property(backend), get_property_list(backend)
        whole.actor_id = "a"

        def put() -> None:
            table("properties").put(id={"S": "a"}, name={"S": name}, value=SAMPLES[sample])

        put()
        assert prop.set("a", name, "new")
        assert prop.get("a", name) == "new"
        put()
        assert prop.set("a", name, "")
        assert table("properties").items() == []
        put()
        assert prop.set_many("a", {name: "new"})
        assert prop.get("a", name) == "new"
        put()
        prop.batch_delete("a", [name])
        assert table("properties").items() == []
        put()
        assert whole.delete()
        assert table("properties").items() == []


class TestReverseLookUp:
    @pytest.mark.parametrize("sample", OTHER_VALUES)
    def test_a_holder_whose_value_has_another_type(self, backend: Backend, table: Tables, sample: str) -> None:
        get_property(backend).set("a", "email", "x@y")
        table("properties").put(id={"S": "a"}, name={"S": "email"}, value=SAMPLES[sample])
        with named("value", sample):
            get_property(backend).get_actor_id_from_property("email", "x@y")
        # Whether it still holds the value is not known, so nobody else gets its claim.
        takes: tuple[Answer, ...] = (
            lambda: get_property(backend).set("b", "email", "x@y"),
            lambda: get_property(backend).create_if_not_exists("b", "email", "x@y"),
            lambda: get_property(backend).set_many("b", {"email": "x@y"}),
        )
        for take in takes:
            with named("value", sample):
                take()
        assert [item["id"]["S"] for item in table("properties").items()] == ["a"]
        assert table("property_lookup_v2").only()["actor_id"] == {"S": "a"}

    @pytest.mark.parametrize("sample", [*OTHER_VALUES, None])
    def test_a_claim_whose_actor_has_another_type(self, backend: Backend, table: Tables, sample: str | None) -> None:
        claim = {} if sample is None else {"actor_id": SAMPLES[sample]}
        key = compute_lookup_key("email", "x@y")
        table("property_lookup_v2").put(lookup_key={"S": key}, property_name={"S": "email"}, **claim)
        stored = table("property_lookup_v2").only()
        get_property(backend).create_if_not_exists("a", "email", "other")
        lookup = DbPropertyLookup()
        expected = "has no attribute actor_id" if sample is None else f"attribute actor_id has type {sample}"
        for call in (
            lambda: get_property(backend).get_actor_id_from_property("email", "x@y"),
            lambda: get_property(backend).set("a", "email", "x@y"),
            lambda: get_property(backend).set_if_value_equals("a", "email", "other", "x@y"),
            lambda: lookup.get("email", "x@y"),
            lambda: lookup.create("email", "x@y", "a"),
        ):
            with pytest.raises(DbError, match=expected):
                call()
        assert stored in table("property_lookup_v2").items()
        assert get_property(backend).get("a", "email") == "other"
        assert lookup.create("email", "x@y", "a", overwrite=True)
        assert lookup.get("email", "x@y") == "a"

    @pytest.mark.parametrize("sample", [*OTHER_VALUES, None])
    def test_such_a_claim_is_not_released(self, backend: Backend, table: Tables, sample: str | None) -> None:
        key = compute_lookup_key("email", "x@y")
        claim: Item = {"lookup_key": {"S": key}, "property_name": {"S": "email"}}
        claim |= {} if sample is None else {"actor_id": SAMPLES[sample]}
        prop = get_property(backend)
        prop.set("a", "email", "x@y")
        table("property_lookup_v2").put(**claim)
        stored = table("property_lookup_v2").only()
        assert prop.set_if_value_equals("a", "email", "x@y", "new") is True
        assert prop.set("a", "email", "")
        assert table("property_lookup_v2").items() == [stored]
        assert table("properties").items() == []

    @pytest.mark.parametrize("sample", [*OTHER_VALUES, None])
    def test_a_row_of_the_first_table(self, backend: Backend, table: Tables, free: None, sample: str | None) -> None:
        actor = {} if sample is None else {"actor_id": SAMPLES[sample]}
        table("property_lookup").put(property_name={"S": "email"}, value={"S": "x@y"}, **actor)
        expected = "has no attribute actor_id" if sample is None else f"attribute actor_id has type {sample}"
        calls: tuple[Answer, ...] = (
            lambda: get_property(backend).get_actor_id_from_property("email", "x@y"),
            lambda: DbPropertyLookup().get_v1("email", "x@y"),
        )
        for call in calls:
            with pytest.raises(DbError, match=expected):
                call()


class TestFilters:
    """Columns by which rows are looked for, in tables that have no index on them."""

    @pytest.mark.parametrize("sample", [name for name in SAMPLES if name not in ("S", "NULL")])
    def test_a_secret_that_is_no_text_is_not_free(
        self, backend: Backend, table: Tables, free: None, sample: str
    ) -> None:
        table("trusts").put(**ODD["trusts"].stored("a", "secret", sample))
        with named("secret", sample):
            get_trust(backend).is_token_in_db("a", "7")
        assert get_trust(backend).is_token_in_db("b", "7") is False

    def test_a_trust_without_secret(self, backend: Backend, table: Tables, free: None) -> None:
        table("trusts").put(id={"S": "a"}, peerid={"S": "p"}, secret={"NULL": True})
        table("trusts").put(id={"S": "a"}, peerid={"S": "q"})
        assert get_trust(backend).is_token_in_db("a", "7") is False
        table("trusts").put(id={"S": "a"}, peerid={"S": "r"}, secret={"S": "7"})
        assert get_trust(backend).is_token_in_db("a", "7") is True

    @pytest.mark.parametrize("sample", [name for name in SAMPLES if name not in ("S", "NULL")])
    def test_the_type_of_a_peer_trustee(self, backend: Backend, table: Tables, sample: str) -> None:
        table("peertrustees").put(**ODD["peertrustees"].stored("a", "type", sample))
        with named("type", sample):
            get_peer_trustee(backend).get("a", "7")

    def test_the_same_secret_of_another_actor(self, backend: Backend, table: Tables) -> None:
        table("trusts").put(id={"S": "b"}, peerid={"S": "p"}, secret={"S": "7"}, approved={"L": []})
        get_trust(backend).create("a", "p", secret="7")
        assert (get_trust(backend).get("a", token="7") or {})["id"] == "a"
        with named("approved", "L"):
            get_trust(backend).get("b", token="7")


class TestTrustAnew:
    @pytest.mark.parametrize("sample", [name for name in SAMPLES if name not in ("S", "NULL")])
    def test_keeps_no_creation_that_is_no_time(self, backend: Backend, table: Tables, sample: str) -> None:
        table("trusts").put(id={"S": "a"}, peerid={"S": "p"}, created_at=SAMPLES[sample])
        stored = table("trusts").only()
        with named("created_at", sample):
            get_trust(backend).create("a", "p", secret="x")
        assert table("trusts").only() == stored

    def test_takes_null_for_none(self, backend: Backend, table: Tables) -> None:
        table("trusts").put(id={"S": "a"}, peerid={"S": "p"}, created_at={"NULL": True})
        trust = get_trust(backend)
        assert trust.create("a", "p", secret="x", created_at="2024-01-02T03:04:05Z")
        assert trust.handle.created_at == datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert (trust.get("a", "p") or {})["created_at"] == "2024-01-02T03:04:05+00:00"


class TestOldestDiff:
    def test_is_found_though_a_later_one_is_unreadable(self, backend: Backend, table: Tables) -> None:
        get_subscription_diff(backend).create("a", "7", "first", 1)
        table("subscriptiondiffs").put(**ODD["subscriptiondiffs"].stored("a", "timestamp", "N"))
        assert (get_subscription_diff(backend).get("a", "7") or {})["data"] == "first"

    def test_is_not_known_if_a_number_is_unreadable(self, backend: Backend, table: Tables) -> None:
        get_subscription_diff(backend).create("a", "7", "first", 1)
        table("subscriptiondiffs").put(**ODD["subscriptiondiffs"].stored("a", "seqnr", "BOOL"))
        with named("seqnr", "BOOL"):
            get_subscription_diff(backend).get("a", "7")


class TestModels:
    def test_a_scan_raises_too(self, backend: Backend, table: Tables) -> None:
        get_subscription(backend)
        table("subscriptions").put(**subscription(seqnr={"S": "7"}))
        with pytest.raises(AttributeDeserializationError, match="seqnr"):
            [row.to_dict() for row in Subscription.scan()]
