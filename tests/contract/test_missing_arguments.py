"""A missing argument never raises and needs no request (1.2)."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy

from .support.calls import ALL
from .support.signatures import MODULES, SIGNATURES

# What a method answers when an argument that it needs is missing.
MISSING: dict[str, object] = {
    "DbActor.get": None,
    "DbActor.get_by_creator": None,
    "DbActor.create": False,
    "DbActor.modify": False,
    "DbActor.delete": False,
    "DbProperty.get": None,
    "DbProperty.get_many": {},
    "DbProperty.set": False,
    "DbProperty.set_many": False,
    "DbProperty.delete": False,
    "DbProperty.get_actor_id_from_property": None,
    "DbProperty.get_range": {},
    "DbProperty.get_prefix": {},
    "DbProperty.get_last_in_range": None,
    "DbProperty.create_if_not_exists": False,
    "DbProperty.set_if_value_equals": False,
    "DbProperty.delete_if_value_equals": False,
    "DbProperty.batch_delete": None,
    "DbPropertyList.fetch": None,
    "DbPropertyList.fetch_all_including_lists": None,
    "DbPropertyList.delete": False,
    "DbPropertyLookup.get": None,
    "DbPropertyLookup.create": False,
    "DbPropertyLookup.delete": False,
    "DbPropertyLookup.get_v1": None,
    "DbTrust.get": None,
    "DbTrust.get_many": [],
    "DbTrust.create": False,
    "DbTrust.modify": False,
    "DbTrust.delete": False,
    "DbTrust.is_token_in_db": False,
    "DbTrustList.fetch": [],
    "DbTrustList.delete": False,
    "DbPeerTrustee.get": None,
    "DbPeerTrustee.create": False,
    "DbPeerTrustee.modify": False,
    "DbPeerTrustee.delete": False,
    "DbPeerTrusteeList.fetch": [],
    "DbPeerTrusteeList.delete": False,
    "DbSubscription.get": None,
    "DbSubscription.create": False,
    "DbSubscription.modify": False,
    "DbSubscription.increment_seqnr": None,
    "DbSubscription.delete": False,
    "DbSubscriptionList.fetch": [],
    "DbSubscriptionList.delete": False,
    "DbSubscriptionDiff.get": None,
    "DbSubscriptionDiff.create": False,
    "DbSubscriptionDiff.create_many": [],
    "DbSubscriptionDiff.delete": False,
    "DbSubscriptionDiffList.fetch": [],
    "DbSubscriptionDiffList.delete": False,
    "DbSubscriptionSuspension.is_suspended": False,
    "DbSubscriptionSuspension.suspend": False,
    "DbSubscriptionSuspension.resume": False,
    "DbSubscriptionSuspension.get_all_suspended": [],
    "DbSubscriptionSuspension.delete_all": False,
    "DbAttribute.get_bucket": None,
    "DbAttribute.get_attr": None,
    "DbAttribute.get_attr_strict": None,
    "DbAttribute.set_attr": False,
    "DbAttribute.delete_attr": False,
    "DbAttribute.delete_attr_conditional": False,
    "DbAttribute.conditional_update_attr": False,
    "DbAttribute.delete_bucket": False,
    "DbAttribute.delete_by_chain": 0,
    "DbAttributeBucketList.fetch": None,
    "DbAttributeBucketList.fetch_timestamps": None,
    "DbAttributeBucketList.delete": False,
}
NEED_NOTHING = {"DbActorList.fetch", "DbActorList.iterate", "DbAttribute.delete_expired"}
# The parameters that are not part of a key keep their defaults.
KEY_PARTS = {
    *("actor_id", "name", "peerid", "peer_type", "token", "subid", "bucket", "property_name", "target", "chain_id"),
    *("buckets", "names", "peerids", "values", "diffs", "prefix", "upper"),
}
# Parts of a key without which a method does something else.
OPTIONAL = {
    *("DbTrust.get peerid", "DbTrust.get token", "DbTrust.create peer_type", "DbSubscription.create target"),
    # With diffs, as many times False.
    "DbSubscriptionDiff.create_many actor_id",
    *("DbPeerTrustee.get peerid", "DbPeerTrustee.get peer_type", "DbSubscriptionDiffList.fetch subid"),
}


def test_the_table_of_missing_arguments_covers_every_method() -> None:
    assert set(MISSING) | NEED_NOTHING == ALL


def test_a_missing_argument_needs_no_server(backend: Backend, proxy: TcpProxy) -> None:
    """Objects are made before, as on DynamoDB a constructor makes sure of the table."""
    methods = {name: _fresh(backend, name) for name in MISSING}
    proxy.stop()
    _check_missing(methods)


def test_a_missing_argument_never_raises(backend: Backend) -> None:
    _check_missing({name: _fresh(backend, name) for name in MISSING})


def _fresh(backend: Backend, name: str) -> Callable[..., object]:
    cls, _, method = name.partition(".")
    module = importlib.import_module(f"actingweb.db.{backend.database}.{MODULES[cls]}")
    made = getattr(module, cls)(*([None] if cls == "DbSubscriptionSuspension" else []))
    found: Callable[..., object] = getattr(made, method)
    return found


def _check_missing(methods: dict[str, Callable[..., object]]) -> None:
    for name, method in methods.items():
        for arguments in _incomplete(name):
            assert method(**arguments) == MISSING[name], (name, arguments)


def _incomplete(name: str) -> Iterator[dict[str, Any]]:
    """Yield arguments of the method without any part of the key, and with all parts but one that it needs."""
    cls, _, method = name.partition(".")
    parts = [parameter for parameter, *_ in SIGNATURES[cls][method] if parameter in KEY_PARTS]
    for nothing in (None, ""):
        yield dict.fromkeys(parts, nothing)
        for part in parts:
            if f"{name} {part}" not in OPTIONAL:
                yield {**dict.fromkeys(parts, "x"), part: nothing}
