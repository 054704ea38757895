"""Internal attributes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.dynamodb.client import ConditionFailed
from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, encode_field, key
from actingweb.db.dynamodb.layouts import ATTRIBUTES
from actingweb.db.dynamodb.lazy_models import lazy_models
from actingweb.db.dynamodb.limits import DynamoLimits, check_row, checked_item
from actingweb.db.dynamodb.rows import WipeableRows
from actingweb.db.dynamodb.stored_types import Attribute as StoredAttribute
from actingweb.db.dynamodb.tables import Table
from actingweb.db.policy import json_values
from actingweb.db.policy.attribute import (
    TTL_CLOCK_SKEW_BUFFER,
    AttributeBucketListPolicy,
    AttributePolicy,
    ttl_deadline,
)
from actingweb.db.protocols import DbAttributeBucketListProtocol, DbAttributeProtocol
from actingweb.db.records import AttributeRecord, EncodedAttribute

if TYPE_CHECKING:
    from actingweb.db.dynamodb.models import Attribute, AttributeModel
else:
    __getattr__ = lazy_models(__name__)

__all__ = [
    "CHAIN_SCAN_WARN_ROWS",
    "TTL_CLOCK_SKEW_BUFFER",
    "Attribute",
    "AttributeModel",
    "DbAttribute",
    "DbAttributeBucketList",
    "ttl_deadline",
]

CHAIN_SCAN_WARN_ROWS = 1000
"""Rows of one bucket that `delete_by_chain` reads without a warning."""

_ATTEMPTS = 8


class _Rows(WipeableRows[AttributeRecord]):
    layout = ATTRIBUTES
    limits = DynamoLimits(ATTRIBUTES)

    @classmethod
    def _table(cls) -> Table:
        ensure_table(cls.layout)
        return super()._table()


class DbAttribute(_Rows, AttributePolicy):
    """One attribute, or a bucket of them."""

    @classmethod
    def _put(cls, record: EncodedAttribute) -> None:
        item = checked_item(cls.layout, record)
        expression = Expression()
        condition = f"{expression.absent('id')} OR {expression.equals('bucket', record.bucket)}"
        request = {"Item": item, "ConditionExpression": condition}
        outcome = client.write_if(cls._table(), "PutItem", request | expression.arguments(), repeatable=True)
        if isinstance(outcome, ConditionFailed):
            cls._taken(outcome, record.key_values())

    @classmethod
    def _delete_live(cls, actor_id: str, bucket: str, name: str, now: int) -> bool:
        row_key = (actor_id, bucket, name)
        ttl: StoredAttribute | None = None
        for _ in range(_ATTEMPTS):
            expression = Expression()
            outcome = cls._try_to_delete(row_key, _live(expression, bucket, now, ttl), expression)
            if not isinstance(outcome, ConditionFailed):
                return True
            row = cls._stored_row(outcome, row_key)
            if row is None or _expired(row, now):
                return False
            ttl = _stored(outcome, "ttl_timestamp")
        raise client.collided()

    @classmethod
    def _swap(cls, key: tuple[str, str, str], old: str, changes: Mapping[str, Any], now: int) -> bool:
        check_row(cls.layout, _swapped(key, **changes))
        wanted = json_values.decoded(old)
        data: StoredAttribute | None = {"S": old}
        ttl: StoredAttribute | None = None
        for _ in range(_ATTEMPTS):
            failed = cls._swap_exactly(key, data, ttl, changes, now)
            if failed is None:
                return True
            row = cls._stored_row(failed, key)
            if row is None or _expired(row, now) or not json_values.equal(row.data, wanted):
                return False
            data, ttl = _stored(failed, "data"), _stored(failed, "ttl_timestamp")
        raise client.collided()

    @classmethod
    def _swap_exactly(
        cls,
        row_key: tuple[str, str, str],
        data: StoredAttribute | None,
        ttl: StoredAttribute | None,
        changes: Mapping[str, Any],
        now: int,
    ) -> ConditionFailed | None:
        """Write the changes if the row has not expired and its stored data and time to live are exactly these."""
        expression = Expression()
        clauses = [expression.assign(name, encode_field(cls.record, name, value)) for name, value in changes.items()]
        same = expression.absent("data") if data is None else expression.compare("data", "=", data)
        request = {
            "Key": key(cls.layout, row_key),
            "UpdateExpression": "SET " + ", ".join(clauses),
            "ConditionExpression": f"{_live(expression, row_key[1], now, ttl)} AND {same}",
        }
        # Not repeatable: between two attempts another caller can have swapped the data back.
        outcome = client.write_if(cls._table(), "UpdateItem", request | expression.arguments(), repeatable=False)
        return outcome if isinstance(outcome, ConditionFailed) else None

    @classmethod
    def _wipe_expired(cls, now: int, buckets: list[str]) -> int:  # noqa: ARG003 - native time to live deletes the rows
        return 0

    @classmethod
    def _wipe_chain(cls, actor_id: str, buckets: list[str], chain_id: str, last: str | None) -> int:
        wanted = json_values.decoded(chain_id)
        count = 0
        deferred: list[Item] = []
        for bucket in buckets:
            rows = [row for row in cls._scanned(actor_id, bucket) if _in_chain(row, wanted)]
            keys = [key(cls.layout, row.key_values()) for row in rows if row.name != last]
            deferred += [key(cls.layout, row.key_values()) for row in rows if row.name == last]
            client.batch_delete(cls._table(), keys)
            count += len(rows)
        client.batch_delete(cls._table(), deferred)
        return count

    @classmethod
    def _scanned(cls, actor_id: str, bucket: str) -> Iterator[AttributeRecord]:
        """Yield the rows of a bucket; warn when they are many."""
        for number, item in enumerate(cls._items((actor_id, bucket), [*cls._key_attributes(), "name", "data"])):
            if number == CHAIN_SCAN_WARN_ROWS:
                cls.log.warning("delete_by_chain reads more than %d rows of a bucket", CHAIN_SCAN_WARN_ROWS)
            yield cls._row(item)


class DbAttributeBucketList(_Rows, AttributeBucketListPolicy):
    """The buckets of an actor."""

    @classmethod
    def _latest(cls, actor_id: str, now: int) -> dict[str, datetime | None]:
        attributes = [*cls._key_attributes(), "name", "timestamp", "ttl_timestamp"]
        rows = [cls._row(item) for item in cls._items((actor_id,), attributes)]
        latest: dict[str, datetime | None] = {}
        for row in sorted(rows, key=lambda row: row.bucket):
            if not _expired(row, now):
                times = [time for time in (latest.get(row.bucket), row.timestamp) if time is not None]
                latest[row.bucket] = max(times, default=None)
        return latest


def _live(expression: Expression, bucket: str, now: int, ttl: StoredAttribute | None = None) -> str:
    """Return the condition that the row exists in this bucket and has not expired.

    `ttl` is the stored time to live if an earlier attempt read it and found that it has not expired. The condition then
    requires exactly this stored form, because a condition cannot compare text with a number.
    """
    if ttl is not None:
        return f"{expression.equals('bucket', bucket)} AND {expression.compare('ttl_timestamp', '=', ttl)}"
    later = expression.compare("ttl_timestamp", ">", {"N": str(now)})
    return f"{expression.equals('bucket', bucket)} AND ({expression.absent('ttl_timestamp')} OR {later})"


def _swapped(
    key: tuple[str, str, str], data: str, timestamp: datetime | None = None, ttl_timestamp: int | None = None
) -> EncodedAttribute:
    """Return the row after the swap as far as its content is known, so that its size can be checked."""
    actor_id, bucket, name = key
    return EncodedAttribute(
        id=actor_id, bucket=bucket, name=name, data=data, timestamp=timestamp, ttl_timestamp=ttl_timestamp
    )


def _expired(row: AttributeRecord, now: int) -> bool:
    return row.ttl_timestamp is not None and row.ttl_timestamp <= now


def _stored(failed: ConditionFailed, name: str) -> StoredAttribute | None:
    return (failed.item or {}).get(name)


def _in_chain(row: AttributeRecord, chain_id: Any) -> bool:
    return isinstance(row.data, dict) and "chain_id" in row.data and json_values.equal(row.data["chain_id"], chain_id)


_entity: type[DbAttributeProtocol] = DbAttribute
_list: type[DbAttributeBucketListProtocol] = DbAttributeBucketList
