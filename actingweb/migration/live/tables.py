"""The DynamoDB tables of a migration: found, their streams switched on, their shards stored."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from actingweb.db.dynamodb.tables import names_of
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.live.streams import Shard, all_shards, describe_stream
from actingweb.migration.mapping import PROPERTIES, TableMapping
from actingweb.migration.source.endpoint import AccessDeniedError, RequestError, TableNotFoundError
from actingweb.migration.target.connection import Connection

__all__ = ["Found", "SourceTables", "open_table", "record_gap", "store_shards", "store_table"]

Json = dict[str, Any]

# A table that is scanned later, in place of one that was absent, has its segments from then on.
_STORE = """
INSERT INTO {state}.tables AS stored (name, dynamodb_table, stream_arn, present, estimated_rows, scanned)
VALUES (%(name)s, %(table)s, %(arn)s, %(present)s, %(rows)s, NOT %(present)s)
ON CONFLICT (name) DO UPDATE
SET dynamodb_table = excluded.dynamodb_table, stream_arn = excluded.stream_arn, present = excluded.present,
    estimated_rows = excluded.estimated_rows, scanned = stored.scanned AND (stored.present OR NOT excluded.present)
"""
# Whoever opens a table may change the tables and segments of claims, which a scanner changes in the other order.
_OPEN_ALONE = "LOCK TABLE {state}.segments IN SHARE ROW EXCLUSIVE MODE"
_STORE_SEGMENTS = """
INSERT INTO {state}.segments (table_name, segment)
SELECT %(name)s, segment FROM generate_series(0, %(segments)s - 1) AS segment ON CONFLICT DO NOTHING
"""
# Claims are compared with properties when both are scanned.
_SCAN_CLAIMS_AGAIN = """
UPDATE {state}.tables SET scanned = false WHERE present AND name IN ('property_lookup_v2', 'property_lookup_v1');
UPDATE {state}.segments SET checkpoint = NULL, done = false
WHERE table_name IN ('property_lookup_v2', 'property_lookup_v1');
DELETE FROM {state}.claims_v2;
DELETE FROM {state}.claims_v1
"""
# A shard that is new was opened after the last description. The count of an applier, which locks the row of its table,
# is not waited for: an older moment will do.
_STORE_SHARDS = """
WITH described AS (
    UPDATE {state}.tables SET described_at = clock_timestamp()
    WHERE name IN (SELECT name FROM {state}.tables WHERE name = %(name)s FOR UPDATE SKIP LOCKED))
INSERT INTO {state}.shards (stream_arn, shard_id, table_name, parent_id, finished, opened_after)
SELECT %(arn)s, shard_id, %(name)s, parent_id, closed AND %(skip_closed)s,
       coalesce((SELECT described_at FROM {state}.tables WHERE name = %(name)s), clock_timestamp())
FROM unnest(%(ids)s::text[], %(parents)s::text[], %(closed)s::boolean[]) AS found (shard_id, parent_id, closed)
ON CONFLICT DO NOTHING
"""
_GAP = """
INSERT INTO {state}.gaps (table_name, shard_id, reason)
SELECT %(name)s, %(shard)s, %(reason)s WHERE NOT EXISTS (
    SELECT FROM {state}.gaps WHERE closed_at IS NULL
      AND (table_name, shard_id, reason) IS NOT DISTINCT FROM (%(name)s, %(shard)s, %(reason)s))
