"""The PynamoDB models of the tables, for maintenance and for creating tables.

Importing the backend and serving calls does not load this module: `lazy_models` loads it at the first use of a model.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError, HTTPClientError
from pynamodb.attributes import (
    Attribute as Column,
)
from pynamodb.attributes import (
    BooleanAttribute,
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.connection import TableConnection
from pynamodb.connection.base import Connection
from pynamodb.exceptions import PynamoDBException, TableError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from actingweb.db.dynamodb import layouts
from actingweb.db.dynamodb.errors import in_use, judge
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.stored_types import column_of
from actingweb.db.dynamodb.table_check import try_to_describe
from actingweb.db.dynamodb.tables import Table, table_of
from actingweb.db.dynamodb.transport import RequestFailed, Transport
from actingweb.db.dynamodb.wire.failures import ServiceError, WireError

__all__ = [
    "Actor",
    "ActorModel",
    "Attribute",
    "AttributeModel",
    "CreatorIndex",
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
    "TableIndex",
    "TableModel",
    "Trust",
    "TrustModel",
    "model_of",
]

logger = logging.getLogger(__name__)

_COLUMNS: dict[Any, Callable[..., Column[Any]]] = {
    str: UnicodeAttribute,
    bool: BooleanAttribute,
    int: NumberAttribute,
    datetime: UTCDateTimeAttribute,
    Any: JSONAttribute,
}
_READS = frozenset({"BatchGetItem", "DescribeTable", "DescribeTimeToLive", "GetItem", "ListTables", "Query", "Scan"})


class _Client:
    """The part of botocore's client that PynamoDB uses. It sends requests by the library's transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.meta = SimpleNamespace(endpoint_url=transport.endpoint_url)

    def _make_api_call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.transport.call(operation, request, operation in _READS)[0]
        except RequestFailed as failure:
            error = failure.error
        raise _as_botocore(error, operation) from error


def _as_botocore(error: Exception, operation: str) -> Exception:
    """Return the exception of botocore, which PynamoDB expects, for a failure."""
    if isinstance(error, ServiceError):
        answer: Any = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": error.status},
            "CancellationReasons": error.reasons,
        }
        return ClientError(answer, operation)
    return HTTPClientError(error=type(error).__name__) if isinstance(error, WireError) else error


