"""The names that a backend in another package imports. They are public and change only in a new major version.

A backend is a package with one module for each entity, named in `MODULES`. A module defines the classes of its entity,
as `trust` defines `DbTrust` and `DbTrustList`. Each class inherits from the policy of its entity. The policy checks
arguments, keeps the handle and shapes results. The class implements the abstract methods of the policy, whose
docstrings say what each must do, and only does I/O.

An entry point of the group `BACKEND_GROUP` names the package; the name of the entry point is a value of
DATABASE_BACKEND. The package may list its capabilities in `CAPABILITIES`, a frozenset of `Capability`.

* Base classes: the policies, and `EntityBase[R]` for the methods that the classes of a backend share.
* Rows: the records. `table`, `key`, `fields` and `types` of a record class describe its columns.
* `Limits`: what the columns can hold. The attribute `limits` of each class is an instance of a subclass.
* Results: `Stored` and `Claim`, which methods for indexed properties return.
* Errors: a method raises `Fault(error, reason, cause)`, where `error` is a subclass of `DbError`. The public method
  then raises that error with the name of the operation. `input_error(reason)` returns the fault of an argument that
  cannot be stored. `DriverError` replaces a driver's exception whose text can quote stored data.
* Protocols: `_entity: type[DbTrustProtocol] = DbTrust` and `_list: type[DbTrustListProtocol] = DbTrustList` at the end
  of a module make a type checker compare its classes with their protocols.
* Helpers: `compute_lookup_key`, `decode_json`, `get_settings`, `is_secret`, `json_equal`, `ttl_deadline`.

docs/guides/backend.md shows how to write and test a backend.
"""

from actingweb.db.capabilities import Capability
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
from actingweb.db.faults import DriverError, Fault, input_error
from actingweb.db.policy.actor import ActorListPolicy, ActorPolicy
from actingweb.db.policy.attribute import (
    TTL_CLOCK_SKEW_BUFFER,
    AttributeBucketListPolicy,
    AttributePolicy,
    ttl_deadline,
)
from actingweb.db.policy.entity import EntityBase, Limits, R
from actingweb.db.policy.indexing import LIST_PREFIX, Claim, Stored
from actingweb.db.policy.json_values import decoded as decode_json
from actingweb.db.policy.json_values import equal as json_equal
from actingweb.db.policy.peertrustee import PeerTrusteeListPolicy, PeerTrusteePolicy
from actingweb.db.policy.property import PropertyListPolicy, PropertyPolicy
from actingweb.db.policy.property_lookup import PropertyLookupPolicy
from actingweb.db.policy.subscription import SubscriptionListPolicy, SubscriptionPolicy
from actingweb.db.policy.subscription_diff import SubscriptionDiffListPolicy, SubscriptionDiffPolicy
from actingweb.db.policy.subscription_suspension import SubscriptionSuspensionPolicy
from actingweb.db.policy.trust import TrustListPolicy, TrustPolicy, is_secret
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
from actingweb.db.records import (
    ActorRecord,
    AttributeRecord,
    EncodedAttribute,
    PeerTrusteeRecord,
    PropertyLookupRecord,
    PropertyRecord,
    Record,
    SubscriptionDiffRecord,
    SubscriptionRecord,
    SubscriptionSuspensionRecord,
    TrustRecord,
)
from actingweb.db.registry import GROUP as BACKEND_GROUP
from actingweb.db.settings import Settings, get_settings
from actingweb.db.utils import compute_lookup_key

__all__ = [
    "BACKEND_GROUP",
    "LIST_PREFIX",
    "MODULES",
    "TTL_CLOCK_SKEW_BUFFER",
    "ActorListPolicy",
    "ActorPolicy",
    "ActorRecord",
    "AttributeBucketListPolicy",
    "AttributePolicy",
    "AttributeRecord",
    "Capability",
    "Claim",
    "ConfigurationError",
    "DbActorListProtocol",
    "DbActorProtocol",
    "DbAttributeBucketListProtocol",
    "DbAttributeProtocol",
    "DbConflictError",
    "DbConnectionError",
    "DbError",
    "DbInputError",
    "DbNotSupportedError",
    "DbOutcomeUnknownError",
    "DbPeerTrusteeListProtocol",
    "DbPeerTrusteeProtocol",
    "DbPropertyListProtocol",
    "DbPropertyProtocol",
    "DbSchemaError",
    "DbSubscriptionDiffListProtocol",
    "DbSubscriptionDiffProtocol",
    "DbSubscriptionListProtocol",
    "DbSubscriptionProtocol",
    "DbThrottledError",
    "DbTimeoutError",
    "DbTrustListProtocol",
    "DbTrustProtocol",
    "DbUnknownActorError",
    "DriverError",
    "EncodedAttribute",
    "EntityBase",
    "Fault",
    "Limits",
    "PeerTrusteeListPolicy",
    "PeerTrusteePolicy",
    "PeerTrusteeRecord",
    "PropertyListPolicy",
    "PropertyLookupPolicy",
    "PropertyLookupRecord",
    "PropertyPolicy",
    "PropertyRecord",
    "R",
    "Record",
    "Settings",
    "Stored",
    "SubscriptionDiffListPolicy",
    "SubscriptionDiffPolicy",
    "SubscriptionDiffRecord",
    "SubscriptionListPolicy",
    "SubscriptionPolicy",
    "SubscriptionRecord",
    "SubscriptionSuspensionPolicy",
    "SubscriptionSuspensionProtocol",
    "SubscriptionSuspensionRecord",
    "TrustListPolicy",
    "TrustPolicy",
    "TrustRecord",
    "compute_lookup_key",
    "decode_json",
    "get_settings",
    "input_error",
    "is_secret",
    "json_equal",
    "ttl_deadline",
]

MODULES = (
    "actor",
    "attribute",
    "peertrustee",
    "property",
    "property_lookup",
    "subscription",
    "subscription_diff",
    "subscription_suspension",
    "trust",
)
"""The modules of a backend, one for each entity."""
