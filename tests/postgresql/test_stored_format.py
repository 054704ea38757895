"""The rows that each call writes, and what is read from rows written by others (5.4)."""

import hashlib
import importlib
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from actingweb.db.records import SubscriptionRecord, TrustRecord
from actingweb.db.registry import Backend
from tests.contract.support.entities import unset_texts

PgConnection = psycopg.Connection[tuple[Any, ...]]

pytestmark = pytest.mark.backends("postgresql")

MOMENT = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
LATER = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
DIGEST = hashlib.sha256(b"email\x00joe@example.com").hexdigest()
COUNTED = [
    *("actors", "properties", "property_lookup", "trusts", "peertrustees", "subscriptions", "subscription_diffs"),
    *("subscription_suspensions", "attributes"),
]


def rows(pg: PgConnection, table: LiteralString) -> list[dict[str, Any]]:
    """Return all rows of a table with their columns by name, times in UTC."""
    pg.execute("SET timezone TO 'UTC'")
    with pg.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def only_row(pg: PgConnection, table: LiteralString) -> dict[str, Any]:
    (row,) = rows(pg, table)
    return row


def test_an_actor(backend: Backend, pg: PgConnection) -> None:
    before = datetime.now(UTC)
    backend.DbActor.DbActor().create("a1", "Joe@Example.com", "secret")
    row = only_row(pg, "actors")
    assert before <= row.pop("created_at") <= datetime.now(UTC)
    assert row == {"id": "a1", "creator": "joe@example.com", "passphrase": "secret"}


def test_an_actor_without_creator_and_passphrase(backend: Backend, pg: PgConnection) -> None:
    backend.DbActor.DbActor().create("a1")
    row = only_row(pg, "actors")
    assert (row["creator"], row["passphrase"]) == ("", "")


