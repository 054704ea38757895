"""The public methods of every class and their parameters, as the protocols declare them."""

import inspect

from actingweb.db import protocols
from actingweb.db.policy.property_lookup import PropertyLookupPolicy

Parameters = list[tuple[str, object, object]]

MODULES = {
    "DbActor": "actor",
    "DbActorList": "actor",
    "DbProperty": "property",
    "DbPropertyList": "property",
    "DbPropertyLookup": "property_lookup",
    "DbTrust": "trust",
    "DbTrustList": "trust",
    "DbPeerTrustee": "peertrustee",
    "DbPeerTrusteeList": "peertrustee",
    "DbSubscription": "subscription",
    "DbSubscriptionList": "subscription",
    "DbSubscriptionDiff": "subscription_diff",
    "DbSubscriptionDiffList": "subscription_diff",
    "DbSubscriptionSuspension": "subscription_suspension",
    "DbAttribute": "attribute",
    "DbAttributeBucketList": "attribute",
}
"""The module of each class."""

PROTOCOLS: dict[str, type] = {
    # The protocol's own name differs for the one class whose accessor takes an argument.
    cls: getattr(protocols, f"{cls.removeprefix('Db') if cls == 'DbSubscriptionSuspension' else cls}Protocol")
    for cls in MODULES
    if cls != "DbPropertyLookup"
}
"""The protocol of each class that has one."""


def parameters_of(function: object, *, skip: tuple[str, ...] = ()) -> Parameters:
    """Return name, default and kind of each parameter but those of `skip`."""
    assert callable(function)
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.default, each.kind) for each in found if each.name not in skip]


def _signatures(interface: type) -> dict[str, Parameters]:
    methods = {name: getattr(interface, name) for name in vars(interface) if not name.startswith("_")}
    return {name: parameters_of(found, skip=("self",)) for name, found in methods.items() if inspect.isroutine(found)}


# Tools use the look-up rows without an accessor, so that class has no protocol.
SIGNATURES = {cls: _signatures(PROTOCOLS.get(cls, PropertyLookupPolicy)) for cls in MODULES}
"""The parameters of each public method of each class."""

METHODS = [(cls, method) for cls, methods in SIGNATURES.items() for method in methods]
"""Every public method."""
