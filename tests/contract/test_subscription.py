"""DbSubscription: what is stored, the sequence number, and pairs that compose to one key text."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import (
    DbConflictError,
    get_subscription,
    get_subscription_diff,
    get_subscription_list,
)
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.protocols import DbSubscriptionProtocol
from actingweb.db.registry import Backend
from actingweb.db.spi import SubscriptionRecord
from tests.support import race

from .support.entities import FLAGS, refusal, unset_texts

UNSET = {**unset_texts(SubscriptionRecord), "sequence": 0, "callback": False}


@pytest.fixture
def sub(backend: Backend) -> DbSubscriptionProtocol:
    return get_subscription(backend)


def _stored(backend: Backend, actor_id: str, peerid: str = "p", subid: str = "s") -> dict[str, Any]:
    found = get_subscription(backend).get(actor_id=actor_id, peerid=peerid, subid=subid)
    assert found is not None
    return found


class TestCreate:
    @pytest.mark.parametrize("empty", [None, ""])
    def test_texts_are_empty_when_unset(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, empty: str | None
    ) -> None:
        assert sub.create(actor_id, "p", "s", granularity=empty, target=empty, subtarget=empty, resource=empty) is True
        assert _stored(backend, actor_id) == {"id": actor_id, "peerid": "p", "subscriptionid": "s", **UNSET}

    def test_arguments_are_in_this_order(self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str) -> None:
        assert sub.create(actor_id, "p", "s", "high", "target", "subtarget", "resource", 5, True) is True
        assert _stored(backend, actor_id) == {
            **UNSET,
            "id": actor_id,
            "peerid": "p",
            "subscriptionid": "s",
            "granularity": "high",
            "target": "target",
            "subtarget": "subtarget",
            "resource": "resource",
            "sequence": 5,
            "callback": True,
        }

    @pytest.mark.parametrize(("given", "flag"), FLAGS, ids=repr)
    def test_callback_is_a_flag(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, given: Any, flag: bool
    ) -> None:
        sub.create(actor_id, "p", "s", callback=given)
        assert _stored(backend, actor_id)["callback"] is flag
        if given is not None:
            sub.modify(callback=not flag)
            assert sub.modify(callback=given) is True
            assert _stored(backend, actor_id)["callback"] is sub.handle.callback is flag

    @pytest.mark.parametrize("seqnr", ["1", 1.5, None, True])
    def test_a_number_that_is_no_integer_is_refused(
        self, sub: DbSubscriptionProtocol, actor_id: str, seqnr: Any
    ) -> None:
        with refusal("seqnr"):
            sub.create(actor_id, "p", "s", seqnr=seqnr)
        assert sub.get(actor_id, "p", "s") is None

    @pytest.mark.parametrize("seqnr", [0, 1, -5, 2**63 - 1])
    def test_numbers_of_64_bits_are_exact(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, seqnr: int
    ) -> None:
        sub.create(actor_id, "p", "s", seqnr=seqnr)
        assert _stored(backend, actor_id)["sequence"] == seqnr
        assert type(_stored(backend, actor_id)["sequence"]) is int

    @lacks(Capability.LONG_NUMBERS)
    @pytest.mark.parametrize("seqnr", [2**63, -(2**63) - 1])
    def test_a_number_of_more_than_64_bits_is_refused(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, seqnr: int
    ) -> None:
        with refusal():
            sub.create(actor_id, "p", "s", seqnr=seqnr)
        sub.create(actor_id, "p", "s", seqnr=2**63 - 1)
        with refusal():
            sub.modify(seqnr=seqnr)
        with refusal():
            sub.increment_seqnr()
        assert _stored(backend, actor_id)["sequence"] == sub.handle.seqnr == 2**63 - 1

    @requires(Capability.LONG_NUMBERS)
    def test_a_number_may_have_38_digits(self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str) -> None:
        sub.create(actor_id, "p", "s", seqnr=10**38 - 2)
        assert sub.increment_seqnr() == _stored(backend, actor_id)["sequence"] == 10**38 - 1

    @pytest.mark.backends("dynamodb")
    def test_dynamodb_refuses_a_number_of_39_digits(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s", seqnr=10**38 - 1)
        with refusal():
            sub.modify(seqnr=10**38 + 1)
        assert _stored(backend, actor_id)["sequence"] == 10**38 - 1

    def test_deleting_a_subscription_leaves_its_diffs(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s")
        get_subscription_diff(backend).create(actor_id, "s", "diff", 1)
        assert sub.delete() is True
        assert get_subscription_diff(backend).get(actor_id, "s", 1)


@pytest.mark.aio
class TestModify:
    def test_zero_and_false_are_written(self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str) -> None:
        sub.create(actor_id, "p", "s", target="t", seqnr=5, callback=True)
        assert sub.modify(seqnr=0, callback=False) is True
        assert _stored(backend, actor_id) == {
            "id": actor_id,
            "peerid": "p",
            "subscriptionid": "s",
            **UNSET,
            "target": "t",
        }

    @pytest.mark.parametrize("name", ["granularity", "target", "subtarget", "resource"])
    def test_empty_texts_are_ignored_and_others_written(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, name: str
    ) -> None:
        texts: dict[str, Any] = {name: "old"}
        sub.create(actor_id, "p", "s", **texts)
        for empty in ("", None):
            ignored: dict[str, Any] = {name: empty}
            assert sub.modify(**ignored) is True
            assert _stored(backend, actor_id)[name] == "old"
        changes: dict[str, Any] = {name: "new"}
        assert sub.modify(**changes) is True
        assert _stored(backend, actor_id)[name] == "new"

    def test_key_parts_equal_to_the_row_s_are_ignored(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s")
        assert sub.modify(peerid="p", subid="s") is True
        assert sub.modify(peerid="p", subid="", target="t") is True
        assert _stored(backend, actor_id)["target"] == "t"

    @pytest.mark.parametrize("key", [{"peerid": "q"}, {"subid": "t"}, {"peerid": "p", "subid": "t"}, {"peerid": 5}])
    def test_other_key_parts_are_refused(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, key: dict[str, Any]
    ) -> None:
        sub.create(actor_id, "p", "s")
        with refusal():
            sub.modify(target="t", **key)
        assert _stored(backend, actor_id)["target"] == ""
        assert len(get_subscription_list(backend).fetch(actor_id)) == 1

    @pytest.mark.parametrize("seqnr", ["1", 1.5, True])
    def test_a_number_that_is_no_integer_is_refused(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, seqnr: Any
    ) -> None:
        sub.create(actor_id, "p", "s", seqnr=5)
        with refusal("seqnr"):
            sub.modify(seqnr=seqnr)
        assert _stored(backend, actor_id)["sequence"] == 5


@pytest.mark.aio
class TestIncrement:
    def test_it_returns_the_new_number(self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str) -> None:
        sub.create(actor_id, "p", "s", seqnr=5)
        assert [sub.increment_seqnr(), sub.increment_seqnr(by=10), sub.increment_seqnr(-3)] == [6, 16, 13]
        assert _stored(backend, actor_id)["sequence"] == sub.handle.seqnr == 13

    def test_it_counts_from_what_is_stored_and_refreshes_the_whole_handle(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s", target="old")
        other = get_subscription(backend)
        other.get(actor_id, "p", "s")
        other.modify(target="new", seqnr=41)
        assert sub.increment_seqnr() == 42
        assert sub.handle.target == "new"
        other.get(actor_id, "p", "s")
        assert sub.handle == other.handle

    def test_without_a_handle_it_is_none(self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str) -> None:
        get_subscription(backend).create(actor_id, "p", "s")
        assert sub.increment_seqnr() is None
        assert _stored(backend, actor_id)["sequence"] == 0

    def test_a_row_that_is_gone_is_none_and_stays_gone(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s")
        other = get_subscription(backend)
        other.get(actor_id, "p", "s")
        other.delete()
        assert sub.increment_seqnr() is None
        assert sub.handle is None
        assert get_subscription_list(backend).fetch(actor_id) == []

    @pytest.mark.parametrize("by", ["1", 1.5, True, None])
    def test_what_is_no_integer_is_refused(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str, by: Any
    ) -> None:
        sub.create(actor_id, "p", "s")
        with refusal():
            sub.increment_seqnr(by)
        assert _stored(backend, actor_id)["sequence"] == 0

    def test_twenty_concurrent_increments_raise_the_number_by_twenty(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p", "s", seqnr=100)

        def increment() -> int | None:
            client = get_subscription(backend)
            client.get(actor_id, "p", "s")
            return client.increment_seqnr()

        assert sorted(number or 0 for number in race(20, increment)) == list(range(101, 121))
        assert _stored(backend, actor_id)["sequence"] == 120


class TestComposedKeys:
    """The pairs (`a:b`, `c`) and (`a`, `b:c`) are two subscriptions."""

    def test_a_pair_is_not_returned_for_another_with_the_same_composed_key(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p:x", "y")
        assert get_subscription(backend).get(actor_id, "p", "x:y") is None
        assert get_subscription(backend).get(actor_id, "p:x", "y")

    @requires(Capability.KEYS_BY_PARTS)
    def test_where_keys_are_kept_by_parts_both_are_stored(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        assert sub.create(actor_id, "p:x", "y", target="one") is True
        assert sub.create(actor_id, "p", "x:y", target="other") is True
        sub.modify(target="changed")
        assert _stored(backend, actor_id, "p:x", "y")["target"] == "one"
        assert _stored(backend, actor_id, "p", "x:y")["target"] == "changed"
        assert sub.delete() is True
        assert _stored(backend, actor_id, "p:x", "y")["target"] == "one"

    @lacks(Capability.KEYS_BY_PARTS)
    def test_where_keys_are_composed_the_second_is_refused(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p:x", "y", target="one")
        before = _stored(backend, actor_id, "p:x", "y")
        with pytest.raises(DbConflictError):
            get_subscription(backend).create(actor_id, "p", "x:y", target="other")
        assert _stored(backend, actor_id, "p:x", "y") == before
        assert sub.create(actor_id, "p:x", "y") is False

    @lacks(Capability.KEYS_BY_PARTS)
    def test_a_stale_handle_never_touches_the_row_that_took_its_key(
        self, backend: Backend, sub: DbSubscriptionProtocol, actor_id: str
    ) -> None:
        sub.create(actor_id, "p:x", "y")
        stale = [get_subscription(backend) for _ in range(3)]
        for client in stale:
            client.get(actor_id, "p:x", "y")
        sub.delete()
        sub.create(actor_id, "p", "x:y", target="other", seqnr=5)
        before = _stored(backend, actor_id, "p", "x:y")
        assert stale[0].modify(target="changed") is False
        assert stale[1].increment_seqnr() is None
        assert stale[2].delete() is True
        assert _stored(backend, actor_id, "p", "x:y") == before

    @pytest.mark.parametrize(
        ("one", "other"), [(("p", "s"), ("p", "s:")), (("p:", "s"), ("p", "s")), (("p", ":"), ("p", "::"))]
    )
    def test_keys_with_colons_in_other_places_are_separate(
        self, backend: Backend, actor_id: str, one: tuple[str, str], other: tuple[str, str]
    ) -> None:
        for pair in (one, other):
            assert get_subscription(backend).create(actor_id, *pair, target=repr(pair)) is True
        for pair in (one, other):
            assert _stored(backend, actor_id, *pair)["target"] == repr(pair)


def test_the_list_is_in_the_order_of_peer_and_subscription(backend: Backend, actor_id: str) -> None:
    pairs = [("a", "x"), ("a", "\uffee"), ("a", "🎈"), ("a!", "a"), ("a!", "b"), ("a:b", "a"), ("ab", "a"), ("é", "a")]
    for peerid, subid in reversed(pairs):
        assert get_subscription(backend).create(actor_id, peerid, subid) is True
    listed = get_subscription_list(backend).fetch(actor_id)
    assert [(entry["peerid"], entry["subscriptionid"]) for entry in listed] == pairs
    assert listed == [_stored(backend, actor_id, *pair) for pair in pairs]


def test_two_actors_may_have_equal_keys(backend: Backend, new_actor: Callable[..., str]) -> None:
    one, other = new_actor("a"), new_actor("a:p")
    get_subscription(backend).create(one, "p", "s", target="one")
    get_subscription(backend).create(other, "p", "s", target="other")
    assert [entry["target"] for entry in get_subscription_list(backend).fetch(one)] == ["one"]
