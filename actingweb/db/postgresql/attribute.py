"""Internal attributes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from actingweb.db.policy.attribute import (
    TTL_CLOCK_SKEW_BUFFER,
    AttributeBucketListPolicy,
    AttributePolicy,
    ttl_deadline,
)
from actingweb.db.postgresql import jsonb
from actingweb.db.postgresql.executor import read, write
from actingweb.db.postgresql.rows import Rows, update_statement, upsert_statement
from actingweb.db.postgresql.statement import Statement
from actingweb.db.protocols import DbAttributeBucketListProtocol, DbAttributeProtocol
from actingweb.db.records import AttributeRecord, EncodedAttribute

__all__ = ["TTL_CLOCK_SKEW_BUFFER", "DbAttribute", "DbAttributeBucketList", "ttl_deadline"]

PURGED_AT_ONCE = 10_000
"""How many rows `delete_expired` deletes in one transaction."""
_LEAST_NUMBER = -(2**63)


# Each batch begins at `start`, so that it does not scan the index entries of rows that earlier batches deleted.
# The parameters are in subqueries to hide their values from the planner. It then reads in the order of the index and
# does not sort, and uses one plan for all calls; planning each call would take longer than purging a few rows.
# Rows are deleted by ctid, because for a large number of keys the planner might scan the table.
# A row that another transaction changes at the same time may be found but not deleted, so both are counted.
_PURGE: LiteralString = (
    "WITH expired AS (SELECT ctid, ttl_timestamp FROM {attributes} "
    "WHERE ttl_timestamp >= (SELECT %(start)s::bigint) AND ttl_timestamp <= (SELECT %(now)s::bigint) AND {chosen} "
    "ORDER BY ttl_timestamp LIMIT (SELECT %(most)s::bigint) FOR UPDATE SKIP LOCKED), "
    "deleted AS (DELETE FROM {attributes} WHERE ctid = ANY(ARRAY(SELECT ctid FROM expired)) RETURNING 1) "
    "SELECT count(*), (SELECT count(*) FROM deleted), max(ttl_timestamp) FROM expired"
)

UPSERT_ATTRIBUTE = upsert_statement(AttributeRecord)
READ_LATEST = Statement(
    "SELECT bucket, max(timestamp) FROM {attributes} "
    "WHERE id = %(id)s AND (ttl_timestamp IS NULL OR ttl_timestamp > %(now)s) GROUP BY bucket ORDER BY bucket"
)
DELETE_LIVE = Statement(
    "DELETE FROM {attributes} WHERE id = %(id)s AND bucket = %(bucket)s AND name = %(name)s "
    "AND (ttl_timestamp IS NULL OR ttl_timestamp > %(now)s)"
)
DELETE_EXPIRED = Statement(_PURGE, chosen=sql.SQL("TRUE"))
DELETE_EXPIRED_OF_BUCKETS = Statement(_PURGE, chosen=sql.SQL("bucket = ANY(%(buckets)s)"))
DELETE_CHAIN = Statement(
    "DELETE FROM {attributes} WHERE id = %(id)s AND bucket = ANY(%(buckets)s) "
    "AND data -> 'chain_id' = %(chain_id)s::jsonb"
)
# The index is on the chain id as text. Equal numbers can be written differently, so only text chain ids use the index.
DELETE_TEXT_CHAIN = Statement(
    "DELETE FROM {attributes} WHERE id = %(id)s AND bucket = ANY(%(buckets)s) "
    "AND data -> 'chain_id' = %(chain_id)s::jsonb AND data ->> 'chain_id' = %(chain_id)s::jsonb #>> '{{}}'"
)


class DbAttribute(Rows[AttributeRecord], AttributePolicy):
    """The attributes of an actor."""

    @classmethod
    def _encoded(cls, data: Any, name: str) -> str:
        return jsonb.encoded(data, name)

    @classmethod
    def _put(cls, record: EncodedAttribute) -> None:
        write(UPSERT_ATTRIBUTE, record)

    @classmethod
    def _delete_live(cls, actor_id: str, bucket: str, name: str, now: int) -> bool:
        return write(DELETE_LIVE, {"id": actor_id, "bucket": bucket, "name": name, "now": now}).rowcount == 1

    @classmethod
    def _swap(cls, key: tuple[str, str, str], old: str, changes: Mapping[str, Any], now: int) -> bool:
        statement = update_statement(
            AttributeRecord,
            tuple(changes),
            " AND COALESCE(data, 'null') = %(old)s::jsonb AND (ttl_timestamp IS NULL OR ttl_timestamp > %(now)s)",
        )
        row = dict(zip(AttributeRecord.key, key, strict=True))
        return write(statement, {**row, **changes, "old": old, "now": now}).rowcount == 1

    @classmethod
    def _wipe_expired(cls, now: int, buckets: list[str]) -> int:
        possible = [bucket for bucket in buckets if cls._can_exist("", bucket)]
        if buckets and not possible:
            return 0
        statement = DELETE_EXPIRED_OF_BUCKETS if buckets else DELETE_EXPIRED
        parameters = {"now": now, "buckets": possible, "most": PURGED_AT_ONCE}
        total, found, start = 0, PURGED_AT_ONCE, _LEAST_NUMBER
        while found == PURGED_AT_ONCE:
            [(found, deleted, start)] = write(statement, {**parameters, "start": start}).rows
            total += deleted
        return total

    @classmethod
    def _wipe_chain(cls, actor_id: str, buckets: list[str], chain_id: str, last: str | None) -> int:  # noqa: ARG003
        statement = DELETE_TEXT_CHAIN if chain_id.startswith('"') else DELETE_CHAIN
        return write(statement, {"id": actor_id, "buckets": buckets, "chain_id": chain_id}).rowcount


class DbAttributeBucketList(Rows[AttributeRecord], AttributeBucketListPolicy):
    """The buckets of an actor."""

    @classmethod
    def _latest(cls, actor_id: str, now: int) -> dict[str, datetime | None]:
        return dict(read(READ_LATEST, {"id": actor_id, "now": now}))


_entity: type[DbAttributeProtocol] = DbAttribute
_list: type[DbAttributeBucketListProtocol] = DbAttributeBucketList
