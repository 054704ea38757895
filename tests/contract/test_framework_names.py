"""Every name that the ActingWeb framework 3.15 uses (6)."""

import importlib
import inspect
from typing import Any

import pytest

from actingweb.db.registry import Backend

from .support.signatures import MODULES

NAMES = [
    "actingweb.db.get_actor",
    "actingweb.db.get_actor_list",
    "actingweb.db.get_attribute",
    "actingweb.db.get_attribute_bucket_list",
    "actingweb.db.get_peer_trustee",
    "actingweb.db.get_property",
    "actingweb.db.get_property_list",
    "actingweb.db.get_subscription",
    "actingweb.db.get_subscription_diff",
    "actingweb.db.get_subscription_diff_list",
    "actingweb.db.get_subscription_list",
    "actingweb.db.get_subscription_suspension",
    "actingweb.db.get_trust",
    "actingweb.db.get_trust_list",
    "actingweb.db.exceptions.DbError",
    "actingweb.db.utils.compute_lookup_key",
    "actingweb.db.utils.sanitize_json_data",
    "actingweb.db.verify_tables.required_models",
    "actingweb.db.dynamodb._ensure.set_auto_create",
    "actingweb.db.dynamodb._ensure.auto_create_enabled",
    "actingweb.db.dynamodb._ensure.ensure_table",
    "actingweb.db.dynamodb.actor.Actor",
    "actingweb.db.dynamodb.actor.Actor.scan",
    "actingweb.db.dynamodb.actor.ActorModel.scan",
    "actingweb.db.dynamodb.attribute.Attribute.scan",
    "actingweb.db.dynamodb.property.Property.scan",
    "actingweb.db.dynamodb.property.Property.Meta",
    "actingweb.db.dynamodb.property_lookup.PropertyLookup",
    "actingweb.db.dynamodb.property_lookup.PropertyLookupV2",
    "actingweb.db.dynamodb.trust.Trust.scan",
    "actingweb.db.postgresql.connection.get_connection",
]
CONFIGURED = (
    "actor",
    "peertrustee",
    "property",
    "attribute",
    "subscription",
    "subscription_diff",
    "trust",
    "subscription_suspension",
)
# class, method, positional arguments, named arguments: as the framework writes its calls
CALLS: list[tuple[str, str, list[str], list[str]]] = [
    ("DbActor", "get", [], ["actor_id"]),
    ("DbActor", "get_by_creator", [], ["creator"]),
    ("DbActor", "create", [], ["creator", "passphrase", "actor_id"]),
    ("DbActor", "modify", [], ["creator"]),
    ("DbActor", "delete", [], []),
    ("DbActorList", "fetch", [], []),
    ("DbSubscriptionSuspension", "is_suspended", ["properties", "color"], []),
    ("DbSubscriptionSuspension", "suspend", ["properties", "color"], []),
    ("DbSubscriptionSuspension", "resume", ["properties", "color"], []),
    ("DbAttribute", "get_bucket", [], ["actor_id", "bucket"]),
    ("DbAttribute", "get_attr", [], ["actor_id", "bucket", "name"]),
    ("DbAttribute", "get_attr_strict", [], ["actor_id", "bucket", "name"]),
    ("DbAttribute", "set_attr", [], ["actor_id", "bucket", "name", "data", "timestamp", "ttl_seconds"]),
    ("DbAttribute", "conditional_update_attr", [], ["actor_id", "bucket", "name", "old_data", "new_data"]),
    ("DbAttribute", "delete_attr_conditional", [], ["actor_id", "bucket", "name"]),
    ("DbAttribute", "delete_by_chain", [], ["actor_id", "buckets", "chain_id", "defer_name"]),
    ("DbAttributeBucketList", "fetch", [], ["actor_id"]),
    ("DbAttributeBucketList", "fetch_timestamps", [], ["actor_id"]),
    ("DbAttributeBucketList", "delete", [], ["actor_id"]),
    ("DbProperty", "get", [], ["actor_id", "name"]),
    ("DbProperty", "set", [], ["actor_id", "name", "value"]),
    ("DbProperty", "get_actor_id_from_property", [], ["name", "value"]),
    ("DbProperty", "get_prefix", [], ["actor_id", "prefix", "keys_only", "consistent_read"]),
    ("DbProperty", "get_range", [], ["actor_id", "lower", "upper", "keys_only", "consistent_read"]),
    ("DbProperty", "get_last_in_range", [], ["actor_id", "lower", "upper"]),
    ("DbProperty", "create_if_not_exists", [], ["actor_id", "name", "value"]),
    ("DbProperty", "set_if_value_equals", [], ["actor_id", "name", "expected", "value"]),
    ("DbProperty", "delete_if_value_equals", [], ["actor_id", "name", "value"]),
    ("DbProperty", "batch_delete", [], ["actor_id", "names"]),
    ("DbPropertyList", "fetch", [], ["actor_id"]),
    ("DbPropertyList", "fetch_all_including_lists", [], ["actor_id"]),
    ("DbPeerTrustee", "get", [], ["actor_id", "peerid", "peer_type"]),
    ("DbTrust", "get", [], ["actor_id", "peerid", "token"]),
    ("DbTrust", "is_token_in_db", [], ["actor_id", "token"]),
    ("DbSubscription", "modify", [], ["seqnr"]),
    ("DbSubscriptionDiff", "create", [], ["actor_id", "subid", "diff", "seqnr"]),
    ("DbSubscriptionDiff", "get", [], []),
    ("DbSubscriptionDiffList", "fetch", [], ["actor_id", "subid"]),
    ("DbSubscriptionDiffList", "delete", [], ["seqnr"]),
    ("DbPropertyLookup", "create", [], ["property_name", "value", "actor_id"]),
]


