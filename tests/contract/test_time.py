"""Times, order and consistency, over all that has them (1.4)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy

from .support.calls import loaded, ready

INSTANT = datetime(2024, 1, 2, 12, 0, 0, tzinfo=UTC)
PRECISE = datetime(2024, 7, 2, 12, 0, 0, 1, tzinfo=UTC)
# argument, the moment that it means
INPUTS = [
    (INSTANT, INSTANT),
    (INSTANT.replace(tzinfo=None), INSTANT),
    (INSTANT.astimezone(timezone(timedelta(hours=5, minutes=30))), INSTANT),
    ("2024-01-02T12:00:00Z", INSTANT),
    ("2024-01-02T12:00:00", INSTANT),
    ("2024-01-02T12:00:00+00:00", INSTANT),
    ("2024-01-02T04:00:00-08:00", INSTANT),
    ("2024-01-02 12:00:00", INSTANT),
    (PRECISE, PRECISE),
    ("2024-07-02T12:00:00.000001Z", PRECISE),
    (datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    # In New York, where the test's PostgreSQL server stands, this hour comes twice, the next does not come at all.
    ("2024-11-03T01:30:00", datetime(2024, 11, 3, 1, 30, tzinfo=UTC)),
    ("2024-03-10T02:30:00", datetime(2024, 3, 10, 2, 30, tzinfo=UTC)),
]
TRUST_TIMES = ("created_at", "last_accessed", "capabilities_fetched_at")
# In the order of their UTF-8 bytes, which is neither that of a locale nor that of UTF-16.
SORTED = ["!", "A", "B", "a", "a!", "a-b", "ab", "b", "e\u0301", "z", "\u00e9", "\uffee", "\U0001f600"]
SHUFFLED = SORTED[::3] + SORTED[1::3] + SORTED[2::3]


@pytest.mark.parametrize(("given", "meant"), INPUTS)
def test_trust_times_are_utc_text_whatever_the_servers_zone(
    given: Any, meant: datetime, backend: Backend, actor_id: str
) -> None:
    for peer, make in (("created", _created_trust), ("modified", _modified_trust)):
        trust = make(backend, actor_id, peer, dict.fromkeys(TRUST_TIMES, given))
        result = backend.DbTrust.DbTrust().get(actor_id, peer)
        assert [result[name] for name in TRUST_TIMES] == [meant.isoformat()] * 3
        assert [trust.handle[name] for name in TRUST_TIMES] == [meant] * 3
        handle = loaded(backend.DbTrust.DbTrust(), actor_id, peer).handle
        assert [handle[name] for name in TRUST_TIMES] == [meant] * 3
        assert all(handle[name].utcoffset() == timedelta() for name in TRUST_TIMES)


def _created_trust(backend: Backend, actor_id: str, peer: str, times: dict[str, Any]) -> Any:
    trust = backend.DbTrust.DbTrust()
    assert trust.create(actor_id, peer, **times)
    return trust


def _modified_trust(backend: Backend, actor_id: str, peer: str, times: dict[str, Any]) -> Any:
    trust = _created_trust(backend, actor_id, peer, {})
    assert trust.modify(**times)
    return trust


@pytest.mark.parametrize(("given", "meant"), INPUTS)
def test_attribute_timestamps_are_aware_utc(given: Any, meant: datetime, backend: Backend, actor_id: str) -> None:
    attribute = backend.DbAttribute.DbAttribute
    attribute.set_attr(actor_id, "set", "n", 1, timestamp=given)
    attribute.set_attr(actor_id, "updated", "n", 1)
    attribute.conditional_update_attr(actor_id, "updated", "n", 1, 2, timestamp=given)
    latest = backend.DbAttribute.DbAttributeBucketList.fetch_timestamps(actor_id)
    for bucket in ("set", "updated"):
        found = attribute.get_attr(actor_id, bucket, "n")["timestamp"]
        assert (found, found.utcoffset()) == (meant, timedelta())
        assert attribute.get_bucket(actor_id, bucket)["n"]["timestamp"] == meant
        assert (latest[bucket], latest[bucket].utcoffset()) == (meant, timedelta())


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_the_zone_of_the_process_does_not_matter(
    zone: str, backend: Backend, actor_id: str, environment: pytest.MonkeyPatch
) -> None:
    with _zone(zone, environment):
        trust = _created_trust(
            backend, actor_id, "p", {"created_at": datetime(2024, 1, 2, 12), "last_accessed": INSTANT}
        )
        backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", 1, timestamp="2024-01-02T12:00:00")
        backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s", "d")
        result = backend.DbTrust.DbTrust().get(actor_id, "p")
        entry = backend.DbAttribute.DbAttribute.get_attr(actor_id, "b", "n")
        (diff,) = backend.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(actor_id, "s")
    assert result["created_at"] == result["last_accessed"] == INSTANT.isoformat()
    assert trust.handle.created_at == entry["timestamp"] == INSTANT
    assert abs(datetime.now(UTC) - diff["timestamp"]) < timedelta(minutes=5)


@contextmanager
def _zone(name: str, environment: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process live in a time zone for the `with` block."""
    with environment.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def test_empty_text_counts_as_no_time(backend: Backend, actor_id: str) -> None:
    trust = backend.DbTrust.DbTrust()
    assert trust.create(actor_id, "p", created_at=INSTANT, last_accessed="", capabilities_fetched_at="")
    assert trust.modify(created_at="", last_accessed="", capabilities_fetched_at="")
    result = backend.DbTrust.DbTrust().get(actor_id, "p")
    assert result["created_at"] == result["last_accessed"] == INSTANT.isoformat()
    assert "capabilities_fetched_at" not in result
    assert backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", 1, timestamp="")
    assert backend.DbAttribute.DbAttribute.get_attr(actor_id, "b", "n")["timestamp"] is None


