"""Finds and loads a backend."""

import importlib
import sys
from contextlib import AbstractContextManager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from actingweb.db.capabilities import Capability
from actingweb.db.exceptions import ConfigurationError, DbNotSupportedError
from actingweb.db.settings import get_settings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILT_IN", "GROUP", "Backend", "load_backend"]

BUILT_IN = ("dynamodb", "postgresql")
GROUP = "actingweb.db.backends"
"""An entry point of this group names a package with the same nine modules as the built-in backends.

The package may list its capabilities in `CAPABILITIES`, a frozenset of `Capability`.
"""

_NO_TRANSACTIONS = (
    "{database} has no transactions over several calls: use set_many and create_many, which store all or nothing, or "
    "set_if_value_equals and conditional_update_attr, which change only what nobody else has changed"
)


class Backend(NamedTuple):
    """A loaded backend, usable as the `config` of the accessors."""

    database: str
    capabilities: frozenset[Capability]
    use_lookup_table: bool
    indexed_properties: list[str]
    DbActor: Any
    DbPeerTrustee: Any
    DbProperty: Any
    DbAttribute: Any
    DbSubscription: Any
    DbSubscriptionDiff: Any
    DbTrust: Any
    DbSubscriptionSuspension: Any

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context manager that makes the calls of its block one transaction: see `actingweb.db.transaction`.

        Raise `DbNotSupportedError` without `Capability.TRANSACTIONS`.
        """
        if Capability.TRANSACTIONS not in self.capabilities:
            raise DbNotSupportedError("transaction", reason=_NO_TRANSACTIONS.format(database=self.database))
        context: AbstractContextManager[None] = _module(self.database, "transaction").transaction()
        return context


def load_backend(name: str | None = None) -> Backend:
    """Load the backend `name`, by default the one that DATABASE_BACKEND names.

    Raise `ConfigurationError` if there is no such backend, `ImportError` naming the extra if its driver is missing.
    """
    settings = get_settings()
    database = name or settings.database_backend
    if database not in BUILT_IN:
        _mount(database, "DATABASE_BACKEND" if name is None else "the backend")
    return Backend(
        database=database,
        capabilities=getattr(importlib.import_module(f"actingweb.db.{database}"), "CAPABILITIES", frozenset()),
        use_lookup_table=settings.use_property_lookup_table,
        indexed_properties=list(settings.indexed_properties),
        DbActor=_module(database, "actor"),
        DbPeerTrustee=_module(database, "peertrustee"),
        DbProperty=_module(database, "property"),
        DbAttribute=_module(database, "attribute"),
        DbSubscription=_module(database, "subscription"),
        DbSubscriptionDiff=_module(database, "subscription_diff"),
        DbTrust=_module(database, "trust"),
        DbSubscriptionSuspension=_module(database, "subscription_suspension"),
    )


def _module(database: str, entity: str) -> ModuleType:
    return importlib.import_module(f"actingweb.db.{database}.{entity}")


@cache
def _registered() -> "dict[str, EntryPoint]":
    # Imported here, because it takes time and the built-in backends need no entry point.
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _mount(database: str, what: str) -> None:
    """Make a registered package importable as `actingweb.db.{database}`, where the framework looks for backends."""
    if database not in _registered():
        allowed = ", ".join((*BUILT_IN, *sorted(_registered())))
        raise ConfigurationError(f"{what} is {database!r}: must be one of {allowed}")
    alias = f"actingweb.db.{database}"
    if alias not in sys.modules:
        sys.modules[alias] = importlib.import_module(_registered()[database].value)
