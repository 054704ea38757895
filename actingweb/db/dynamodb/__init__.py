"""Storage in DynamoDB, through pynamodb."""

from actingweb.db.capabilities import Capability
from actingweb.db.dynamodb._ensure import auto_create_enabled, reset_ensure_cache, set_auto_create
from actingweb.db.dynamodb.actor import Actor, ActorModel, CreatorIndex, DbActor, DbActorList
from actingweb.db.dynamodb.attribute import Attribute, AttributeModel, DbAttribute, DbAttributeBucketList
from actingweb.db.dynamodb.peertrustee import DbPeerTrustee, DbPeerTrusteeList, PeerTrustee, PeerTrusteeModel
from actingweb.db.dynamodb.probe import health
from actingweb.db.dynamodb.property import (
    DbProperty,
    DbPropertyList,
    Property,
    PropertyIndex,
    PropertyLegacy,
    PropertyLegacyModel,
    PropertyModel,
)
from actingweb.db.dynamodb.property_lookup import (
    DbPropertyLookup,
    PropertyLookup,
    PropertyLookupModel,
    PropertyLookupV2,
    PropertyLookupV2Model,
)
from actingweb.db.dynamodb.subscription import DbSubscription, DbSubscriptionList, Subscription, SubscriptionModel
from actingweb.db.dynamodb.subscription_diff import (
    DbSubscriptionDiff,
    DbSubscriptionDiffList,
    SubscriptionDiff,
    SubscriptionDiffModel,
)
from actingweb.db.dynamodb.subscription_suspension import (
    DbSubscriptionSuspension,
    SubscriptionSuspension,
    SubscriptionSuspensionModel,
)
from actingweb.db.dynamodb.trust import DbTrust, DbTrustList, SecretIndex, Trust, TrustModel

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
    "reset_ensure_cache",
    "set_auto_create",
]
