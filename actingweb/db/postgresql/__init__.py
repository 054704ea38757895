"""The PostgreSQL backend."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from actingweb.db.capabilities import Capability

try:
    import psycopg as psycopg

    if find_spec("psycopg_pool") is None:
        raise ImportError("No module named 'psycopg_pool'")
except ImportError as error:
    raise ImportError(
        f"PostgreSQL needs psycopg and its pool ({error}): pip install 'actingweb-db[postgresql]'"
    ) from error

if TYPE_CHECKING:
    from actingweb.db.postgresql.actor import DbActor as DbActor
    from actingweb.db.postgresql.actor import DbActorList as DbActorList
    from actingweb.db.postgresql.attribute import DbAttribute as DbAttribute
    from actingweb.db.postgresql.attribute import DbAttributeBucketList as DbAttributeBucketList
    from actingweb.db.postgresql.connection import pool_state as pool_state
    from actingweb.db.postgresql.password import set_password_source as set_password_source
    from actingweb.db.postgresql.peertrustee import DbPeerTrustee as DbPeerTrustee
    from actingweb.db.postgresql.peertrustee import DbPeerTrusteeList as DbPeerTrusteeList
    from actingweb.db.postgresql.probe import health as health
    from actingweb.db.postgresql.property import DbProperty as DbProperty
    from actingweb.db.postgresql.property import DbPropertyList as DbPropertyList
    from actingweb.db.postgresql.property_lookup import DbPropertyLookup as DbPropertyLookup
    from actingweb.db.postgresql.subscription import DbSubscription as DbSubscription
    from actingweb.db.postgresql.subscription import DbSubscriptionList as DbSubscriptionList
    from actingweb.db.postgresql.subscription_diff import DbSubscriptionDiff as DbSubscriptionDiff
    from actingweb.db.postgresql.subscription_diff import DbSubscriptionDiffList as DbSubscriptionDiffList
    from actingweb.db.postgresql.subscription_suspension import DbSubscriptionSuspension as DbSubscriptionSuspension
    from actingweb.db.postgresql.trust import DbTrust as DbTrust
    from actingweb.db.postgresql.trust import DbTrustList as DbTrustList

CAPABILITIES = frozenset(
    {
        Capability.TRANSACTIONS,
        Capability.HEALTH_CHECK,
        Capability.ACTOR_REFERENCES,
        Capability.KEYS_BY_PARTS,
        Capability.LARGE_VALUES,
        Capability.ATOMIC_BATCHES,
        Capability.CONSISTENT_INDEXES,
        Capability.PURGE,
    }
)
"""What PostgreSQL can do that not every backend can."""

_MODULES = {
    "DbActor": "actor",
    "DbActorList": "actor",
    "DbAttribute": "attribute",
    "DbAttributeBucketList": "attribute",
    "DbPeerTrustee": "peertrustee",
    "DbPeerTrusteeList": "peertrustee",
    "DbProperty": "property",
    "DbPropertyList": "property",
    "DbPropertyLookup": "property_lookup",
    "DbSubscription": "subscription",
    "DbSubscriptionDiff": "subscription_diff",
    "DbSubscriptionDiffList": "subscription_diff",
    "DbSubscriptionList": "subscription",
    "DbSubscriptionSuspension": "subscription_suspension",
    "DbTrust": "trust",
    "DbTrustList": "trust",
    "health": "probe",
    "pool_state": "connection",
    "set_password_source": "password",
}

__all__ = ["CAPABILITIES", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a class on first use: Alembic imports this package and needs none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