class _SharedConnection(Connection):
    """A PynamoDB connection that sends its requests by the library's transport."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.region, table.host)
        self._table = table

    @property
    def client(self) -> Any:
        return _Client(self._table.transport())


class TableModel(Model):
    """A PynamoDB model of a stored record. A subclass sets `layout`, from which its attributes are derived."""

    layout: ClassVar[Layout]
    Meta: Table  # type: ignore[assignment]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.Meta = table_of(cls.layout)
        for name in cls.layout.record.types:
            _declare(cls, name, _column(cls.layout, name))
        if cls.layout.composed:
            _declare(cls, cls.layout.composed, UnicodeAttribute(range_key=True))

    @classmethod
    def _get_connection(cls) -> TableConnection:
        connection = super()._get_connection()
        if not isinstance(connection.connection, _SharedConnection):
            shared = _SharedConnection(cls.Meta)
            shared.add_meta_table(connection.get_meta_table())
            connection.connection = shared
        return connection

    @classmethod
    def exists(cls) -> bool:
        """Tell whether the table exists, under any name that it may have; wait while it is being created.

        Raise PynamoDB's `TableError`.
        """
        outcome = try_to_describe(cls.layout, wait=True)
        if isinstance(outcome, RequestFailed):
            name, error = outcome.sent.request["TableName"], outcome.error
            raise TableError(f"table {name} cannot be described: {judge(error).reason}", error)
        return outcome is not None

    @classmethod
    def create_table(cls, *args: Any, **kwargs: Any) -> bool:
        """Create the table and enable its time to live; wait if another process does it. Return False if it exists."""
        if cls.exists():
            return False
        try:
            super().create_table(*args, **kwargs)
        except TableError as error:
            if not in_use(error) or not cls.exists():
                raise
            return False
        return True

    @classmethod
    def update_ttl(cls, ignore_update_ttl_errors: bool) -> None:  # noqa: ARG003
        """Enable the time to live if the table has one; log a WARNING if DynamoDB rejects that."""
        if cls.layout.ttl:
            try:
                cls._get_connection().update_time_to_live(cls.layout.ttl)
            except PynamoDBException:
                logger.warning("time to live could not be enabled on %s", cls.Meta.table_name)

    def to_dict(self) -> dict[str, Any]:
        """Return the stored attributes as a dict that `json.dumps` takes."""
        return self.to_simple_dict()


def _column(layout: Layout, name: str) -> Column[Any]:
    """Return the attribute of a column; all but keys may be absent."""
    is_hash, is_range = name == layout.hash, name == layout.range
    make = _COLUMNS[column_of(layout.record.types[name])]
    return make(hash_key=is_hash, range_key=is_range, null=not is_hash and not is_range)


def _declare(owner: type, name: str, column: Column[Any]) -> None:
    setattr(owner, name, column)
    column.__set_name__(owner, name)


class TableIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """The one global secondary index of a layout."""

    def __init_subclass__(cls, *, layout: Layout) -> None:
        ((name, attribute),) = layout.indexes.items()
        cls.Meta = type("Meta", (), {"index_name": name, "projection": AllProjection()})
        _declare(cls, attribute, UnicodeAttribute(hash_key=True))
        super().__init_subclass__()  # type: ignore[no-untyped-call]


class CreatorIndex(TableIndex, layout=layouts.ACTORS):
    """Actors by creator."""


class ActorModel(TableModel):
    """The table of actors."""

    layout = layouts.ACTORS
    creator_index = CreatorIndex()


class AttributeModel(TableModel):
    """The table of attributes."""

    layout = layouts.ATTRIBUTES


class PeerTrusteeModel(TableModel):
    """The table of peer trustees."""

    layout = layouts.PEER_TRUSTEES


class PropertyModel(TableModel):
    """The table of properties."""

    layout = layouts.PROPERTIES


class PropertyIndex(TableIndex, layout=layouts.PROPERTIES_WITH_INDEX):
    """Properties by value."""


class PropertyLegacyModel(TableModel):
    """The table of properties with the index that the legacy reverse look-up needs."""

    layout = layouts.PROPERTIES_WITH_INDEX
    property_index = PropertyIndex()


class PropertyLookupModel(TableModel):
    """The first look-up table, which the library reads and never creates."""

    layout = layouts.PROPERTY_LOOKUPS_V1


class PropertyLookupV2Model(TableModel):
    """The table of look-up rows."""

    layout = layouts.PROPERTY_LOOKUPS


class SubscriptionModel(TableModel):
    """The table of subscriptions."""

    layout = layouts.SUBSCRIPTIONS


class SubscriptionDiffModel(TableModel):
    """The table of diffs."""

    layout = layouts.SUBSCRIPTION_DIFFS


class SubscriptionSuspensionModel(TableModel):
    """The table of suspended targets."""

    layout = layouts.SUBSCRIPTION_SUSPENSIONS


class SecretIndex(TableIndex, layout=layouts.TRUSTS):
    """Trusts by secret."""


class TrustModel(TableModel):
    """The table of trusts."""

    layout = layouts.TRUSTS
    secret_index = SecretIndex()


Actor = ActorModel
Attribute = AttributeModel
PeerTrustee = PeerTrusteeModel
Property = PropertyModel
PropertyLegacy = PropertyLegacyModel
PropertyLookup = PropertyLookupModel
PropertyLookupV2 = PropertyLookupV2Model
Subscription = SubscriptionModel
SubscriptionDiff = SubscriptionDiffModel
SubscriptionSuspension = SubscriptionSuspensionModel
Trust = TrustModel

_MODELS: dict[Layout, type[TableModel]] = {model.layout: model for model in TableModel.__subclasses__()}


def model_of(layout: Layout) -> type[TableModel]:
    """Return the model of a layout."""
    return _MODELS[layout]
