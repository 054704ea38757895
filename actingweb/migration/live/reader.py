"""Readers of stream shards, which mark the keys of changed rows."""

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import filterfalse
from typing import Any, NamedTuple

from actingweb.migration.errors import SourceError
from actingweb.migration.live.dirty import mark
from actingweb.migration.live.keys import BY_NAME, RowKey, is_marker
from actingweb.migration.live.leases import SECONDS, release_lease, take_lease
from actingweb.migration.live.state import Migration
from actingweb.migration.live.streams import EXPIRED, TRIMMED, Records, Stream, describe_stream, first_iterator, records
from actingweb.migration.live.tables import Found, SourceTables, open_table, record_gap, store_shards
from actingweb.migration.live.worker import Worker
from actingweb.migration.source.endpoint import AccessDeniedError, RequestError, TableNotFoundError
from actingweb.migration.target.connection import Connection

__all__ = ["ShardReader"]

# A shard whose last batch had records is read again soon, another one after a longer pause. AWS answers at most five
# times a second for a shard. Records are deleted after 24 hours, and only who asks for those behind a deleted position
# is told so.
_NEXT = """
WITH next AS (
    SELECT * FROM {state}.shards
    WHERE NOT finished
      AND (read_at IS NULL OR read_at <= clock_timestamp() - make_interval(
          secs => CASE WHEN oldest_unread_at IS NULL THEN %(pause)s::float8 ELSE least(%(pause)s::float8, 0.2) END))
      AND NOT EXISTS (SELECT FROM {state}.leases WHERE name = 'shard ' || stream_arn || ' ' || shard_id
                      AND holder <> %(holder)s AND expires_at >= clock_timestamp())
    ORDER BY read_at NULLS FIRST, shard_id LIMIT 1
), taken AS (
    INSERT INTO {state}.leases AS taken (name, holder, expires_at)
    SELECT 'shard ' || stream_arn || ' ' || shard_id, %(holder)s,
           clock_timestamp() + make_interval(secs => %(seconds)s) FROM next
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE taken.expires_at < clock_timestamp() OR taken.holder = excluded.holder
    RETURNING 1
)
SELECT stream_arn, shard_id, table_name, position, iterator, clock_timestamp(),
       coalesce(read_at, opened_after) < clock_timestamp() - interval '23 hours' FROM next, taken
"""
# The position is compared, so that a reader which was slower than its lease changes nothing.
_STORE = """
WITH released AS (DELETE FROM {state}.leases WHERE name = %(lease)s AND holder = %(holder)s)
UPDATE {state}.shards
SET position = coalesce(%(position)s, position), iterator = %(iterator)s, finished = %(finished)s,
    read_at = clock_timestamp(), oldest_unread_at = to_timestamp(%(last)s), marker = coalesce(%(marker)s, marker),
    caught_up_at = CASE WHEN %(last)s::float IS NULL THEN %(asked_at)s ELSE caught_up_at END
WHERE (stream_arn, shard_id) = (%(arn)s, %(shard)s) AND NOT finished AND position IS NOT DISTINCT FROM %(old)s
"""
_REWIND = """
UPDATE {state}.shards SET position = NULL, iterator = NULL, finished = %(finished)s, read_at = clock_timestamp()
WHERE (stream_arn, shard_id) = (%(arn)s, %(shard)s)
"""
_TABLES = "SELECT name, stream_arn, present FROM {state}.tables ORDER BY name"

_LOG = logging.getLogger(__name__)

_DESCRIBING = "streams"
_TRIMMED_RECORDS = "records were deleted before they were read: more than 24 hours passed"
_READ_LATE = "a shard was not read for almost 24 hours: records may have been deleted before they were read"
_DELETED_SHARD = "a shard was deleted before it was read to its end: more than 24 hours passed"
_DELETED = "the table was deleted"
_APPEARED = "the table appeared without a stream: run `migrate prepare --enable-streams` again"
_SWITCHED_OFF = "the stream was switched off"


class _Shard(NamedTuple):
    arn: str
    id: str
    table: str
    position: str | None
    iterator: str | None
    asked_at: datetime
    late: bool

    @property
    def lease(self) -> str:
        return f"shard {self.arn} {self.id}"