def test_default_times_are_those_of_the_call(backend: Backend, actor_id: str) -> None:
    before = datetime.now(UTC)
    backend.DbTrust.DbTrust().create(actor_id, "p")
    backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s", "d", 1)
    backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s", "d", 2)
    after = datetime.now(UTC)
    result = backend.DbTrust.DbTrust().get(actor_id, "p")
    times = [datetime.fromisoformat(result[name]) for name in ("created_at", "last_accessed", "last_connected_at")]
    diffs = [diff["timestamp"] for diff in backend.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(actor_id, "s")]
    assert all(before <= moment <= after for moment in times + diffs)
    assert diffs[0] < diffs[1]
    assert all(diff.utcoffset() == timedelta() for diff in diffs)


@pytest.mark.parametrize("microsecond", [0, 1, 120000, 999999])
def test_no_precision_is_lost(microsecond: int, backend: Backend, actor_id: str) -> None:
    moment = INSTANT.replace(microsecond=microsecond)
    backend.DbTrust.DbTrust().create(actor_id, "p", created_at=moment)
    assert backend.DbTrust.DbTrust().get(actor_id, "p")["created_at"] == moment.isoformat()


def _properties(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbProperty.DbProperty().set(actor_id, key, "v")
    return list(backend.DbProperty.DbPropertyList().fetch(actor_id))


def _all_properties(backend: Backend, actor_id: str) -> Any:
    _properties(backend, actor_id)
    return list(backend.DbProperty.DbPropertyList().fetch_all_including_lists(actor_id))


def _range(backend: Backend, actor_id: str) -> Any:
    _properties(backend, actor_id)
    return list(backend.DbProperty.DbProperty().get_range(actor_id, "", "\U0010ffff"))


def _prefix(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbProperty.DbProperty().set(actor_id, f"p{key}", "v")
    return [name[1:] for name in backend.DbProperty.DbProperty().get_prefix(actor_id, "p")]


def _trusts(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbTrust.DbTrust().create(actor_id, key)
    return [trust["peerid"] for trust in backend.DbTrust.DbTrustList().fetch(actor_id)]


def _peer_trustees(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, key, "t")
    return [trustee["peerid"] for trustee in backend.DbPeerTrustee.DbPeerTrusteeList().fetch(actor_id)]


def _subscriptions(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbSubscription.DbSubscription().create(actor_id, key, "s")
    return [row["peerid"] for row in backend.DbSubscription.DbSubscriptionList().fetch(actor_id)]


def _subscription_ids(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbSubscription.DbSubscription().create(actor_id, "p", key)
    return [row["subscriptionid"] for row in backend.DbSubscription.DbSubscriptionList().fetch(actor_id)]


def _diffs(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, key, "d")
    return [row["subscriptionid"] for row in backend.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(actor_id)]


def _suspensions(backend: Backend, actor_id: str) -> Any:
    suspension = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    for key in SHUFFLED:
        suspension.suspend(key)
    return [target for target, _ in suspension.get_all_suspended()]


def _buckets(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbAttribute.DbAttribute.set_attr(actor_id, key, "n", 1)
    found = list(backend.DbAttribute.DbAttributeBucketList.fetch(actor_id))
    assert list(backend.DbAttribute.DbAttributeBucketList.fetch_timestamps(actor_id)) == found
    return found


def _names(backend: Backend, actor_id: str) -> Any:
    for key in SHUFFLED:
        backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", key, 1)
    return list(backend.DbAttribute.DbAttribute.get_bucket(actor_id, "b"))


def _actors(backend: Backend, actor_id: str) -> Any:
    backend.DbActor.DbActor().get(actor_id)
    for key in SHUFFLED:
        backend.DbActor.DbActor().create(f"-{key}", "c")
    by_creator = [row["id"][1:] for row in backend.DbActor.DbActor().get_by_creator("c")]
    listed = [row["id"][1:] for row in backend.DbActor.DbActorList().fetch() if row["id"] != actor_id]
    assert by_creator == listed
    return listed


@pytest.mark.parametrize(
    "keys",
    [
        *(_properties, _all_properties, _range, _prefix, _trusts, _peer_trustees, _subscriptions, _subscription_ids),
        *(_diffs, _suspensions, _buckets, _names, _actors),
    ],
)
def test_results_come_in_the_order_of_the_bytes_of_their_keys(
    keys: Callable[[Backend, str], list[str]], backend: Backend, actor_id: str
) -> None:
    assert keys(backend, actor_id) == SORTED


def test_pairs_are_sorted_part_by_part(backend: Backend, actor_id: str) -> None:
    """`a!` stands before `a:` in bytes, so composed keys have another order than their parts."""
    pairs = [("a", "x"), ("a", "y"), ("a!", "x"), ("ab", "a")]
    suspension = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    for first, second in reversed(pairs):
        backend.DbSubscription.DbSubscription().create(actor_id, first, second)
        backend.DbAttribute.DbAttribute.set_attr(actor_id, first, second, 1)
        suspension.suspend(first, second)
    subscriptions = backend.DbSubscription.DbSubscriptionList().fetch(actor_id)
    assert [(row["peerid"], row["subscriptionid"]) for row in subscriptions] == pairs
    assert suspension.get_all_suspended() == pairs
    buckets = backend.DbAttribute.DbAttributeBucketList.fetch(actor_id)
    assert [(bucket, name) for bucket, names in buckets.items() for name in names] == pairs


def test_what_was_written_is_read_at_once(backend: Backend, actor_id: str) -> None:
    for turn in range(20):
        value = str(turn)
        backend.DbProperty.DbProperty().set(actor_id, "n", value)
        backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", value)
        backend.DbTrust.DbTrust().create(actor_id, "p", desc=value)
        assert backend.DbProperty.DbProperty().get(actor_id, "n") == value
        assert backend.DbProperty.DbPropertyList().fetch(actor_id) == {"n": value}
        assert backend.DbAttribute.DbAttribute.get_attr(actor_id, "b", "n")["data"] == value
        assert backend.DbTrust.DbTrustList().fetch(actor_id)[0]["desc"] == value


@pytest.mark.backends("dynamodb")
def test_every_read_of_a_base_table_is_strong(backend: Backend, actor_id: str, request_proxy: SpoilingProxy) -> None:
    for call in ready(backend, actor_id).values():
        call()
    reads = [read for request in request_proxy.seen for read in _reads(request.operation, request.body)]
    assert len(reads) > 40
    assert [read for read in reads if "IndexName" not in read and not read.get("ConsistentRead")] == []


@pytest.mark.no_aio  # it makes the object, which looks for the table, at its first call
@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("strong", [True, False])
def test_consistent_read_chooses_for_a_range_and_a_prefix(
    strong: bool, backend: Backend, actor_id: str, request_proxy: SpoilingProxy
) -> None:
    prop = backend.DbProperty.DbProperty()
    request_proxy.seen.clear()
    prop.get_range(actor_id, "a", "b", consistent_read=strong)
    prop.get_prefix(actor_id, "a", consistent_read=strong)
    assert [bool(request.body.get("ConsistentRead")) for request in request_proxy.seen] == [strong, strong]


def _reads(operation: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a request reads, one for each table."""
    if operation == "BatchGetItem":
        return list(body["RequestItems"].values())
    return [body] if operation in ("GetItem", "Query", "Scan") else []