def resolved(name: str) -> Any:
    """Import the longest part of a dotted name that is a module, and get the rest as attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_name_resolves(name: str) -> None:
    assert resolved(name) is not None


@pytest.mark.parametrize("entity", CONFIGURED)
def test_the_configuration_imports_the_module_by_the_name_of_the_backend(entity: str, backend: Backend) -> None:
    module = importlib.import_module(f"actingweb.db.{backend.database}.{entity}")
    assert module.__name__.startswith(f"actingweb.db.{backend.database}.")


@pytest.mark.parametrize(("cls", "method", "positional", "named"), CALLS)
def test_the_call_binds(cls: str, method: str, positional: list[str], named: list[str], backend: Backend) -> None:
    module = importlib.import_module(f"actingweb.db.{backend.database}.{MODULES[cls]}")
    made = getattr(module, cls)(*(["a1"] if cls == "DbSubscriptionSuspension" else []))
    assert inspect.signature(getattr(made, method)).bind(*positional, **dict.fromkeys(named))


@pytest.mark.backends("dynamodb")
def test_models_offer_what_maintenance_uses(backend: Backend, actor_id: str) -> None:
    backend.DbProperty.DbProperty().set(actor_id, "color", "red")
    actors = backend.DbActor.Actor.scan(consistent_read=True, attributes_to_get=["id"])
    assert [actor.id for actor in actors] == [actor_id]
    (actor,) = backend.DbActor.ActorModel.scan()
    assert actor.to_dict()["id"] == actor_id
    found = backend.DbProperty.Property.scan(segment=0, total_segments=1, last_evaluated_key=None)
    assert [(item.id, item.name, item.value) for item in found] == [(actor_id, "color", "red")]
    assert found.last_evaluated_key is None
    assert backend.DbProperty.Property.Meta.table_name.endswith("_properties")
    assert len(list(backend.DbProperty.Property.scan(limit=1))) == 1


@pytest.mark.backends("postgresql")
def test_get_connection_serves_plain_tuples_of_the_layers_tables(backend: Backend, actor_id: str) -> None:
    from actingweb.db.postgresql.connection import get_connection

    backend.DbProperty.DbProperty().set(actor_id, "color", "red")
    backend.DbAttribute.DbAttribute().set_attr(actor_id, "bucket", "name", "data")
    backend.DbTrust.DbTrust().create(actor_id, "p1")
    queries = {
        "SELECT id FROM actors": (actor_id,),
        "SELECT id, name FROM properties": (actor_id, "color"),
        "SELECT id, bucket_name FROM attributes": (actor_id, "bucket:name"),
        "SELECT id, peerid FROM trusts": (actor_id, "p1"),
    }
    with get_connection() as connection, connection.cursor() as cursor:
        for query, row in queries.items():
            cursor.execute(query.encode())
            assert cursor.fetchall() == [row]