@dataclass
class ShardReader(Worker):
    """Reads shards, parents and children at the same time. Any number of readers may run, in any number of processes.

    Attributes:
        connect: opens a connection; one is kept, and replaced after an error.
        holder: the name under which leases are taken, which no other worker uses.
        pause: for how many seconds a shard is left alone that had no new records.
    """

    holder: str
    pause: float = 0.5

    def step(self) -> int:
        """Read the next batch of one shard, mark its keys and store the position; return how many records it had.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        with self.connected() as connection:
            shard = self._choose(connection)
            self.has_more = shard is not None
            if shard is None:
                return 0
            try:
                batch = self._read(shard)
            except RequestError as error:
                return self._without_records(connection, shard, error)
            self._store(connection, shard, batch)
            return len(batch.records)

    def discover(self) -> int:
        """Describe the streams of all tables once and store new shards; return how many.

        It also looks for tables that were absent, and notices a stream that was switched off or replaced. One process
        does so at a time. Raise the same as `step`.
        """
        with self.connected() as connection:
            if not take_lease(self.state, connection, _DESCRIBING, self.holder):
                return 0
            migration = self.state.read(connection)
            found = [self._discover(connection, migration, *row) for row in connection.execute(self.state.sql(_TABLES))]
            release_lease(self.state, connection, _DESCRIBING, self.holder)
            return sum(found)

    def _choose(self, connection: Connection) -> _Shard | None:
        """Return the shard to read, whose lease is taken."""
        values = {"pause": self.pause, "holder": self.holder, "seconds": SECONDS}
        row = connection.execute(self.state.sql(_NEXT), values).fetchone()
        return None if row is None else _Shard(*row)

    def _read(self, shard: _Shard) -> Records:
        """Return the next batch of a shard, by a new iterator if there is none or it has expired."""
        if shard.iterator is not None:
            try:
                return records(self.requests, shard.iterator)
            except RequestError as error:
                if error.code != EXPIRED and not _is_first_record(shard, error):
                    raise
        try:
            return self._read_anew(shard)
        except RequestError as error:
            # The record may have come after the iterator was made.
            if not _is_first_record(shard, error):
                raise
        return self._read_anew(shard)

    def _read_anew(self, shard: _Shard) -> Records:
        return records(self.requests, first_iterator(self.requests, shard.arn, shard.id, shard.position))

    def _store(self, connection: Connection, shard: _Shard, batch: Records) -> None:
        keys = [_key_of(shard, record) for record in batch.records]
        markers = [key.stored[1] for key in keys if is_marker(key)]
        stream = None if batch.following else self._described(shard.arn)
        # The shards that continue it may not be listed yet: if none is known, nobody waits for their records.
        finished = batch.following is None and (stream is None or not stream.awaits(shard.id))
        values = _progress(shard, batch) | {"holder": self.holder, "marker": next(reversed(markers), None)}
        values["finished"] = finished

        def store() -> None:
            with self.transaction(connection) if keys or stream or shard.late else nullcontext():
                mark(self.state, connection, filterfalse(is_marker, keys))
                if stream:
                    store_shards(self.state, connection, shard.table, shard.arn, stream.shards)
                if shard.late:
                    record_gap(self.state, connection, shard.table, shard.id, _READ_LATE)
                connection.execute(self.state.sql(_STORE), values)

        # Appliers lock keys in another order.
        self.repeated(store)

    def _described(self, arn: str) -> Stream | None:
        """Return a stream; None if it is deleted, as one is that was switched off a day ago."""
        try:
            return describe_stream(self.requests, arn)
        except TableNotFoundError:
            return None

    def _without_records(self, connection: Connection, shard: _Shard, error: RequestError) -> int:
        """Record a gap if records are gone, and go on from the oldest that is left; otherwise raise the error."""
        deleted = isinstance(error, TableNotFoundError)
        if error.code != TRIMMED and not deleted:
            raise error
        with self.transaction(connection):
            reason = _DELETED_SHARD if deleted else _TRIMMED_RECORDS
            record_gap(self.state, connection, shard.table, shard.id, reason)
            values = {"arn": shard.arn, "shard": shard.id, "finished": deleted}
            connection.execute(self.state.sql(_REWIND), values)
            release_lease(self.state, connection, shard.lease, self.holder)
        return 0

    def _discover(self, connection: Connection, migration: Migration, name: str, arn: str | None, present: bool) -> int:
        tables = SourceTables(self.requests, str(migration.prefix))
        table = tables.find(BY_NAME[name])
        allowed = bool(migration.options.get("enable_streams"))
        if table is None or not table.usable or (table.stream_arn is None and not allowed):
            self._without_stream(connection, name, table, present)
            return 0
        if table.stream_arn is None or table.stream_arn != arn:
            try:
                return open_table(self.state, connection, tables, table, migration.options["segments"])
            except AccessDeniedError as error:
                _LOG.warning("%s; run `migrate prepare` again, with the rights that it has", error)
                self._without_stream(connection, name, table, present)
                return 0
        shards = describe_stream(self.requests, arn).shards
        with self.transaction(connection):
            return store_shards(self.state, connection, name, arn, shards)

    def _without_stream(self, connection: Connection, name: str, table: Found | None, present: bool) -> None:
        """Record that changes of a table may be missing, if it exists, or did so before."""
        if present:
            record_gap(self.state, connection, name, None, _DELETED if table is None else _SWITCHED_OFF)
        elif table is not None and table.usable:
            record_gap(self.state, connection, name, None, _APPEARED)


def _progress(shard: _Shard, batch: Records) -> dict[str, Any]:
    """Return what is to be stored of a batch beside its keys."""
    values: dict[str, Any] = {"arn": shard.arn, "shard": shard.id, "old": shard.position, "lease": shard.lease}
    values |= {"asked_at": shard.asked_at, "iterator": batch.following, "position": None, "last": None}
    if batch.records:
        change = batch.records[-1]["dynamodb"]
        values["position"] = change["SequenceNumber"]
        values["last"] = float(change.get("ApproximateCreationDateTime", 0))
    return values


def _is_first_record(shard: _Shard, error: RequestError) -> bool:
    """Tell whether DynamoDB Local has got the first record of a shard: it refuses iterators from before that one."""
    return error.code == TRIMMED and shard.position is None and ":ddblocal:" in shard.arn


def _key_of(shard: _Shard, record: dict[str, Any]) -> RowKey:
    try:
        return RowKey.of_item(BY_NAME[shard.table], record["dynamodb"]["Keys"])
    except (KeyError, TypeError):
        raise SourceError(f"DynamoDB stream {shard.arn} has a record without the key of {shard.table}") from None
