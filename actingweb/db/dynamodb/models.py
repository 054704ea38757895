"""The seam to pynamodb: models whose attributes come from the record types, on the one client of their endpoint."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from botocore.exceptions import ClientError
from pynamodb.attributes import (
    Attribute,
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

from actingweb.db.dynamodb.errors import NOT_FOUND, code_of, judge
from actingweb.db.dynamodb.tables import Layout, TableMeta, meta_of
from actingweb.db.dynamodb.transport import RequestFailed

__all__ = ["TableIndex", "TableModel", "in_use"]

logger = logging.getLogger(__name__)

_ATTRIBUTES: dict[Any, Callable[..., Attribute[Any]]] = {
    str: UnicodeAttribute,
    bool: BooleanAttribute,
    int: NumberAttribute,
    datetime: UTCDateTimeAttribute,
    Any: JSONAttribute,
}
_CREATION_POLL_SECONDS = 0.5


class _SharedConnection(Connection):
    """A connection on the one client of its endpoint."""

    def __init__(self, meta: TableMeta) -> None:
        super().__init__(meta.region, meta.host)
        self._meta = meta

    @property
    def client(self) -> Any:
        return self._meta.transport()


class TableModel(Model):
    """A pynamodb model of a stored record. A subclass sets `layout`; its attributes follow from that.

    Attributes:
        described: the table as `exists` last saw it.
    """

    layout: ClassVar[Layout]
    described: ClassVar[dict[str, Any] | None] = None
    Meta: TableMeta  # type: ignore[assignment]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.Meta = meta_of(cls.layout.suffix)
        for name, kind in cls.layout.record.types.items():
            _declare(cls, name, _attribute(cls.layout, name, kind))
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
        """Tell whether the table exists, under any of the names that it may have; wait while it is being created."""
        for name in cls.Meta.names():
            cls.described = cls._described_as(name)
            if cls.described is not None:
                cls.Meta.settle(name)
                return True
        return False

    @classmethod
    def _described_as(cls, name: str) -> dict[str, Any] | None:
        """Return the description of the table of this name, None if there is none."""
        try:
            while (table := cls._asked("DescribeTable", name)["Table"])["TableStatus"] == "CREATING":
                time.sleep(_CREATION_POLL_SECONDS)
        except TableError as error:
            if isinstance(error.cause, ClientError) and code_of(error.cause) == NOT_FOUND:
                return None
            raise
        return dict(table)

    @classmethod
    def index_keys(cls) -> dict[str, str]:
        """Return the hash attribute of each index, by the index's name."""
        return {
            name: index._hash_key_attribute().attr_name  # type: ignore[no-untyped-call]
            for name, index in cls._indexes.items()
        }

    @classmethod
    def _asked(cls, operation: str, name: str) -> dict[str, Any]:
        """Return the answer to a question about the table of this name. Raise pynamodb's `TableError`."""
        try:
            return cls.Meta.transport().call(operation, {"TableName": name}, repeatable=True)[0]
        except RequestFailed as failure:
            error = failure.error
        raise TableError(f"table {name} cannot be described: {judge(error).reason}", error)

    @classmethod
    def create_table(cls, *args: Any, **kwargs: Any) -> bool:
        """Create the table and enable its time to live; False if it is there. Another creator is waited for."""
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
        """Enable the time to live, if the table has one; a refusal is a WARNING."""
        if cls.layout.ttl:
            try:
                cls._get_connection().update_time_to_live(cls.layout.ttl)
            except PynamoDBException:
                logger.warning("time to live could not be enabled on %s", cls.Meta.table_name)

    @classmethod
    def ttl_enabled(cls) -> bool | None:
        """Tell whether the table removes expired items by itself; None if that cannot be found out."""
        try:
            answer = cls._asked("DescribeTimeToLive", cls.Meta.table_name)
        except TableError:
            return None
        return answer["TimeToLiveDescription"]["TimeToLiveStatus"] in ("ENABLED", "ENABLING")

    def to_dict(self) -> dict[str, Any]:
        """Return the stored attributes as a dict that `json.dumps` takes."""
        return self.to_simple_dict()


def in_use(error: Exception) -> bool:
    """Tell whether creating a table failed because it exists."""
    return "ResourceInUseException" in str(error)


def _attribute(layout: Layout, name: str, kind: Any) -> Attribute[Any]:
    """Return the attribute of a column; all but keys may be absent."""
    column = next(part for part in get_args(kind) or (kind,) if part is not NoneType)
    is_hash, is_range = name == layout.hash, name == layout.range
    return _ATTRIBUTES[column](hash_key=is_hash, range_key=is_range, null=not is_hash and not is_range)


def _declare(owner: type, name: str, attribute: Attribute[Any]) -> None:
    setattr(owner, name, attribute)
    attribute.__set_name__(owner, name)


class TableIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """A global secondary index called `name` on one text `attribute`, with all attributes of the table."""

    def __init_subclass__(cls, *, name: str, attribute: str) -> None:
        cls.Meta = type("Meta", (), {"index_name": name, "projection": AllProjection()})
        _declare(cls, attribute, UnicodeAttribute(hash_key=True))
        super().__init_subclass__()  # type: ignore[no-untyped-call]
