"""Internal attributes: named JSON values in buckets, with an optional time to live."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from actingweb.db.policy import json_values
from actingweb.db.policy.arguments import integer, text, texts, to_utc, without_none
from actingweb.db.policy.entity import EntityBase
from actingweb.db.policy.operation import operation
from actingweb.db.protocols import DbAttributeBucketListProtocol, DbAttributeProtocol
from actingweb.db.records import AttributeRecord, EncodedAttribute

__all__ = ["TTL_CLOCK_SKEW_BUFFER", "AttributeBucketListPolicy", "AttributePolicy", "ttl_deadline"]

TTL_CLOCK_SKEW_BUFFER = 3600
"""Seconds that a row is kept after its time to live, because the clocks of servers differ."""


def ttl_deadline(ttl_seconds: int) -> int:
    """Return the epoch second at which a row written now with this time to live expires."""
    return int(time.time()) + ttl_seconds + TTL_CLOCK_SKEW_BUFFER


class AttributePolicy(EntityBase[AttributeRecord], DbAttributeProtocol, ABC):
    record: ClassVar[type[AttributeRecord]] = AttributeRecord

    @classmethod
    def _encoded(cls, data: Any, name: str) -> str:
        """Return the argument `name` as the JSON text that is stored or compared. Raise `Fault` for other values."""
        return json_values.encoded(data, name)

    @classmethod
    @abstractmethod
    def _read(cls, actor_id: str, bucket: str, name: str) -> AttributeRecord | None:
        """Return the row, even an expired one, by a strongly consistent read; None if there is none."""

    @classmethod
    @abstractmethod
    def _list(cls, *key: Any) -> list[AttributeRecord]:
        """Return the rows whose key begins with these parts, expired ones too, in the order of the key.

        Reads are strongly consistent.
        """

    @classmethod
    @abstractmethod
    def _put(cls, record: EncodedAttribute) -> None:
        """Store the whole row; replace an existing one."""

    @classmethod
    @abstractmethod
    def _delete(cls, *key: Any) -> None:
        """Delete the row of this key, if it is there."""

    @classmethod
    @abstractmethod
    def _delete_live(cls, actor_id: str, bucket: str, name: str, now: int) -> bool:
        """Delete the row if it is there and not expired at `now`. Exactly one of concurrent callers gets True."""

    @classmethod
    @abstractmethod
    def _swap(cls, key: tuple[str, str, str], old: str, changes: Mapping[str, Any], now: int) -> bool:
        """Write these columns of `EncodedAttribute` if the row has not expired at `now` and its data equals `old`.

        `old` is JSON text; the two are compared as JSON values.
        """

    @classmethod
    @abstractmethod
    def _wipe(cls, *key: Any) -> None:
        """Delete the rows whose key begins with these parts."""

    @classmethod
    @abstractmethod
    def _wipe_expired(cls, now: int, buckets: list[str]) -> int:
        """Delete the rows that are expired at `now`; return how many. An empty list of `buckets` means all buckets."""

    @classmethod
    @abstractmethod
    def _wipe_chain(cls, actor_id: str, buckets: list[str], chain_id: str, last: str | None) -> int:
        """Delete the rows of these buckets whose data is an object with this `chain_id`; return how many.

        `chain_id` is JSON text. The row named `last` is deleted in the same step as the others, or after them.
        """

    @classmethod
    @operation("attribute list")
    def get_bucket(cls, actor_id: str | None = None, bucket: str | None = None) -> dict[str, dict[str, Any]] | None:
        if not actor_id or not bucket:
            return None
        key = text(actor_id, "actor_id"), text(bucket, "bucket")
        rows = cls._list(*key) if cls._can_exist(*key) else []
        now = time.time()
        return {row.name: _entry(row) for row in rows if _live(row, now)}

    @classmethod
    @operation("attribute read")
    def get_attr(
        cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> dict[str, Any] | None:
        if (key := _key(actor_id, bucket, name)) is None:
            return None
        row = cls._read(*key) if cls._can_exist(*key) else None
        return _entry(row) if row is not None and _live(row, time.time()) else None

    get_attr_strict = get_attr

    @classmethod
    @operation("attribute write")
    def set_attr(
        cls,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        if (key := _key(actor_id, bucket, name)) is None:
            return False
        if not data:
            cls._delete_possible(key)
            return True
        record = EncodedAttribute(
            id=key[0],
            bucket=key[1],
            name=key[2],
            data=cls._encoded(data, "data"),
            timestamp=to_utc(timestamp, "timestamp"),
            ttl_timestamp=_deadline(ttl_seconds),
        )
        cls._check_key(*key)
        cls._check_record(record)
        cls._put(record)
        return True

    @classmethod
    @operation("attribute delete")
    def delete_attr(cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None) -> bool:
        if (key := _key(actor_id, bucket, name)) is None:
            return False
        cls._delete_possible(key)
        return True

    @classmethod
    def _delete_possible(cls, key: tuple[str, str, str]) -> None:
        """Delete the row, unless no row can have this key."""
        if cls._can_exist(*key):
            cls._delete(*key)

    @classmethod
    @operation("attribute delete")
    def delete_attr_conditional(
        cls, actor_id: str | None = None, bucket: str | None = None, name: str | None = None
    ) -> bool:
        if (key := _key(actor_id, bucket, name)) is None:
            return False
        return cls._can_exist(*key) and cls._delete_live(*key, int(time.time()))

    @classmethod
    @operation("attribute write")
    def conditional_update_attr(
        cls,
        actor_id: str | None = None,
        bucket: str | None = None,
        name: str | None = None,
        old_data: Any = None,
        new_data: Any = None,
        timestamp: datetime | str | None = None,
        ttl_seconds: int | None = None,
    ) -> bool:
        if (key := _key(actor_id, bucket, name)) is None:
            return False
        times = {"timestamp": to_utc(timestamp, "timestamp"), "ttl_timestamp": _deadline(ttl_seconds)}
        changes = {"data": cls._encoded(new_data, "new_data")} | without_none(times)
        cls._check_fields(changes)
        old = cls._encoded(old_data, "old_data")
        return cls._can_exist(*key) and cls._swap(key, old, changes, int(time.time()))

    @classmethod
    @operation("attribute delete")
    def delete_bucket(cls, actor_id: str | None = None, bucket: str | None = None) -> bool:
        if not actor_id or not bucket:
            return False
        key = text(actor_id, "actor_id"), text(bucket, "bucket")
        if cls._can_exist(*key):
            cls._wipe(*key)
        return True

    @classmethod
    @operation("attribute delete")
    def delete_expired(cls, now_epoch: int | None = None, buckets: Any = None) -> int:
        now = int(time.time()) if now_epoch is None else integer(now_epoch, "now_epoch")
        cls._check_fields({"ttl_timestamp": now})
        return cls._wipe_expired(now, texts(buckets, "buckets"))

    @classmethod
    @operation("attribute delete")
    def delete_by_chain(
        cls,
        actor_id: str | None = None,
        buckets: Any = None,
        chain_id: Any = None,
        defer_name: str | None = None,
    ) -> int:
        if not actor_id or not buckets or chain_id in (None, ""):
            return 0
        actor_id = text(actor_id, "actor_id")
        wanted = [bucket for bucket in texts(buckets, "buckets") if cls._can_exist(actor_id, bucket)]
        last = text(defer_name, "defer_name") if defer_name else None
        chain = cls._encoded(chain_id, "chain_id")
        return cls._wipe_chain(actor_id, wanted, chain, last) if wanted else 0


class AttributeBucketListPolicy(EntityBase[AttributeRecord], DbAttributeBucketListProtocol, ABC):
    record: ClassVar[type[AttributeRecord]] = AttributeRecord

    @classmethod
    @abstractmethod
    def _list(cls, *key: Any) -> list[AttributeRecord]:
        """Return the actor's rows, expired ones too, in the order of the key, by strongly consistent reads."""

    @classmethod
    @abstractmethod
    def _latest(cls, actor_id: str, now: int) -> dict[str, datetime | None]:
        """Return the latest timestamp of each bucket, in the order of the buckets. Ignore rows expired at `now`."""

    @classmethod
    @abstractmethod
    def _wipe(cls, *key: Any) -> None:
        """Delete the actor's rows."""

    @classmethod
    @operation("attribute list")
    def fetch(cls, actor_id: str | None = None) -> dict[str, dict[str, dict[str, Any]]] | None:
        if not actor_id:
            return None
        actor_id = text(actor_id, "actor_id")
        now = time.time()
        buckets: dict[str, dict[str, dict[str, Any]]] = {}
        for row in cls._list(actor_id) if cls._can_exist(actor_id) else []:
            if _live(row, now):
                buckets.setdefault(row.bucket, {})[row.name] = _entry(row)
        return buckets

    @classmethod
    @operation("attribute list")
    def fetch_timestamps(cls, actor_id: str | None = None) -> dict[str, datetime | None] | None:
        if not actor_id:
            return None
        actor_id = text(actor_id, "actor_id")
        return cls._latest(actor_id, int(time.time())) if cls._can_exist(actor_id) else {}

    @classmethod
    @operation("attribute delete")
    def delete(cls, actor_id: str | None = None) -> bool:
        if not actor_id:
            return False
        actor_id = text(actor_id, "actor_id")
        if cls._can_exist(actor_id):
            cls._wipe(actor_id)
        return True


def _key(actor_id: str | None, bucket: str | None, name: str | None) -> tuple[str, str, str] | None:
    """Return the key of a row; None if a part of it is missing."""
    if not actor_id or not bucket or not name:
        return None
    return text(actor_id, "actor_id"), text(bucket, "bucket"), text(name, "name")


def _deadline(ttl_seconds: int | None) -> int | None:
    return None if ttl_seconds is None else ttl_deadline(integer(ttl_seconds, "ttl_seconds"))


def _live(row: AttributeRecord, now: float) -> bool:
    return row.ttl_timestamp is None or row.ttl_timestamp > int(now)


def _entry(row: AttributeRecord) -> dict[str, Any]:
    return {"data": row.data, "timestamp": row.timestamp}
