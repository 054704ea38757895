"""The reverse look-up of tables that are not backfilled yet, and the legacy index (3.2, 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from actingweb.db import DbError, DbInputError, DbSchemaError, get_property
from actingweb.db.dynamodb import DbPropertyLookup, PropertyLegacy, PropertyLookup, PropertyLookupV2
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import Answer, Send, SpoilingProxy, failing
from tests.support import ddb_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.backends("dynamodb")


@pytest.fixture
def not_backfilled(backend: Backend, aside: str) -> None:
    """Use tables as an earlier release left them: the v1 table, and properties with the index."""
    for model in (PropertyLookup, PropertyLegacy, PropertyLookupV2):
        model.create_table(wait=True)


@pytest.fixture
def legacy(backend: Backend, aside: str) -> Backend:
    """Use properties with the index, in legacy mode."""
    PropertyLegacy.create_table(wait=True)
    return backend._replace(use_lookup_table=False)


def store_v1(client: DynamoDBClient, name: str, value: str, actor_id: str) -> None:
    """Store a row of the v1 table."""
    item = {"property_name": {"S": name}, "value": {"S": value}, "actor_id": {"S": actor_id}}
    client.put_item(TableName=ddb_table("property_lookup"), Item=item)


def store(client: DynamoDBClient, actor_id: str, name: str, value: str) -> None:
    """Store a property without a look-up row."""
    item = {"id": {"S": actor_id}, "name": {"S": name}, "value": {"S": value}}
    client.put_item(TableName=ddb_table("properties"), Item=item)


@pytest.mark.usefixtures("not_backfilled")
class TestFallbacks:
    def test_v1(self, backend: Backend, ddb: DynamoDBClient, caplog: pytest.LogCaptureFixture) -> None:
        store(ddb, "a", "email", "x@y")
        store_v1(ddb, "email", "x@y", "a")
        assert get_property(backend).get_actor_id_from_property("email", "x@y") == "a"
        assert "DEPRECATED" in caplog.text
        assert "v1 lookup table" in caplog.text
        assert "x@y" not in caplog.text
        assert DbPropertyLookup().get_v1("email", "x@y") == "a"

    def test_a_stale_v1_row_does_not_count(self, backend: Backend, ddb: DynamoDBClient) -> None:
        store(ddb, "a", "email", "changed")
        store_v1(ddb, "email", "x@y", "a")
        assert get_property(backend).get_actor_id_from_property("email", "x@y") is None

    def test_index(self, backend: Backend, ddb: DynamoDBClient, caplog: pytest.LogCaptureFixture) -> None:
        store(ddb, "b", "email", "x@y")
        store(ddb, "a", "email", "x@y")
        store(ddb, "0", "other", "x@y")
        prop = get_property(backend)
        assert prop.get_actor_id_from_property("email", "x@y") == "a"
        assert prop.handle is not None
        assert (prop.handle.id, prop.handle.name) == ("a", "email")
        assert "DEPRECATED" in caplog.text
        assert "property-index GSI" in caplog.text

    def test_a_value_too_long_for_them_is_a_miss(self, backend: Backend) -> None:
        assert get_property(backend).get_actor_id_from_property("email", "x" * 3000) is None
        assert DbPropertyLookup().get_v1("email", "x" * 3000) is None

    def test_requests(self, backend: Backend, ddb: DynamoDBClient, proxy: SpoilingProxy) -> None:
        store(ddb, "a", "email", "x@y")
        prop = get_property(backend)
        miss = proxy.operations(lambda: prop.get_actor_id_from_property("email", "unknown"))
        assert miss == ["GetItem", "GetItem", "Query"]
        hit = proxy.operations(lambda: prop.get_actor_id_from_property("email", "x@y"))
        assert hit == ["GetItem", "GetItem", "Query", "BatchGetItem"]

    def test_a_forbidden_one_is_not_asked_again(self, backend: Backend, proxy: SpoilingProxy) -> None:
        proxy.spoilers.extend([None, failing("AccessDeniedException")])
        prop = get_property(backend)
        ask: Callable[[], object] = lambda: prop.get_actor_id_from_property("email", "x@y")  # noqa: E731
        assert proxy.operations(ask) == ["GetItem", "GetItem", "Query"]
        assert proxy.operations(ask) == ["GetItem", "Query"]

    def test_a_fault_of_one_request_of_the_look_up_raises(self, backend: Backend, proxy: SpoilingProxy) -> None:
        proxy.spoilers.extend([None, failing("InternalFailure")])
        with pytest.raises(DbError):
            get_property(backend).get_actor_id_from_property("email", "x@y")


def test_a_refusal_that_does_not_say_what_is_stored_is_no_success(backend: Backend, proxy: SpoilingProxy) -> None:
    """A service that is compatible with DynamoDB may leave the item out."""
    proxy.spoilers.append(failing("ConditionalCheckFailedException"))
    with pytest.raises(DbError, match="the stored item has no attribute"):
        DbPropertyLookup().create(property_name="email", value="x@y", actor_id="a")


def test_absent_fallbacks_are_asked_once(backend: Backend, proxy: SpoilingProxy) -> None:
    prop = get_property(backend)
    ask: Callable[[], object] = lambda: prop.get_actor_id_from_property("email", "x@y")  # noqa: E731
    assert proxy.operations(ask) == ["GetItem", "GetItem", "Query"]
    assert proxy.operations(ask) == ["GetItem"]


def test_v1_is_none_without_its_table(backend: Backend) -> None:
    assert DbPropertyLookup().get_v1("email", "x@y") is None


def test_v1_that_is_forbidden_is_an_error_for_tools(backend: Backend, proxy: SpoilingProxy) -> None:
    proxy.always = failing("AccessDeniedException")
    with pytest.raises(DbError, match="access denied"):
        DbPropertyLookup().get_v1("email", "x@y")


class TestLegacy:
    def test_the_smallest_holder_wins(self, legacy: Backend) -> None:
        prop = get_property(legacy)
        for actor_id in ("c", "b"):
            prop.set(actor_id, "email", "x@y")
        prop.set("a", "other", "x@y")
        assert prop.get_actor_id_from_property("email", "x@y") == "b"

    def test_a_key_of_the_index_has_a_limit(self, legacy: Backend) -> None:
        prop = get_property(legacy)
        with pytest.raises(DbInputError, match="value is 2049 bytes, the limit is 2048"):
            prop.set("a", "n", "x" * 2049)
        assert prop.set("a", "n", "x" * 2048)
        assert prop.get_actor_id_from_property("n", "x" * 2048) == "a"
        assert prop.get_actor_id_from_property("n", "x" * 2049) is None

    def test_an_empty_value(self, legacy: Backend, ddb: DynamoDBClient) -> None:
        prop = get_property(legacy)
        prop.set("a", "n", "old")
        assert prop.set_if_value_equals("a", "n", "old", "") is True
        (item,) = ddb.scan(TableName=ddb_table("properties"))["Items"]
        assert item == {"id": {"S": "a"}, "name": {"S": "n"}}
        assert prop.get("a", "n") == ""
        assert prop.set_if_value_equals("a", "n", "", "new") is True
        assert prop.set_if_value_equals("a", "absent", "", "new") is False

    def test_a_missing_index_says_what_to_do(self, backend: Backend) -> None:
        prop = get_property(backend._replace(use_lookup_table=False))
        with pytest.raises(DbSchemaError) as raised:
            prop.get_actor_id_from_property("email", "x@y")
        for word in ("property-index", "with_legacy_property_index", "backfill_property_lookup"):
            assert word in str(raised.value)


def test_a_claim_renewed_before_the_take_over_is_kept(backend: Backend, proxy: SpoilingProxy) -> None:
    """The owner of a released claim takes the value again between the look at it and the transaction."""
    stale = backend._replace(use_lookup_table=False)
    get_property(backend).set("owner", "email", "x@y")
    get_property(stale).set("owner", "email", "moved")

    def retaken(send: Send) -> Answer:
        get_property(backend).set("owner", "email", "x@y")
        return send()

    proxy.spoilers.extend([None, None, retaken])
    prop = get_property(backend)
    assert prop.set("late", "email", "x@y") is True
    assert prop.get_actor_id_from_property("email", "x@y") == "owner"
