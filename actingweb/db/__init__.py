"""The storage of an ActingWeb application: one interface to DynamoDB or PostgreSQL.

Every accessor takes the application's `config`, whose attributes are the backend's modules (`config.DbActor` and so
on), and returns a new object. `load_backend()` returns such a `config` for the backend that DATABASE_BACKEND names.
"""

import importlib
import typing

from actingweb.db.accessors import (
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
from actingweb.db.exceptions import (
    ConfigurationError,
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbNotSupportedError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
    DbUnknownActorError,
)
from actingweb.db.registry import load_backend
from actingweb.db.settings import get_settings, reset_settings
from actingweb.db.version import __version__ as __version__

if typing.TYPE_CHECKING:
    from actingweb.db.healthcheck import health as health
    from actingweb.db.statistics import stats as stats
    from actingweb.db.transactions import transaction as transaction

__distribution__ = "actingweb-db"
"""The framework's own storage layer has the same package name; this attribute tells the two apart."""

__all__ = [
    "ConfigurationError",
    "DbConflictError",
    "DbConnectionError",
    "DbError",
    "DbInputError",
    "DbNotSupportedError",
    "DbOutcomeUnknownError",
    "DbSchemaError",
    "DbThrottledError",
    "DbTimeoutError",
    "DbUnknownActorError",
    "get_actor",
    "get_actor_list",
    "get_attribute",
    "get_attribute_bucket_list",
    "get_db_accessors",
    "get_peer_trustee",
    "get_peer_trustee_list",
    "get_property",
    "get_property_list",
    "get_settings",
    "get_subscription",
    "get_subscription_diff",
    "get_subscription_diff_list",
    "get_subscription_list",
    "get_subscription_suspension",
    "get_trust",
    "get_trust_list",
    "load_backend",
    "reset_settings",
]

_MODULES = {"health": "healthcheck", "stats": "statistics", "transaction": "transactions"}
"""Where the public functions are that contract 2.2 leaves out of `__all__`."""


def __getattr__(name: str) -> typing.Any:
    """Import one of these functions on first use: many processes need none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


def __dir__() -> list[str]:
    """Return all names, also those that are imported on first use."""
    return [*globals(), *_MODULES]