def test_a_property(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbProperty.DbProperty().set(actor_id, "n", "text")
    backend.DbProperty.DbProperty().set(actor_id, "o", {"b": [1, None], "a": "é"})
    assert rows(pg, "properties") == [
        {"id": actor_id, "name": "n", "value": "text"},
        {"id": actor_id, "name": "o", "value": '{"b": [1, null], "a": "\\u00e9"}'},
    ]
    assert rows(pg, "property_lookup") == []


def test_an_indexed_property_has_a_look_up_row_without_the_value(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    backend.DbProperty.DbProperty().set(actor_id, "email", "joe@example.com")
    assert only_row(pg, "properties") == {"id": actor_id, "name": "email", "value": "joe@example.com"}
    assert only_row(pg, "property_lookup") == {"lookup_key": DIGEST, "property_name": "email", "actor_id": actor_id}


def test_a_raw_look_up_row(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    lookup = importlib.import_module("actingweb.db.postgresql.property_lookup").DbPropertyLookup
    lookup().create("email", "joe@example.com", actor_id)
    assert only_row(pg, "property_lookup") == {"lookup_key": DIGEST, "property_name": "email", "actor_id": actor_id}


def test_a_trust(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    columns = {
        "baseuri": "https://peer",
        "relationship": "friend",
        "secret": "token",
        "desc": "described",
        "approved": True,
        "peer_approved": False,
        "verified": True,
        "verification_token": "vtoken",
        "peer_identifier": "peer@example.com",
        "established_via": "OAuth2_interactive",
        "created_at": MOMENT,
        "last_accessed": LATER,
        "client_name": "client",
        "client_version": "1",
        "client_platform": "platform",
        "oauth_client_id": "oauth",
        "aw_supported": "www,oauth",
        "aw_version": "1.4",
        "capabilities_fetched_at": LATER,
    }
    backend.DbTrust.DbTrust().create(actor_id=actor_id, peerid="p1", peer_type="type", **columns)
    expected = {"id": actor_id, "peerid": "p1", "type": "type", "last_connected_via": "oauth", **columns}
    assert only_row(pg, "trusts") == dict.fromkeys(TrustRecord.fields) | expected


def test_a_trust_of_nothing_but_its_key(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbTrust.DbTrust().create(actor_id, "p1", created_at=MOMENT)
    filled = {name: value for name, value in only_row(pg, "trusts").items() if value is not None}
    texts = ("baseuri", "type", "relationship", "secret", "desc", "verification_token")
    assert filled == {
        "id": actor_id,
        "peerid": "p1",
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("approved", "peer_approved", "verified"), False),
        "created_at": MOMENT,
        "last_accessed": MOMENT,
    }


def test_a_peer_trustee(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "p1", "type", "https://peer", "secret")
    assert only_row(pg, "peertrustees") == {
        "id": actor_id,
        "peerid": "p1",
        "baseuri": "https://peer",
        "type": "type",
        "passphrase": "secret",
    }


def test_a_subscription(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbSubscription.DbSubscription().create(actor_id, "p:1", "s1", "high", "t", "st", "r", 2**40, True)
    assert only_row(pg, "subscriptions") == {
        **dict.fromkeys(SubscriptionRecord.fields),
        "id": actor_id,
        "peerid": "p:1",
        "subid": "s1",
        "granularity": "high",
        "target": "t",
        "subtarget": "st",
        "resource": "r",
        "seqnr": 2**40,
        "callback": True,
    }


def test_a_subscription_diff(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    before = datetime.now(UTC)
    backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s1", '{"x": 1}', 11)
    row = only_row(pg, "subscription_diffs")
    assert before <= row.pop("timestamp") <= datetime.now(UTC)
    assert row == {"id": actor_id, "subid": "s1", "seqnr": 11, "diff": '{"x": 1}'}


def test_suspensions(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    before = datetime.now(UTC)
    suspension = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    suspension.suspend("t:1")
    suspension.suspend("t:1", "st")
    found = rows(pg, "subscription_suspensions")
    assert all(before <= row.pop("suspended_at") <= datetime.now(UTC) for row in found)
    found.sort(key=lambda row: str(row["subtarget"]))
    assert found == [
        {"id": actor_id, "target": "t:1", "subtarget": ""},
        {"id": actor_id, "target": "t:1", "subtarget": "st"},
    ]


def test_an_attribute(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbAttribute.DbAttribute.set_attr(actor_id, "b:1", "n", {"x": [1, 1.5, None, "é"]}, MOMENT, 60)
    row = only_row(pg, "attributes")
    assert row.pop("ttl_timestamp") - datetime.now(UTC).timestamp() == pytest.approx(3660, abs=30)
    assert row == {
        "id": actor_id,
        "bucket": "b:1",
        "name": "n",
        "data": {"x": [1, 1.5, None, "é"]},
        "timestamp": MOMENT,
        "bucket_name": "b:1:n",
    }


def test_an_attribute_without_times(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", "text")
    row = only_row(pg, "attributes")
    assert (row["data"], row["timestamp"], row["ttl_timestamp"]) == ("text", None, None)


def test_a_null_is_stored_as_json(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    attribute = backend.DbAttribute.DbAttribute
    attribute.set_attr(actor_id, "b", "n", "text")
    assert attribute.conditional_update_attr(actor_id, "b", "n", "text", None)
    assert pg.execute("SELECT jsonb_typeof(data) FROM attributes").fetchall() == [("null",)]


def test_an_attribute_of_another_writer_with_a_null_column_reads_as_null(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    pg.execute("INSERT INTO attributes (id, bucket, name) VALUES (%s, 'b', 'n')", [actor_id])
    attribute = backend.DbAttribute.DbAttribute
    assert attribute.get_attr(actor_id, "b", "n") == {"data": None, "timestamp": None}
    assert attribute.conditional_update_attr(actor_id, "b", "n", None, 1)


def test_a_trust_of_another_writer_with_null_columns_reads_as_empty(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    pg.execute(
        "INSERT INTO trusts (id, peerid, baseuri, type, relationship, secret, approved, peer_approved, verified)"
        " VALUES (%s, 'p1', 'uri', 'type', 'friend', 'token', true, false, false)",
        [actor_id],
    )
    assert backend.DbTrust.DbTrust().get(actor_id, "p1") == {
        "id": actor_id,
        "peerid": "p1",
        "baseuri": "uri",
        "type": "type",
        "relationship": "friend",
        "secret": "token",
        "desc": "",
        "verification_token": "",
        "approved": True,
        "peer_approved": False,
        "verified": False,
    }


def test_a_subscription_of_another_writer_with_null_columns_reads_as_empty(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    pg.execute(
        "INSERT INTO subscriptions (id, peerid, subid, seqnr, callback) VALUES (%s, 'p1', 's1', 7, true)", [actor_id]
    )
    assert backend.DbSubscription.DbSubscription().get(actor_id, "p1", "s1") == {
        "id": actor_id,
        "peerid": "p1",
        "subscriptionid": "s1",
        **unset_texts(SubscriptionRecord),
        "sequence": 7,
        "callback": True,
    }


def test_a_connection_method_of_an_earlier_release_reads_as_canonical(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    backend.DbTrust.DbTrust().create(actor_id, "p1")
    pg.execute("UPDATE trusts SET last_connected_via = 'OAuth2_client'")
    assert backend.DbTrust.DbTrust().get(actor_id, "p1")["last_connected_via"] == "oauth"


def test_deleting_an_actor_removes_its_rows_but_its_attributes(
    backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    backend.DbProperty.DbProperty().set(actor_id, "email", "joe@example.com")
    backend.DbTrust.DbTrust().create(actor_id, "p1")
    backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, "p1", "type")
    backend.DbSubscription.DbSubscription().create(actor_id, "p1", "s1")
    backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, "s1")
    backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id).suspend("t")
    backend.DbAttribute.DbAttribute.set_attr(actor_id, "b", "n", 1)
    assert [table for table in COUNTED if not _filled(pg, table)] == []
    actor = backend.DbActor.DbActor()
    actor.get(actor_id)
    assert actor.delete()
    assert [table for table in COUNTED if _filled(pg, table)] == ["attributes"]


def _filled(pg: PgConnection, table: str) -> bool:
    query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))
    row = pg.execute(query).fetchone()
    return row is not None and row[0] > 0
