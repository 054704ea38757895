"""Internal attributes. Whoever reads one gets a copy of its data."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from actingweb.db.spi import (
    TTL_CLOCK_SKEW_BUFFER,
    AttributeBucketListPolicy,
    AttributePolicy,
    AttributeRecord,
    DbAttributeBucketListProtocol,
    DbAttributeProtocol,
    EncodedAttribute,
    decode_json,
    json_equal,
    ttl_deadline,
)
from tests.memory_backend.rows import LOCK, MemoryRows

__all__ = ["TTL_CLOCK_SKEW_BUFFER", "DbAttribute", "DbAttributeBucketList", "ttl_deadline"]


class _Rows(MemoryRows[AttributeRecord]):
    @classmethod
    def _read(cls, *key: Any) -> AttributeRecord | None:
        row = super()._read(*key)
        return None if row is None else row.replace(data=deepcopy(row.data))

    @classmethod
    def _list(cls, *key: Any) -> list[AttributeRecord]:
        return [row.replace(data=deepcopy(row.data)) for row in super()._list(*key)]


class DbAttribute(_Rows, AttributePolicy):
    @classmethod
    def _put(cls, record: EncodedAttribute) -> None:
        cls._table()[record.key_values()] = AttributeRecord(**_decoded(record.asdict()))

    @classmethod
    def _delete_live(cls, actor_id: str, bucket: str, name: str, now: int) -> bool:
        with LOCK:
            row = cls._read(actor_id, bucket, name)
            live = row is not None and not _expired(row, now)
            if live:
                cls._delete(actor_id, bucket, name)
            return live

    @classmethod
    def _swap(cls, key: tuple[str, str, str], old: str, changes: Mapping[str, Any], now: int) -> bool:
        with LOCK:
            row = cls._read(*key)
            if row is None or _expired(row, now) or not json_equal(row.data, decode_json(old)):
                return False
            cls._table()[key] = cls._table()[key].replace(**_decoded(changes))
            return True

    @classmethod
    def _wipe_expired(cls, now: int, buckets: list[str]) -> int:
        with LOCK:
            rows = [row for row in cls._list() if _expired(row, now) and (not buckets or row.bucket in buckets)]
            return _delete_all(rows)

    @classmethod
    def _wipe_chain(cls, actor_id: str, buckets: list[str], chain_id: str, last: str | None) -> int:
        wanted = decode_json(chain_id)
        with LOCK:
            rows = [row for row in cls._list(actor_id) if row.bucket in buckets and _in_chain(row, wanted)]
            return _delete_all(rows)


class DbAttributeBucketList(_Rows, AttributeBucketListPolicy):
    @classmethod
    def _latest(cls, actor_id: str, now: int) -> dict[str, datetime | None]:
        latest: dict[str, datetime | None] = {}
        for row in cls._list(actor_id):
            if not _expired(row, now):
                times = [time for time in (latest.get(row.bucket), row.timestamp) if time is not None]
                latest[row.bucket] = max(times, default=None)
        return latest


def _decoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of an `AttributeRecord`, made of those of an `EncodedAttribute`."""
    return {**columns, "data": decode_json(columns["data"])}


def _expired(row: AttributeRecord, now: int) -> bool:
    return row.ttl_timestamp is not None and row.ttl_timestamp <= now


def _in_chain(row: AttributeRecord, chain_id: Any) -> bool:
    return isinstance(row.data, dict) and "chain_id" in row.data and json_equal(row.data["chain_id"], chain_id)


def _delete_all(rows: list[AttributeRecord]) -> int:
    for row in rows:
        DbAttribute._delete(*row.key_values())
    return len(rows)


_entity: type[DbAttributeProtocol] = DbAttribute
_list: type[DbAttributeBucketListProtocol] = DbAttributeBucketList
