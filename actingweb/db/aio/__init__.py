"""The interface of `actingweb.db` for asyncio: the same accessors, whose objects have coroutines for methods::

    from actingweb.db.aio import get_property

    name = await get_property(config).get(actor_id="alice", name="email")

Results and errors are those of `actingweb.db`. The calls are made in threads, at most as many as there are connections.
An object makes one call at a time, so each task has its own; those of attributes and suspensions can be shared.

If a task is cancelled during a call, it returns at once. A read then has no consequence. A write that no thread had
begun is not made, any other is made or not, as after `DbOutcomeUnknownError`: it is never half made. The thread ends
the call before it makes another, so nobody else gets its connection. The object forgets its row.
"""

import asyncio
from typing import Any

from actingweb.db import healthcheck
from actingweb.db.aio.accessors import (
    get_actor,
    get_actor_list,
    get_attribute,
    get_attribute_bucket_list,
    get_db_accessors,
    get_peer_trustee,
    get_peer_trustee_list,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_diff_list,
    get_subscription_list,
    get_subscription_suspension,
    get_trust,
    get_trust_list,
)
from actingweb.db.aio.transactions import transaction

__all__ = [
    "get_actor",
    "get_actor_list",
    "get_attribute",
    "get_attribute_bucket_list",
    "get_db_accessors",
    "get_peer_trustee",
    "get_peer_trustee_list",
    "get_property",
    "get_property_list",
    "get_subscription",
    "get_subscription_diff",
    "get_subscription_diff_list",
    "get_subscription_list",
    "get_subscription_suspension",
    "get_trust",
    "get_trust_list",
    "health",
    "transaction",
]


async def health(config: Any = None, *, ready: bool = False) -> dict[str, Any]:
    """Tell whether the database answers: see `actingweb.db.health`. It does not wait for one of the other calls."""
    return await asyncio.to_thread(healthcheck.health, config, ready=ready)
