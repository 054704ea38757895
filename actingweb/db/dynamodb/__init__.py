"""Storage in DynamoDB."""

from typing import TYPE_CHECKING

from actingweb.db.capabilities import Capability
from actingweb.db.dynamodb._ensure import auto_create_enabled, reset_ensure_cache, set_auto_create
from actingweb.db.dynamodb.actor import DbActor, DbActorList
from actingweb.db.dynamodb.attribute import DbAttribute, DbAttributeBucketList
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.peertrustee import DbPeerTrustee, DbPeerTrusteeList
from actingweb.db.dynamodb.probe import health
from actingweb.db.dynamodb.property import DbProperty, DbPropertyList
from actingweb.db.dynamodb.property_lookup import DbPropertyLookup
from actingweb.db.dynamodb.subscription import DbSubscription, DbSubscriptionList
from actingweb.db.dynamodb.subscription_diff import DbSubscriptionDiff, DbSubscriptionDiffList
from actingweb.db.dynamodb.subscription_suspension import DbSubscriptionSuspension
from actingweb.db.dynamodb.transport import pool_state
from actingweb.db.dynamodb.trust import DbTrust, DbTrustList

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import (
        Actor,
        ActorModel,
        Attribute,
        AttributeModel,
        CreatorIndex,
        PeerTrustee,
        PeerTrusteeModel,
        Property,
        PropertyIndex,
        PropertyLegacy,
        PropertyLegacyModel,
        PropertyLookup,
        PropertyLookupModel,
        PropertyLookupV2,
        PropertyLookupV2Model,
        PropertyModel,
        SecretIndex,
        Subscription,
        SubscriptionDiff,
        SubscriptionDiffModel,
        SubscriptionModel,
        SubscriptionSuspension,
        SubscriptionSuspensionModel,
        Trust,
        TrustModel,
    )
else:
    __getattr__ = lazy_models(__name__)

CAPABILITIES = frozenset({Capability.HEALTH_CHECK, Capability.LONG_NUMBERS, Capability.LOOKUP_FALLBACKS})
"""What DynamoDB can do that not every backend can."""

__all__ = [
    "CAPABILITIES",
    "Actor",
    "ActorModel",
    "Attribute",
    "AttributeModel",
    "CreatorIndex",
    "DbActor",
    "DbActorList",
    "DbAttribute",
    "DbAttributeBucketList",
    "DbPeerTrustee",
    "DbPeerTrusteeList",
    "DbProperty",
    "DbPropertyList",
    "DbPropertyLookup",
    "DbSubscription",
    "DbSubscriptionDiff",
    "DbSubscriptionDiffList",
    "DbSubscriptionList",
    "DbSubscriptionSuspension",
    "DbTrust",
    "DbTrustList",
    "PeerTrustee",
    "PeerTrusteeModel",
    "Property",
    "PropertyIndex",
    "PropertyLegacy",
    "PropertyLegacyModel",
    "PropertyLookup",
    "PropertyLookupModel",
    "PropertyLookupV2",
    "PropertyLookupV2Model",
    "PropertyModel",
    "SecretIndex",
    "Subscription",
    "SubscriptionDiff",
    "SubscriptionDiffModel",
    "SubscriptionModel",
    "SubscriptionSuspension",
    "SubscriptionSuspensionModel",
    "Trust",
    "TrustModel",
    "auto_create_enabled",
    "health",
    "pool_state",
    "reset_ensure_cache",
    "set_auto_create",
]
