"""No method needs more requests than 4.5 says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actingweb.db import (
    get_actor,
    get_actor_list,
    get_attribute,
    get_attribute_bucket_list,
    get_peer_trustee,
    get_peer_trustee_list,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_subscription_list,
    get_subscription_suspension,
    get_trust,
    get_trust_list,
)
from actingweb.db.dynamodb import DbPropertyLookup, PropertyLegacy
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy
from tests.support import new_id

pytestmark = pytest.mark.backends("dynamodb")

Call = Callable[[], object]


def one_request(backend: Backend, actor_id: str) -> dict[str, Call]:
    """Return the calls that take one request, by name; they find what they look for where that can be."""
    actor = get_actor(backend)
    actor.get(actor_id)
    prop = get_property(backend)
    trust = get_trust(backend)
    trust.create(actor_id, "loaded")
    trustee = get_peer_trustee(backend)
    trustee.create(actor_id, "loaded", "type")
    subscription = get_subscription(backend)
    subscription.create(actor_id, "peer", "loaded")
    diff = get_subscription_diff(backend)
    diff.create(actor_id, "sub", "x", 1)
    suspension = get_subscription_suspension(backend, actor_id)
    attribute = get_attribute(backend)
    attribute.set_attr(actor_id, "bucket", "name", "data")
    lookup = DbPropertyLookup()
    return {
        "actor get": lambda: actor.get(actor_id),
        "actor create": lambda: get_actor(backend).create(new_id()),
        "actor create again": lambda: get_actor(backend).create(actor_id),
        "actor modify": lambda: actor.modify(passphrase="new"),
        "actor by creator": lambda: get_actor(backend).get_by_creator("creator@example.com"),
        "actor list": lambda: get_actor_list(backend).fetch(),
        "actor delete": actor.delete,
        "property get": lambda: prop.get(actor_id, "plain"),
        "property last": lambda: prop.get_last_in_range(actor_id, "a", "z"),
        "property range": lambda: prop.get_range(actor_id, "", "z"),
        "property prefix": lambda: prop.get_prefix(actor_id, "pl"),
        "property set": lambda: prop.set(actor_id, "plain", "x"),
        "property set again": lambda: get_property(backend).set(actor_id, "plain", "y"),
        "property conditional set": lambda: prop.set_if_value_equals(actor_id, "plain", "y", "z"),
        "property conditional set of nothing": lambda: prop.set_if_value_equals(actor_id, "plain", "y", "z"),
        "property conditional delete": lambda: prop.delete_if_value_equals(actor_id, "plain", "z"),
        "property conditional create": lambda: prop.create_if_not_exists(actor_id, "plain", "x"),
        "property delete": prop.delete,
        "property batch delete": lambda: prop.batch_delete(actor_id, [f"n{number}" for number in range(25)]),
        "property list of all": lambda: get_property_list(backend).fetch_all_including_lists(actor_id),
        "lookup create": lambda: lookup.create("email", "a@b", actor_id),
        "lookup create again": lambda: lookup.create("email", "a@b", "another"),
        "lookup overwrite": lambda: lookup.create("email", "a@b", "another", overwrite=True),
        "lookup get": lambda: lookup.get("email", "a@b"),
        "lookup delete": lookup.delete,
        "trust get": lambda: trust.get(actor_id, "loaded"),
        "trust create": lambda: get_trust(backend).create(actor_id, "loaded"),
        "trust modify": lambda: trust.modify(desc="x"),
        "trust by token, miss": lambda: get_trust(backend).get(actor_id, token="unknown"),
        "trust is token": lambda: get_trust(backend).is_token_in_db(actor_id, "unknown"),
        "trust list": lambda: get_trust_list(backend).fetch(actor_id),
        "trust delete": trust.delete,
        "trustee get": lambda: trustee.get(actor_id, peerid="loaded"),
        "trustee by type": lambda: trustee.get(actor_id, peer_type="type"),
        "trustee create": lambda: get_peer_trustee(backend).create(actor_id, "new", "type"),
        "trustee create again": lambda: get_peer_trustee(backend).create(actor_id, "new", "type"),
        "trustee modify": lambda: trustee.modify(baseuri="x"),
        "trustee list": lambda: get_peer_trustee_list(backend).fetch(actor_id),
        "trustee delete": trustee.delete,
        "subscription get": lambda: subscription.get(actor_id, "peer", "loaded"),
        "subscription create": lambda: get_subscription(backend).create(actor_id, "peer", "new"),
        "subscription create again": lambda: get_subscription(backend).create(actor_id, "peer", "new"),
        "subscription modify": lambda: subscription.modify(target="x"),
        "subscription increment": subscription.increment_seqnr,
        "subscription list": lambda: get_subscription_list(backend).fetch(actor_id),
        "subscription delete": subscription.delete,
        "diff get": lambda: diff.get(actor_id, "sub", 1),
        "diff lowest": lambda: diff.get(actor_id, "sub"),
        "diff create": lambda: get_subscription_diff(backend).create(actor_id, "sub", "x", 2),
        "diff create again": lambda: get_subscription_diff(backend).create(actor_id, "sub", "x", 2),
        "diff list": lambda: get_subscription_diff_list(backend).fetch(actor_id, "sub"),
        "diff delete": diff.delete,
        "suspend": lambda: suspension.suspend("target", "sub"),
        "suspend again": lambda: suspension.suspend("target", "sub"),
        "is suspended": lambda: suspension.is_suspended("target", "sub"),
        "all suspended": suspension.get_all_suspended,
        "resume": lambda: suspension.resume("target", "sub"),
        "get attr": lambda: attribute.get_attr(actor_id, "bucket", "name"),
        "get attr strict": lambda: attribute.get_attr_strict(actor_id, "bucket", "name"),
        "conditional update": lambda: attribute.conditional_update_attr(actor_id, "bucket", "name", "data", {"b": 1}),
        "conditional update, mismatch": lambda: attribute.conditional_update_attr(actor_id, "bucket", "name", 1, 2),
        "get bucket": lambda: attribute.get_bucket(actor_id, "bucket"),
        "buckets": lambda: get_attribute_bucket_list(backend).fetch(actor_id),
        "bucket timestamps": lambda: get_attribute_bucket_list(backend).fetch_timestamps(actor_id),
        "conditional delete": lambda: attribute.delete_attr_conditional(actor_id, "bucket", "name"),
        "set attr": lambda: attribute.set_attr(actor_id, "bucket", "name", "data"),
        "delete attr": lambda: attribute.delete_attr(actor_id, "bucket", "name"),
    }


def no_request(backend: Backend, actor_id: str) -> dict[str, Call]:
    """Return the calls that take no request, by name."""
    trust = get_trust(backend)
    trust.create(actor_id, "loaded")
    diff = get_subscription_diff(backend)
    diff.create(actor_id, "sub")
    return {
        "modify of nothing": trust.modify,
        "the handle's diff": diff.get,
        "not indexed": lambda: get_property(backend).get_actor_id_from_property("plain", "x"),
        "delete expired": get_attribute(backend).delete_expired,
        "missing argument": lambda: get_trust(backend).get(actor_id),
        "no handle": get_trust(backend).delete,
        "a key too long": lambda: get_trust(backend).get(actor_id, "p" * 1025),
    }


def test_most_calls_take_one_request(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    get_property(backend).get_actor_id_from_property("email", "a@b")  # the fallbacks prove absent
    calls = one_request(backend, actor_id)
    counts = {name: len(proxy.operations(call)) for name, call in calls.items()}
    assert {name: count for name, count in counts.items() if count != 1} == {}


def test_some_calls_take_no_request(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    calls = no_request(backend, actor_id)
    counts = {name: len(proxy.operations(call)) for name, call in calls.items()}
    assert {name: count for name, count in counts.items() if count != 0} == {}


def test_the_cost_of_a_plain_write_is_that_of_one_item(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    assert proxy.operations(lambda: get_trust(backend).create(actor_id, "peer")) == ["UpdateItem"]
    assert proxy.operations(lambda: get_actor(backend).create(new_id())) == ["PutItem"]


class TestIndexedNames:
    def test_one_transaction_when_the_guess_is_right(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        prop = get_property(backend)
        once = ["TransactWriteItems"]
        assert proxy.operations(lambda: prop.set(actor_id, "email", "a@b")) == once
        assert proxy.operations(lambda: prop.set(actor_id, "email", "c@d")) == once
        assert proxy.operations(lambda: prop.set_if_value_equals(actor_id, "email", "c@d", "e@f")) == once
        assert proxy.operations(lambda: prop.set_if_value_equals(actor_id, "email", "c@d", "e@f")) == once
        assert proxy.operations(lambda: prop.create_if_not_exists(actor_id, "email", "e@f")) == once
        assert proxy.operations(lambda: prop.delete_if_value_equals(actor_id, "email", "no")) == once
        assert proxy.operations(lambda: prop.delete_if_value_equals(actor_id, "email", "e@f")) == once
        assert proxy.operations(lambda: prop.create_if_not_exists(actor_id, "email", "e@f")) == once
        assert proxy.operations(prop.delete) == once

    def test_two_when_the_handle_lacks_the_value(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        get_property(backend).set(actor_id, "email", "a@b")
        twice = ["TransactWriteItems"] * 2
        assert proxy.operations(lambda: get_property(backend).set(actor_id, "email", "c@d")) == twice
        assert proxy.operations(lambda: get_property(backend).set(actor_id, "email", "")) == twice

    @pytest.mark.parametrize("released", [False, True])
    def test_two_more_when_the_new_value_is_claimed_by_another(
        self, backend: Backend, actor_id: str, new_actor: Callable[[], str], proxy: SpoilingProxy, released: bool
    ) -> None:
        other = new_actor()
        get_property(backend).set(other, "email", "a@b")
        if released:
            raw_write(backend, other, "email", "moved")
        prop = get_property(backend)
        found = proxy.operations(lambda: prop.set(actor_id, "email", "a@b"))
        assert found == ["TransactWriteItems", "GetItem", "TransactWriteItems"]
        assert prop.get_actor_id_from_property("email", "a@b") == (actor_id if released else other)

    def test_no_more_than_two_more_when_the_old_value_is_claimed_by_another(
        self, backend: Backend, actor_id: str, new_actor: Callable[[], str], proxy: SpoilingProxy
    ) -> None:
        get_property(backend).set(new_actor(), "email", "a@b")
        prop = get_property(backend)
        prop.set(actor_id, "email", "a@b")
        assert len(proxy.operations(lambda: prop.set(actor_id, "email", "c@d"))) <= 3

    def test_reverse_look_up(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        prop = get_property(backend)
        prop.get_actor_id_from_property("email", "unknown")
        assert proxy.operations(lambda: prop.get_actor_id_from_property("email", "a@b")) == ["GetItem"]
        prop.set(actor_id, "email", "a@b")
        assert proxy.operations(lambda: prop.get_actor_id_from_property("email", "a@b")) == ["GetItem"] * 2

    def test_batch_delete(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        names = [f"i{number}" for number in range(60)]
        backend.indexed_properties.extend(names)
        prop = get_property(backend)
        for name in names:
            prop.set(actor_id, name, name)
        wanted = [*names, *(f"plain{number}" for number in range(26))]
        found = proxy.operations(lambda: prop.batch_delete(actor_id, wanted))
        assert sorted(found) == ["BatchGetItem"] * 2 + ["BatchWriteItem"] * 2 + ["TransactWriteItems"] * 2
        assert prop.get_range(actor_id, "", "z") == {}
        assert prop.get_actor_id_from_property("i1", "i1") is None

    def test_wipe(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        prop = get_property(backend)
        prop.set(actor_id, "email", "a@b")
        for number in range(26):
            prop.set(actor_id, f"list:{number}", "x")
        rows = get_property_list(backend)
        assert proxy.operations(lambda: rows.fetch(actor_id)) == ["Query"] * 2
        found = proxy.operations(rows.delete)
        assert sorted(found) == ["BatchWriteItem"] * 2 + ["Query", "TransactWriteItems"]


def test_legacy_reverse_look_up(backend: Backend, actor_id: str, aside: str, proxy: SpoilingProxy) -> None:
    PropertyLegacy.create_table(wait=True)
    prop = get_property(backend._replace(use_lookup_table=False))
    prop.set(actor_id, "email", "a@b")
    assert proxy.operations(lambda: prop.get_actor_id_from_property("email", "unknown")) == ["Query"]
    found = proxy.operations(lambda: prop.get_actor_id_from_property("email", "a@b"))
    assert found == ["Query", "BatchGetItem"]


def test_a_trust_by_token_is_confirmed_by_one_read(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    get_trust(backend).create(actor_id, "peer", secret="token")
    assert len(proxy.operations(lambda: get_trust(backend).get(actor_id, token="token"))) == 2


def test_a_conditional_update_of_other_text_takes_two(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    attribute = get_attribute(backend)
    attribute.set_attr(actor_id, "b", "n", {"x": 1, "y": 2})
    swap = proxy.operations(lambda: attribute.conditional_update_attr(actor_id, "b", "n", {"y": 2.0, "x": 1}, 3))
    assert swap == ["UpdateItem"] * 2
    assert attribute.get_attr(actor_id, "b", "n") == {"data": 3, "timestamp": None}


class TestWipes:
    """p + b(n) requests."""

    def wipes(self, backend: Backend, actor_id: str, count: int) -> dict[str, Call]:
        """Return calls that wipe `count` rows each, by name."""
        trusts, trustees = get_trust_list(backend), get_peer_trustee_list(backend)
        subscriptions, diffs = get_subscription_list(backend), get_subscription_diff_list(backend)
        suspension, attribute = get_subscription_suspension(backend, actor_id), get_attribute(backend)
        for number in range(count):
            get_trust(backend).create(actor_id, f"p{number}")
            get_peer_trustee(backend).create(actor_id, f"p{number}", "type")
            get_subscription(backend).create(actor_id, "peer", f"s{number}")
            get_subscription_diff(backend).create(actor_id, "s", seqnr=number)
            suspension.suspend(f"t{number}")
            attribute.set_attr(actor_id, "one", f"n{number}", "x")
            attribute.set_attr(actor_id, "two", f"n{number}", "x")
        for rows in (trusts, trustees, subscriptions, diffs):
            rows.fetch(actor_id)
        return {
            "trusts": trusts.delete,
            "trustees": trustees.delete,
            "subscriptions": subscriptions.delete,
            "diffs": diffs.delete,
            "suspensions": suspension.delete_all,
            "bucket": lambda: attribute.delete_bucket(actor_id, "one"),
            "buckets": lambda: get_attribute_bucket_list(backend).delete(actor_id),
        }

    @pytest.mark.parametrize(("count", "batches"), [(0, 0), (25, 1), (26, 2)])
    def test_requests(self, backend: Backend, actor_id: str, proxy: SpoilingProxy, count: int, batches: int) -> None:
        calls = self.wipes(backend, actor_id, count)
        found = {name: sorted(proxy.operations(call)) for name, call in calls.items()}
        assert {name: seen for name, seen in found.items() if seen != ["BatchWriteItem"] * batches + ["Query"]} == {}

    def test_diffs_up_to_a_number(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        for number in range(1, 31):
            get_subscription_diff(backend).create(actor_id, "s", seqnr=number)
        diffs = get_subscription_diff_list(backend)
        diffs.fetch(actor_id, "s")
        assert sorted(proxy.operations(lambda: diffs.delete(27))) == ["BatchWriteItem"] * 2 + ["Query"]
        assert [diff["sequence"] for diff in diffs.fetch(actor_id, "s")] == [28, 29, 30]

    def test_by_chain(self, backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
        attribute = get_attribute(backend)
        for number in range(27):
            attribute.set_attr(actor_id, "b", f"n{number}", {"chain_id": "c"})
        found = proxy.operations(lambda: attribute.delete_by_chain(actor_id, ["b"], "c", defer_name="n0"))
        assert found == ["Query", *["BatchWriteItem"] * 3]


def test_every_page_is_followed(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    prop = get_property(backend)
    for number in range(4):
        prop.set(actor_id, f"big{number}", "x" * 350_000)
    found = proxy.operations(lambda: prop.get_prefix(actor_id, "big"))
    assert found == ["Query"] * 2
    assert len(prop.get_prefix(actor_id, "big")) == 4
    rows = get_property_list(backend)
    assert len(rows.fetch(actor_id) or {}) == 4
    rows.delete()
    assert prop.get_prefix(actor_id, "big") == {}


def test_iterate_scans_pages(backend: Backend, actor_id: str, proxy: SpoilingProxy) -> None:
    for number in range(4):
        get_actor(backend).create(f"{actor_id}{number}")
    found = proxy.operations(lambda: list(get_actor_list(backend).iterate(page_size=2)))
    assert found == ["Scan"] * 3


def raw_write(backend: Backend, actor_id: str, name: str, value: str) -> None:
    """Change a property without its look-up row, as earlier releases could."""
    backend.DbProperty.DbProperty(use_lookup_table=False).set(actor_id, name, value)
