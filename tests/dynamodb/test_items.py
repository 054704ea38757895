"""The stored form of 4.2, from outside: what we write, and what earlier releases wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from actingweb.db import (
    DbError,
    get_actor,
    get_actor_list,
    get_attribute,
    get_attribute_bucket_list,
    get_peer_trustee,
    get_property,
    get_subscription,
    get_subscription_diff,
    get_subscription_suspension,
    get_trust,
)
from actingweb.db.registry import Backend
from actingweb.db.utils import compute_lookup_key
from tests.dynamodb.conftest import Table

pytestmark = pytest.mark.backends("dynamodb")

Tables = Callable[[str], Table]
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000")


def text(value: str) -> dict[str, str]:
    return {"S": value}


class TestWritten:
    def test_actor(self, backend: Backend, table: Tables) -> None:
        get_actor(backend).create("a", "me", "pass")
        assert table("actors").only() == {"id": text("a"), "creator": text("me"), "passphrase": text("pass")}

    def test_actor_without_creator(self, backend: Backend, table: Tables) -> None:
        get_actor(backend).create("a")
        assert table("actors").only() == {"id": text("a"), "passphrase": text("")}

    def test_property_and_its_claim(self, backend: Backend, table: Tables) -> None:
        get_property(backend).set("a", "email", "x@y")
        assert table("properties").only() == {"id": text("a"), "name": text("email"), "value": text("x@y")}
        assert table("property_lookup_v2").only() == {
            "lookup_key": text(compute_lookup_key("email", "x@y")),
            "actor_id": text("a"),
            "property_name": text("email"),
        }

    def test_an_empty_property(self, backend: Backend, table: Tables) -> None:
        get_property(backend).set("a", "email", "x")
        get_property(backend).set_if_value_equals("a", "email", "x", "")
        assert table("properties").only() == {"id": text("a"), "name": text("email"), "value": text("")}
        assert table("property_lookup_v2").items() == []

    def test_trust(self, backend: Backend, table: Tables) -> None:
        get_trust(backend).create(
            "a",
            "p",
            "uri",
            "type",
            "friend",
            "token",
            True,
            False,
            True,
            "check",
            "about",
            created_at="2024-01-02T03:04:05Z",
        )
        assert table("trusts").only() == {
            "id": text("a"),
            "peerid": text("p"),
            "baseuri": text("uri"),
            "type": text("type"),
            "relationship": text("friend"),
            "secret": text("token"),
            "desc": text("about"),
            "verification_token": text("check"),
            "approved": {"BOOL": True},
            "verified": {"BOOL": False},
            "peer_approved": {"BOOL": True},
            "created_at": text("2024-01-02T03:04:05.000000+0000"),
            "last_accessed": text("2024-01-02T03:04:05.000000+0000"),
        }

    def test_creating_a_trust_again_replaces_all_but_its_creation(self, backend: Backend, table: Tables) -> None:
        get_trust(backend).create("a", "p", secret="token", client_name="x", created_at="2024-01-02T03:04:05Z")
        get_trust(backend).create("a", "p")
        item = table("trusts").only()
        assert item["created_at"] == text("2024-01-02T03:04:05.000000+0000")
        assert item.keys().isdisjoint({"secret", "client_name"})

    def test_peer_trustee(self, backend: Backend, table: Tables) -> None:
        get_peer_trustee(backend).create("a", "p", "type", "uri")
        assert table("peertrustees").only() == {
            "id": text("a"),
            "peerid": text("p"),
            "type": text("type"),
            "baseuri": text("uri"),
            "passphrase": text(""),
        }

    def test_subscription(self, backend: Backend, table: Tables) -> None:
        get_subscription(backend).create("a", "p", "s", target="t", resource="", seqnr=3, callback=True)
        assert table("subscriptions").only() == {
            "id": text("a"),
            "peer_sub_id": text("p:s"),
            "peerid": text("p"),
            "subid": text("s"),
            "target": text("t"),
            "resource": text(""),
            "seqnr": {"N": "3"},
            "callback": {"BOOL": True},
        }

    def test_diff(self, backend: Backend, table: Tables) -> None:
        get_subscription_diff(backend).create("a", "s", "text", 12)
        item = table("subscriptiondiffs").only()
        assert MOMENT.fullmatch(item.pop("timestamp")["S"])
        assert item == {
            "id": text("a"),
            "subid_seqnr": text("s:12"),
            "subid": text("s"),
            "diff": text("text"),
            "seqnr": {"N": "12"},
        }

    def test_suspensions(self, backend: Backend, table: Tables) -> None:
        suspension = get_subscription_suspension(backend, "a")
        suspension.suspend("t")
        suspension.suspend("t", "s")
        whole, part = sorted(table("subscription_suspensions").items(), key=lambda item: item["target_key"]["S"])
        assert MOMENT.fullmatch(whole.pop("suspended_at")["S"])
        assert MOMENT.fullmatch(part.pop("suspended_at")["S"])
        assert whole == {"id": text("a"), "target_key": text("t"), "target": text("t")}
        assert part == {"id": text("a"), "target_key": text("t:s"), "target": text("t"), "subtarget": text("s")}

    def test_attribute(self, backend: Backend, table: Tables) -> None:
        when = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        get_attribute(backend).set_attr("a", "b", "n", {"z": 1, "a": ["å", None]}, when, ttl_seconds=60)
        item = table("attributes").only()
        assert int(item.pop("ttl_timestamp")["N"]) > 1_700_000_000
        assert item == {
            "id": text("a"),
            "bucket_name": text("b:n"),
            "bucket": text("b"),
            "name": text("n"),
            "data": text('{"z": 1, "a": ["\\u00e5", null]}'),
            "timestamp": text("2024-01-02T03:04:05.000006+0000"),
        }

    def test_attribute_without_time_and_ttl(self, backend: Backend, table: Tables) -> None:
        get_attribute(backend).set_attr("a", "b", "n", 1)
        assert table("attributes").only().keys() == {"id", "bucket_name", "bucket", "name", "data"}

    def test_a_null_from_a_swap(self, backend: Backend, table: Tables) -> None:
        get_attribute(backend).set_attr("a", "b", "n", 1)
        get_attribute(backend).conditional_update_attr("a", "b", "n", 1, None)
        assert table("attributes").only()["data"] == text("null")


class TestRead:
    def test_actor_without_anything(self, backend: Backend, table: Tables) -> None:
        table("actors").put(id=text("a"))
        assert get_actor(backend).get("a") == {"id": "a", "creator": "", "passphrase": ""}
        assert get_actor_list(backend).fetch() == [{"id": "a", "creator": ""}]

    def test_trust_without_anything(self, backend: Backend, table: Tables) -> None:
        table("trusts").put(id=text("a"), peerid=text("p"))
        found = get_trust(backend).get("a", "p")
        assert found is not None
        assert (found["approved"], found["secret"], found["desc"]) == (False, "", "")
        assert "created_at" not in found

    def test_unknown_attributes_are_ignored(self, backend: Backend, table: Tables) -> None:
        table("actors").put(id=text("a"), colour=text("blue"), passphrase={"NULL": True})
        assert get_actor(backend).get("a") == {"id": "a", "creator": "", "passphrase": ""}

    @pytest.mark.parametrize("data", [{}, {"data": {"NULL": True}}, {"data": {"S": "null"}}])
    def test_every_form_of_null(self, backend: Backend, table: Tables, data: dict[str, dict[str, object]]) -> None:
        table("attributes").put(id=text("a"), bucket_name=text("b:n"), bucket=text("b"), name=text("n"), **data)
        attribute = get_attribute(backend)
        assert attribute.get_attr("a", "b", "n") == {"data": None, "timestamp": None}
        assert attribute.conditional_update_attr("a", "b", "n", False, 1) is False
        assert attribute.conditional_update_attr("a", "b", "n", None, {"x": 1}) is True
        assert attribute.get_attr("a", "b", "n") == {"data": {"x": 1}, "timestamp": None}

    def test_json_of_another_writer(self, backend: Backend, table: Tables) -> None:
        stored = json.dumps({"b": 1, "a": "å"}, ensure_ascii=False, separators=(",", ":"))
        table("attributes").put(
            id=text("a"), bucket_name=text("b:n"), bucket=text("b"), name=text("n"), data=text(stored)
        )
        attribute = get_attribute(backend)
        assert attribute.conditional_update_attr("a", "b", "n", {"a": "å", "b": 1}, "new") is True
        assert attribute.get_attr("a", "b", "n") == {"data": "new", "timestamp": None}

    @pytest.mark.parametrize(
        "broken", [{"data": {"S": "{"}}, {"timestamp": {"S": "soon"}}, {"ttl_timestamp": {"N": "1.5"}}]
    )
    def test_what_is_unreadable_is_an_error(
        self, backend: Backend, table: Tables, broken: dict[str, dict[str, object]]
    ) -> None:
        table("attributes").put(id=text("a"), bucket_name=text("b:n"), bucket=text("b"), name=text("n"), **broken)
        for read in (
            lambda: get_attribute(backend).get_attr("a", "b", "n"),
            lambda: get_attribute(backend).get_bucket("a", "b"),
            lambda: get_attribute_bucket_list(backend).fetch("a"),
        ):
            with pytest.raises(DbError, match="stored"):
                read()

    def test_text_with_a_zero_character(self, backend: Backend, table: Tables) -> None:
        table("properties").put(id=text("a"), name=text("n\x00"), value=text("\x00"))
        assert get_property(backend).get("a", "n\x00") == "\x00"

    def test_a_row_of_another_pair_is_not_found(self, backend: Backend, table: Tables) -> None:
        table("attributes").put(id=text("a"), bucket_name=text("b:c:n"), bucket=text("b:c"), name=text("n"))
        attribute = get_attribute(backend)
        assert attribute.get_attr("a", "b", "c:n") is None
        assert attribute.get_bucket("a", "b") == {}
        assert attribute.delete_attr_conditional("a", "b", "c:n") is False
        assert attribute.delete_attr("a", "b", "c:n") is True
        assert attribute.delete_bucket("a", "b") is True
        assert len(table("attributes").items()) == 1