"""
_IS_REPLACED = "SELECT FROM {state}.tables WHERE name = %(name)s AND stream_arn <> %(arn)s"
_REPLACED = "the stream was switched off and on again"
_KEYS_ONLY = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
_POLL_SECONDS = 0.5
_ATTEMPTS = 1200


@dataclass(frozen=True)
class Found:
    """A table that exists.

    Attributes:
        stream_arn: of its stream, None if it is switched off.
    """

    mapping: TableMapping
    name: str
    estimated_rows: int
    stream_arn: str | None
    usable: bool

    @classmethod
    def of(cls, mapping: TableMapping, description: Json) -> "Found":
        """Return a described table. Raise `UsageError` if its key is not that of the layout."""
        name, types = description["TableName"], _types(description["AttributeDefinitions"])
        keys = [(part["AttributeName"], types.get(part["AttributeName"])) for part in description["KeySchema"]]
        if keys != [(key, "S") for key in mapping.layout.key_names]:
            raise UsageError(f"DynamoDB table {name} is not ActingWeb's, as its key shows: check the prefix")
        enabled = description.get("StreamSpecification", {}).get("StreamEnabled")
        arn = description.get("LatestStreamArn") if enabled else None
        usable = description.get("TableStatus") in ("ACTIVE", "UPDATING")
        return cls(mapping, name, int(description.get("ItemCount", 0)), arn, usable)


@dataclass(frozen=True)
class SourceTables:
    """Finds the tables of a deployment. Every method raises `SourceError` or `UsageError`.

    Attributes:
        prefix: of the names, see `DynamoDBSource`.
        sleep: waits so many seconds.
    """

    requests: Requests
    prefix: str
    sleep: Callable[[float], object] = time.sleep

    def find(self, mapping: TableMapping) -> Found | None:
        """Return a table, None if it does not exist under any name that it may have."""
        denied: SourceError | None = None
        for name in self.names(mapping):
            try:
                return Found.of(mapping, self._describe(name))
            except TableNotFoundError:
                continue
            except AccessDeniedError as error:
                denied = denied or error
        if denied is not None:
            raise denied
        return None

    def names(self, mapping: TableMapping) -> list[str]:
        """Return the names that a table may have."""
        return names_of(self.prefix, mapping.layout.suffix)

    def with_stream(self, table: Found) -> Found:
        """Switch the stream of a table on and return it when changes are recorded."""
        if table.stream_arn is None:
            table = self._wait_for(table, lambda found: found.usable)
            self._switch_on(table)
        table = self._wait_for(table, lambda found: found.stream_arn is not None)
        for _ in range(_ATTEMPTS):
            if describe_stream(self.requests, str(table.stream_arn)).status == "ENABLED":
                return table
            self.sleep(_POLL_SECONDS)
        raise SourceError(f"the stream of DynamoDB table {table.name} does not become enabled: try again later")

    def _switch_on(self, table: Found) -> None:
        try:
            self.requests.call("UpdateTable", {"TableName": table.name, "StreamSpecification": _KEYS_ONLY})
        except RequestError:
            # Another process may have done so.
            if Found.of(table.mapping, self._describe(table.name)).stream_arn is None:
                raise

    def shards(self, table: Found) -> list[Shard]:
        """Return all shards of a table's stream."""
        return all_shards(self.requests, str(table.stream_arn), self.sleep)

    def _describe(self, name: str) -> Json:
        description: Json | None = self.requests.call("DescribeTable", {"TableName": name}).get("Table")
        if description is None:
            raise SourceError(f"DynamoDB table {name} cannot be read: the response is not a description of a table")
        return description

    def _wait_for(self, table: Found, ready: Callable[[Found], bool]) -> Found:
        for _ in range(_ATTEMPTS):
            if ready(table):
                return table
            self.sleep(_POLL_SECONDS)
            table = Found.of(table.mapping, self._describe(table.name))
        raise SourceError(f"DynamoDB table {table.name} is being changed for too long: try again later")


def open_table(state: State, connection: Connection, tables: SourceTables, table: Found, segments: int) -> int:
    """Store a table to be scanned, with all shards of its stream, which is switched on; return how many shards.

    If it had another stream before, that is a gap. Raise `psycopg.Error`, `SourceError` or `UsageError`.
    """
    table = tables.with_stream(table)
    shards = tables.shards(table)
    with connection.transaction():
        connection.execute(state.sql(_OPEN_ALONE))
        replaced = connection.execute(state.sql(_IS_REPLACED), {"name": table.mapping.name, "arn": table.stream_arn})
        if replaced.rowcount:
            record_gap(state, connection, table.mapping.name, None, _REPLACED)
        state.forget_comparison(connection)
        store_table(state, connection, table.mapping, table)
        first = _store_segments(state, connection, table.mapping, segments)
        store_shards(state, connection, table.mapping.name, str(table.stream_arn), shards, skip_closed=first)
    return len(shards)


def store_table(state: State, connection: Connection, mapping: TableMapping, table: Found | None) -> None:
    """Store what was found of a table in the transaction of the caller. Raise `psycopg.Error`."""
    values: Json = {"name": mapping.name, "present": table is not None, "table": None, "arn": None, "rows": None}
    if table is not None:
        values |= {"table": table.name, "arn": table.stream_arn, "rows": table.estimated_rows}
    connection.execute(state.sql(_STORE), values)


def _store_segments(state: State, connection: Connection, mapping: TableMapping, segments: int) -> bool:
    """Store the segments of a table to be scanned; tell whether there were none yet. Raise `psycopg.Error`."""
    values = {"name": mapping.name, "segments": segments}
    first = connection.execute(state.sql(_STORE_SEGMENTS), values).rowcount > 0
    if first and mapping is PROPERTIES:
        connection.execute(state.sql(_SCAN_CLAIMS_AGAIN))
    return first


def store_shards(
    state: State, connection: Connection, table: str, arn: str, shards: Iterable[Shard], *, skip_closed: bool = False
) -> int:
    """Store the shards that are not stored yet, to be read from their beginning; return how many.

    `skip_closed`: the table was not scanned yet, so that the scan sees what closed shards tell. Raise `psycopg.Error`.
    """
    found = list(shards)
    values: Json = {"arn": arn, "name": table, "skip_closed": skip_closed, "ids": [shard.id for shard in found]}
    values |= {"parents": [shard.parent_id for shard in found], "closed": [shard.closed for shard in found]}
    return connection.execute(state.sql(_STORE_SHARDS), values).rowcount


def record_gap(state: State, connection: Connection, table: str, shard: str | None, reason: str) -> None:
    """Record that changes of a table may be missing, unless that is recorded and not settled. Raise `psycopg.Error`."""
    connection.execute(state.sql(_GAP), {"name": table, "shard": shard, "reason": reason})
    state.forget_comparison(connection)


def _types(definitions: Iterable[Json]) -> dict[str, str]:
    return {one["AttributeName"]: one["AttributeType"] for one in definitions}
