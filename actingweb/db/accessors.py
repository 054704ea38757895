"""The fifteen accessors. Each returns a new object of the backend whose modules are attributes of `config`."""

from collections.abc import Callable
from typing import Any

from actingweb.db.protocols import (
    DbActorListProtocol,
    DbActorProtocol,
    DbAttributeBucketListProtocol,
    DbAttributeProtocol,
    DbPeerTrusteeListProtocol,
    DbPeerTrusteeProtocol,
    DbPropertyListProtocol,
    DbPropertyProtocol,
    DbSubscriptionDiffListProtocol,
    DbSubscriptionDiffProtocol,
    DbSubscriptionListProtocol,
    DbSubscriptionProtocol,
    DbTrustListProtocol,
    DbTrustProtocol,
    SubscriptionSuspensionProtocol,
)


def get_actor(config: Any) -> DbActorProtocol:
    """Make an object for one actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbActorProtocol = config.DbActor.DbActor()
    return made


def get_actor_list(config: Any) -> DbActorListProtocol:
    """Make an object for all actors.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbActorListProtocol = config.DbActor.DbActorList()
    return made


def get_property(config: Any) -> DbPropertyProtocol:
    """Make an object for one property of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbPropertyProtocol = config.DbProperty.DbProperty(
        use_lookup_table=config.use_lookup_table, indexed_properties=config.indexed_properties
    )
    return made


def get_property_list(config: Any) -> DbPropertyListProtocol:
    """Make an object for all properties of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbPropertyListProtocol = config.DbProperty.DbPropertyList(
        use_lookup_table=config.use_lookup_table, indexed_properties=config.indexed_properties
    )
    return made


def get_trust(config: Any) -> DbTrustProtocol:
    """Make an object for one trust of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbTrustProtocol = config.DbTrust.DbTrust()
    return made


def get_trust_list(config: Any) -> DbTrustListProtocol:
    """Make an object for all trusts of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbTrustListProtocol = config.DbTrust.DbTrustList()
    return made


def get_peer_trustee(config: Any) -> DbPeerTrusteeProtocol:
    """Make an object for one peer trustee of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbPeerTrusteeProtocol = config.DbPeerTrustee.DbPeerTrustee()
    return made


def get_peer_trustee_list(config: Any) -> DbPeerTrusteeListProtocol:
    """Make an object for all peer trustees of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbPeerTrusteeListProtocol = config.DbPeerTrustee.DbPeerTrusteeList()
    return made


def get_subscription(config: Any) -> DbSubscriptionProtocol:
    """Make an object for one subscription to an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbSubscriptionProtocol = config.DbSubscription.DbSubscription()
    return made


def get_subscription_list(config: Any) -> DbSubscriptionListProtocol:
    """Make an object for all subscriptions to an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbSubscriptionListProtocol = config.DbSubscription.DbSubscriptionList()
    return made


def get_subscription_diff(config: Any) -> DbSubscriptionDiffProtocol:
    """Make an object for one diff of a subscription.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbSubscriptionDiffProtocol = config.DbSubscriptionDiff.DbSubscriptionDiff()
    return made


def get_subscription_diff_list(config: Any) -> DbSubscriptionDiffListProtocol:
    """Make an object for the diffs of a subscription or an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbSubscriptionDiffListProtocol = config.DbSubscriptionDiff.DbSubscriptionDiffList()
    return made


def get_subscription_suspension(config: Any, actor_id: str) -> SubscriptionSuspensionProtocol:
    """Make an object for the suspended targets of an actor.

    Args:
        config: the application's configuration, with the backend's modules.
        actor_id: the actor that owns the targets.

    Returns:
        A new object of the configured backend.
    """
    made: SubscriptionSuspensionProtocol = config.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    return made


def get_attribute(config: Any) -> DbAttributeProtocol:
    """Make an object for the attributes of actors.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbAttributeProtocol = config.DbAttribute.DbAttribute()
    return made


def get_attribute_bucket_list(config: Any) -> DbAttributeBucketListProtocol:
    """Make an object for all attributes of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: DbAttributeBucketListProtocol = config.DbAttribute.DbAttributeBucketList()
    return made


def get_db_accessors() -> dict[str, Callable[..., Any]]:
    """Return the fifteen accessors, by their names without `get_`."""
    return {
        "actor": get_actor,
        "actor_list": get_actor_list,
        "property": get_property,
        "property_list": get_property_list,
        "trust": get_trust,
        "trust_list": get_trust_list,
        "peer_trustee": get_peer_trustee,
        "peer_trustee_list": get_peer_trustee_list,
        "subscription": get_subscription,
        "subscription_list": get_subscription_list,
        "subscription_diff": get_subscription_diff,
        "subscription_diff_list": get_subscription_diff_list,
        "subscription_suspension": get_subscription_suspension,
        "attribute": get_attribute,
        "attribute_bucket_list": get_attribute_bucket_list,
    }
