"""The fifteen accessors of `actingweb.db.accessors`, whose objects have coroutines."""

# scripts/generate_aio.py wrote this module.

from collections.abc import Callable
from typing import Any

from actingweb.db import accessors
from actingweb.db.aio.objects import asynchronous
from actingweb.db.aio.protocols import (
    AsyncDbActorListProtocol,
    AsyncDbActorProtocol,
    AsyncDbAttributeBucketListProtocol,
    AsyncDbAttributeProtocol,
    AsyncDbPeerTrusteeListProtocol,
    AsyncDbPeerTrusteeProtocol,
    AsyncDbPropertyListProtocol,
    AsyncDbPropertyProtocol,
    AsyncDbSubscriptionDiffListProtocol,
    AsyncDbSubscriptionDiffProtocol,
    AsyncDbSubscriptionListProtocol,
    AsyncDbSubscriptionProtocol,
    AsyncDbTrustListProtocol,
    AsyncDbTrustProtocol,
    AsyncSubscriptionSuspensionProtocol,
)


def get_actor(config: Any) -> AsyncDbActorProtocol:
    """Make an object for one actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbActorProtocol = asynchronous(AsyncDbActorProtocol, accessors.get_actor, config)
    return made


def get_actor_list(config: Any) -> AsyncDbActorListProtocol:
    """Make an object for all actors.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbActorListProtocol = asynchronous(AsyncDbActorListProtocol, accessors.get_actor_list, config)
    return made


def get_property(config: Any) -> AsyncDbPropertyProtocol:
    """Make an object for one property of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbPropertyProtocol = asynchronous(AsyncDbPropertyProtocol, accessors.get_property, config)
    return made


def get_property_list(config: Any) -> AsyncDbPropertyListProtocol:
    """Make an object for all properties of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbPropertyListProtocol = asynchronous(AsyncDbPropertyListProtocol, accessors.get_property_list, config)
    return made


def get_trust(config: Any) -> AsyncDbTrustProtocol:
    """Make an object for one trust of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbTrustProtocol = asynchronous(AsyncDbTrustProtocol, accessors.get_trust, config)
    return made


def get_trust_list(config: Any) -> AsyncDbTrustListProtocol:
    """Make an object for all trusts of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbTrustListProtocol = asynchronous(AsyncDbTrustListProtocol, accessors.get_trust_list, config)
    return made


def get_peer_trustee(config: Any) -> AsyncDbPeerTrusteeProtocol:
    """Make an object for one peer trustee of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbPeerTrusteeProtocol = asynchronous(AsyncDbPeerTrusteeProtocol, accessors.get_peer_trustee, config)
    return made


def get_peer_trustee_list(config: Any) -> AsyncDbPeerTrusteeListProtocol:
    """Make an object for all peer trustees of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbPeerTrusteeListProtocol = asynchronous(
        AsyncDbPeerTrusteeListProtocol, accessors.get_peer_trustee_list, config
    )
    return made


def get_subscription(config: Any) -> AsyncDbSubscriptionProtocol:
    """Make an object for one subscription to an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbSubscriptionProtocol = asynchronous(AsyncDbSubscriptionProtocol, accessors.get_subscription, config)
    return made


def get_subscription_list(config: Any) -> AsyncDbSubscriptionListProtocol:
    """Make an object for all subscriptions to an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbSubscriptionListProtocol = asynchronous(
        AsyncDbSubscriptionListProtocol, accessors.get_subscription_list, config
    )
    return made


def get_subscription_diff(config: Any) -> AsyncDbSubscriptionDiffProtocol:
    """Make an object for one diff of a subscription.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbSubscriptionDiffProtocol = asynchronous(
        AsyncDbSubscriptionDiffProtocol, accessors.get_subscription_diff, config
    )
    return made


def get_subscription_diff_list(config: Any) -> AsyncDbSubscriptionDiffListProtocol:
    """Make an object for the diffs of a subscription or an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbSubscriptionDiffListProtocol = asynchronous(
        AsyncDbSubscriptionDiffListProtocol, accessors.get_subscription_diff_list, config
    )
    return made


def get_subscription_suspension(config: Any, actor_id: str) -> AsyncSubscriptionSuspensionProtocol:
    """Make an object for the suspended targets of an actor.

    Args:
        config: the application's configuration, with the backend's modules.
        actor_id: the actor that owns the targets.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncSubscriptionSuspensionProtocol = asynchronous(
        AsyncSubscriptionSuspensionProtocol, accessors.get_subscription_suspension, config, actor_id
    )
    return made


def get_attribute(config: Any) -> AsyncDbAttributeProtocol:
    """Make an object for the attributes of actors.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbAttributeProtocol = asynchronous(AsyncDbAttributeProtocol, accessors.get_attribute, config)
    return made


def get_attribute_bucket_list(config: Any) -> AsyncDbAttributeBucketListProtocol:
    """Make an object for all attributes of an actor.

    Args:
        config: the application's configuration, with the backend's modules.

    Returns:
        A new object of the configured backend.
    """
    made: AsyncDbAttributeBucketListProtocol = asynchronous(
        AsyncDbAttributeBucketListProtocol, accessors.get_attribute_bucket_list, config
    )
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
