"""Bulk calls on DynamoDB: requests, limits, chunks, and what is left after a fault."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actingweb.db import (
    DbConflictError,
    DbInputError,
    DbOutcomeUnknownError,
    DbThrottledError,
    get_property,
    get_subscription_diff,
    get_subscription_diff_list,
    get_trust,
)
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import Send, SpoilingProxy, cancelled, failing, lost
from tests.conftest import SetEnv

pytestmark = pytest.mark.backends("dynamodb")

ONCE = ["TransactWriteItems"]
THROTTLED = failing("ProvisionedThroughputExceededException")


@pytest.fixture
def prop(backend: Backend) -> DbPropertyProtocol:
    return get_property(backend)


@pytest.fixture
def indexing(backend: Backend) -> Callable[[int], tuple[DbPropertyProtocol, list[str]]]:
    """Return a function that makes an object for so many indexed names, and these names."""

    def make(count: int) -> tuple[DbPropertyProtocol, list[str]]:
        names = [f"i{number:02}" for number in range(count)]
        return backend.DbProperty.DbProperty(use_lookup_table=True, indexed_properties=names), names

    return make


def named(count: int, value: str = "v") -> dict[str, str]:
    return {f"n{number:03}": value for number in range(count)}


def written(proxy: SpoilingProxy) -> list[list[str]]:
    """Return the names of the property rows that each transaction wrote."""
    transactions = [seen.body["TransactItems"] for seen in proxy.seen if seen.operation == "TransactWriteItems"]
    puts = ([item["Put"]["Item"] for item in items if "Put" in item] for items in transactions)
    return [[item["name"]["S"] for item in items if "name" in item] for items in puts]


class TestRequests:
    def test_get_many(self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy) -> None:
        for count, requests in ((1, 1), (100, 1), (101, 2), (250, 3)):
            found = proxy.operations(partial(prop.get_many, actor_id, list(named(count))))
            assert found == ["BatchGetItem"] * requests
        assert all(table["ConsistentRead"] for seen in proxy.seen for table in seen.body["RequestItems"].values())

    def test_get_many_of_trusts(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        get_trust(backend).create(actor_id, "p1")
        assert proxy.operations(lambda: get_trust(backend).get_many(actor_id, ["p1", "p2"])) == ["BatchGetItem"]
        assert proxy.operations(lambda: get_trust(backend).get_many(actor_id, ["p" * 1025])) == []

    def test_set_many(self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy) -> None:
        assert proxy.operations(lambda: prop.set_many(actor_id, {})) == []
        assert proxy.operations(lambda: prop.set_many(actor_id, {"n" * 1025: None})) == []
        assert proxy.operations(lambda: prop.set_many(actor_id, {"a": "1", "b": None})) == ONCE
        for address in ("a@b", "c@d", ""):
            found = proxy.operations(partial(prop.set_many, actor_id, {"email": address, "a": "1"}))
            assert found == ["BatchGetItem", *ONCE]

    def test_create_many(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        diff = get_subscription_diff(backend)
        assert proxy.operations(lambda: diff.create_many(actor_id, [])) == []
        for start, count, requests in ((0, 1, 1), (1, 100, 1), (101, 101, 2), (202, 250, 3)):
            diffs = [("s", number, "d") for number in range(start, start + count)]
            assert proxy.operations(partial(diff.create_many, actor_id, diffs)) == ONCE * requests

    def test_what_is_not_taken_is_sent_again(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        diff = get_subscription_diff(backend)
        diff.create_many(actor_id, [("s", 1, "d"), ("s", 3, "d")])
        diffs = [("s", number, "d") for number in range(5)]
        assert proxy.operations(lambda: diff.create_many(actor_id, diffs)) == ONCE * 2
        # Nothing is left to be sent again.
        assert proxy.operations(lambda: diff.create_many(actor_id, diffs)) == ONCE

    def test_large_diffs_go_in_several_transactions(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        diffs = [("s", number, "d" * 390_000) for number in range(11)]
        diff = get_subscription_diff(backend)
        assert proxy.operations(lambda: diff.create_many(actor_id, diffs)) == ONCE * 2
        assert len(get_subscription_diff_list(backend).fetch(actor_id, "s")) == 11


class TestLimits:
    def test_a_hundred_plain_names_are_one_transaction(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        assert proxy.operations(lambda: prop.set_many(actor_id, named(100))) == ONCE
        assert prop.get_prefix(actor_id, "n") == named(100)

    @pytest.mark.parametrize("chunk_size", [None, 101, 1000])
    def test_more_are_refused_before_anything_is_sent(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy, chunk_size: int | None
    ) -> None:
        with pytest.raises(DbInputError, match=r"up to 101 actions.* is 100: pass chunk_size"):
            prop.set_many(actor_id, named(101), chunk_size)
        assert proxy.seen == []

    @pytest.mark.parametrize(("count", "value", "actions"), [(25, "v", 100), (50, "", 100)])
    def test_actions_on_look_up_rows_count(
        self,
        backend: Backend,
        actor_id: str,
        new_actor: Callable[[], str],
        proxy: SpoilingProxy,
        indexing: Callable[[int], tuple[DbPropertyProtocol, list[str]]],
        count: int,
        value: str,
        actions: int,
    ) -> None:
        """In the worst case there are as many as are counted: other actors lost their right to each new value."""
        prop, names = indexing(count)
        other = new_actor()
        for actor, old in ((other, "v"), (actor_id, "old")):
            assert prop.set_many(actor, dict.fromkeys(names, old), chunk_size=10)
        backend.DbProperty.DbProperty(use_lookup_table=False).set_many(other, dict.fromkeys(names, "moved"))
        assert prop.set_many(actor_id, dict.fromkeys(names, value)) is True
        assert len(proxy.seen[-1].body["TransactItems"]) == actions
        with pytest.raises(DbInputError, match=rf"up to {actions + 1} actions"):
            prop.set_many(actor_id, {**dict.fromkeys(names, value), "plain": "v"})
        assert prop.get(actor_id, "plain") is None

    def test_values_too_large_together_are_refused(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        values = named(11, "v" * 390_000)
        with pytest.raises(DbInputError, match=r"need 4290\d{3} bytes.* is 4000000: pass chunk_size"):
            prop.set_many(actor_id, values)
        assert proxy.seen == []
        assert prop.set_many(actor_id, values, chunk_size=6)
        assert prop.get_many(actor_id, list(values)) == values

    def test_a_diff_too_large_refuses_those_before_it(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        diffs = [*(("s", number, "d") for number in range(150)), ("t", 1, "d" * 410_000)]
        with pytest.raises(DbInputError, match="limit is 409600"):
            get_subscription_diff(backend).create_many(actor_id, diffs)
        assert proxy.seen == []


class TestChunks:
    def test_they_are_transactions_in_the_order_of_the_names(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        values = dict.fromkeys(["b", "🎈", "a", "\uffee", "B"], "v")
        assert proxy.operations(lambda: prop.set_many(actor_id, values, chunk_size=2)) == ONCE * 3
        assert written(proxy) == [["B", "a"], ["b", "\uffee"], ["🎈"]]

    def test_a_fault_leaves_the_chunks_before_it_and_the_call_can_be_repeated(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        proxy.spoilers.extend([None, *[THROTTLED] * 4])
        with pytest.raises(DbThrottledError):
            prop.set_many(actor_id, named(7), chunk_size=3)
        assert list(prop.get_prefix(actor_id, "n")) == ["n000", "n001", "n002"]
        assert prop.set_many(actor_id, named(7), chunk_size=3)
        assert prop.get_prefix(actor_id, "n") == named(7)

    def test_an_item_too_large_in_the_last_chunk_refuses_the_first(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        with pytest.raises(DbInputError, match="limit is 409600"):
            prop.set_many(actor_id, {**named(4), "z": "v" * 410_000}, chunk_size=1)
        assert proxy.seen == []


class TestFaults:
    def test_a_lost_answer_is_asked_for_again_under_its_token(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        writes: list[Callable[[], Any]] = [
            lambda: prop.set_many(actor_id, {"a": "1", "b": "2"}),
            lambda: all(get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d"), ("s", 2, "d")])),
        ]
        for write in writes:
            proxy.spoilers.extend([lost, lost])
            assert write() is True
            assert len({seen.body["ClientRequestToken"] for seen in proxy.seen[-3:]}) == 1

    def test_an_answer_that_never_comes_leaves_the_outcome_unknown(
        self, backend: Backend, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        proxy.always = lost
        with pytest.raises(DbOutcomeUnknownError):
            prop.set_many(actor_id, {"a": "1"})
        with pytest.raises(DbOutcomeUnknownError):
            get_subscription_diff(backend).create_many(actor_id, [("s", 1, "d")])

    def test_diffs_stored_before_a_fault_stay(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        diffs = [("s", number, "d") for number in range(150)]
        proxy.spoilers.extend([None, *[THROTTLED] * 4])
        with pytest.raises(DbThrottledError):
            get_subscription_diff(backend).create_many(actor_id, diffs)
        answers = get_subscription_diff(backend).create_many(actor_id, diffs)
        assert answers == [False] * 100 + [True] * 50

    def test_transactions_that_collide_are_a_conflict_and_store_nothing(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        proxy.spoilers.extend([cancelled("TransactionConflict")] * 5)
        with pytest.raises(DbConflictError):
            prop.set_many(actor_id, named(3))
        assert prop.get_prefix(actor_id, "n") == {}

    def test_one_action_that_the_database_refuses_stores_nothing(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy, set_env: SetEnv
    ) -> None:
        """A value that is too large for the database, slipped in behind the checks."""

        def enlarged(send: Send) -> Any:
            items = [dict(item) for item in send.request.body["TransactItems"]]
            items[-1]["Put"]["Item"]["value"]["S"] = "v" * 500_000
            return send({**send.request.body, "TransactItems": items})

        prop.set(actor_id, "n000", "old")
        proxy.spoilers.append(enlarged)
        with pytest.raises(DbInputError):
            prop.set_many(actor_id, named(3))
        assert prop.get_prefix(actor_id, "n") == {"n000": "old"}

    def test_keys_that_do_not_fit_into_an_answer_are_read_again(
        self, prop: DbPropertyProtocol, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        """The database answers with 16 MB at most."""
        values = named(50, "v" * 390_000)
        prop.set_many(actor_id, values, chunk_size=10)
        assert len(proxy.operations(lambda: prop.get_many(actor_id, list(values)))) > 1
        assert prop.get_many(actor_id, list(values)) == values
