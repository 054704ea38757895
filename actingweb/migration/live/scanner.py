"""The scan of the tables: each page is loaded with its checkpoint in one transaction."""

import json
from dataclasses import dataclass
from threading import Event
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.documents import content_of
from actingweb.migration.live.dirty import mark
from actingweb.migration.live.keys import BY_NAME, MARKER, RowKey, hash_expression, is_marker, range_expression
from actingweb.migration.live.leases import release_lease, take_lease
from actingweb.migration.live.worker import Worker
from actingweb.migration.mapping import ACTORS, CLAIMS, CLAIMS_V1, CLAIMS_V2, LOOK_UPS, PROPERTIES, TableMapping
from actingweb.migration.rows import convert
from actingweb.migration.source.endpoint import Json
from actingweb.migration.source.rate_limit import RateLimit
from actingweb.migration.source.scan import Page, decoded_page, read_page
from actingweb.migration.target.connection import Connection
from actingweb.migration.target.copytext import copy_text
from actingweb.migration.target.lookups import LookUps, analyze
from actingweb.migration.target.staging import LOOKUP_KEY, StagedClaims
from actingweb.migration.target.writer import TableWriter

__all__ = ["Scanner"]

# The actors first, since other rows refer to them.
_NEXT = """
SELECT table_name, segment, checkpoint, dynamodb_table, (SELECT count(*) FROM {state}.segments AS all_segments
                                                         WHERE all_segments.table_name = segments.table_name)
FROM {state}.segments JOIN {state}.tables ON name = table_name
WHERE NOT done AND present
  AND (table_name = %(actors)s OR (SELECT scanned FROM {state}.tables WHERE name = %(actors)s))
  AND NOT EXISTS (SELECT FROM {state}.leases WHERE leases.name = 'segment ' || table_name || ' ' || segment
                  AND holder <> %(holder)s AND expires_at >= clock_timestamp())
ORDER BY table_name <> %(actors)s, table_name, segment LIMIT 1
"""
_STORE = """
UPDATE {state}.segments SET checkpoint = %(following)s, done = %(following)s::text IS NULL
WHERE (table_name, segment) = (%(table)s, %(segment)s) AND NOT done AND checkpoint IS NOT DISTINCT FROM %(checkpoint)s
"""
_COUNT = "UPDATE {state}.tables SET read = read + %(read)s, written = written + %(written)s WHERE name = %(table)s"
_LOADED = """
SELECT name FROM {state}.tables
WHERE present AND NOT scanned AND NOT EXISTS (SELECT FROM {state}.segments WHERE table_name = name AND NOT done)
"""
_SCANNED = "UPDATE {state}.tables SET scanned = true WHERE name = ANY(%(tables)s)"
_WHICH_SCANNED = "SELECT name FROM {state}.tables WHERE scanned"
_DELETE_LOOK_UPS = "DELETE FROM {schema}.property_lookup"
# Dirty keys have a double backslash for one.
_DIRTY_PROPERTIES = """
INSERT INTO pg_temp.rejected_properties (id, name)
SELECT replace(hash, chr(92) || chr(92), chr(92)), replace(range, chr(92) || chr(92), chr(92))
FROM {state}.dirty WHERE table_name = 'properties'
"""
_DIRTY_CLAIMS: dict[TableMapping, LiteralString] = {
    CLAIMS_V2: """
        INSERT INTO pg_temp.withheld (lookup_key) SELECT hash FROM {state}.dirty WHERE table_name = 'property_lookup_v2'
    """,
    CLAIMS_V1: """
        INSERT INTO pg_temp.withheld (lookup_key) SELECT {lookup_key} FROM (
            SELECT replace(hash, chr(92) || chr(92), chr(92)) AS name,
                   replace(range, chr(92) || chr(92), chr(92)) AS value
            FROM {state}.dirty WHERE table_name = 'property_lookup_v1') AS claims
    """,
}
_MARK_HOLDERS = """
INSERT INTO {state}.dirty (table_name, hash, range)
SELECT 'properties', {hash}, {range} FROM {schema}.properties AS stored
WHERE (name = ANY(%(names)s) OR name IN (SELECT claimed_names.name FROM {state}.claimed_names))
  AND EXISTS (SELECT FROM pg_temp.withheld WHERE withheld.lookup_key = {lookup_key})
ORDER BY {hash} COLLATE "C", {range} COLLATE "C" ON CONFLICT DO NOTHING
"""
_NAMES = """
INSERT INTO {state}.claimed_names
SELECT DISTINCT property_name FROM (
    SELECT property_name FROM {state}.claims_v2 UNION ALL SELECT property_name FROM {state}.claims_v1) AS claimed
ON CONFLICT DO NOTHING
"""
_COPY_CLAIMS: LiteralString = "COPY {claims} FROM STDIN"

_TOGETHER = frozenset({PROPERTIES.name, CLAIMS_V2.name, CLAIMS_V1.name})
"""The tables that look-up rows are made of. Their appliers begin when all of them are scanned."""


class _Segment(NamedTuple):
    mapping: TableMapping
    number: int
    checkpoint: str | None
    dynamodb_table: str
    segments: int

    @property
    def lease(self) -> str:
        return f"segment {self.mapping.name} {self.number}"


class _PageMovedError(Exception):
    """Another process has loaded the page."""


@dataclass
class Scanner(Worker):
    """Scans segments, of the table of the actors first. Any number may run, in any number of processes.

    Attributes:
        connect: opens a connection; one is kept, and replaced after an error.
        holder: the name under which leases are taken, which no other worker uses.
        rate_limit: the read capacity to consume; None for no limit.
        stop: set to end waiting for capacity.
    """

    holder: str
    rate_limit: RateLimit | None = None
    stop: Event | None = None

    def step(self) -> bool:
        """Load one page of one segment, or finish tables whose segments are loaded; tell whether there was something.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        with self.connected() as connection:
            if self._finish(connection):
                return True
            row = connection.execute(self.state.sql(_NEXT), {"actors": ACTORS.name, "holder": self.holder}).fetchone()
            if row is None:
                return False
            segment = _Segment(BY_NAME[row[0]], *row[1:])
            if not take_lease(self.state, connection, segment.lease, self.holder):
                return False
            page = self._read(segment)
            try:
                self.repeated(lambda: self._load(connection, segment, page))
            except _PageMovedError:
                return False
            return True

    def _read(self, segment: _Segment) -> Page:
        request = {"TableName": segment.dynamodb_table, "Segment": segment.number, "TotalSegments": segment.segments}
        if segment.checkpoint is not None:
            request["ExclusiveStartKey"] = json.loads(segment.checkpoint)
        return read_page(self._documents, request, self.rate_limit, self.stop or Event())

    def _documents(self, request: Json) -> tuple[Json, list[bytes]]:
        return decoded_page(self.requests.call("Scan", request)["Body"], request["TableName"])

    def _load(self, connection: Connection, segment: _Segment, page: Page) -> None:
        documents = [document for document in page.documents if not _is_marker(segment.mapping, document)]
        with self.transaction(connection):
            values = {"table": segment.mapping.name, "segment": segment.number}
            values |= {"checkpoint": segment.checkpoint, "following": page.following}
            if not connection.execute(self.state.sql(_STORE), values).rowcount:
                raise _PageMovedError
            written = self._write(connection, segment.mapping, documents)
            counts = {"table": segment.mapping.name, "read": len(documents), "written": written}
            connection.execute(self.state.sql(_COUNT), counts)
            release_lease(self.state, connection, segment.lease, self.holder)

    def _write(self, connection: Connection, mapping: TableMapping, documents: list[bytes]) -> int:
        """Write rows and mark the keys of those that cannot be written now; return how many were written."""
        conversion = convert(mapping, documents)
        rejects = list(conversion.rejects)
        written = len(conversion.rows)
        if mapping in CLAIMS:
            self._stage(connection, mapping, conversion.rows, rejects)
        else:
            writer = TableWriter(self.state.target, connection, mapping, skip_duplicates=True)
            written = writer.insert(conversion.rows, rejects)
        skipped = written + len(rejects) < len(documents)
        again = documents if skipped else [reject.document for reject in rejects]
        mark(self.state, connection, [_key_of(mapping, document) for document in again])
        return written

    def _stage(self, connection: Connection, mapping: TableMapping, rows: RowPairs, rejects: list[Reject]) -> None:
        """Stage claims until the properties are scanned; claims of a table that appears later are marked."""
        if PROPERTIES.name in {name for (name,) in connection.execute(self.state.sql(_WHICH_SCANNED))}:
            rejects.extend(Reject(document, "") for _, document in rows)
            return
        statement = self.state.sql(_COPY_CLAIMS, claims=self._claims(mapping).name)
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(copy_text([row for row, _ in rows]))

    def _finish(self, connection: Connection) -> bool:
        """Let the appliers begin with tables whose segments are loaded; tell whether there were any."""
        loaded = {name for (name,) in connection.execute(self.state.sql(_LOADED))}
        if not loaded:
            return False
        scanned = {name for (name,) in connection.execute(self.state.sql(_WHICH_SCANNED))}
        complete = (loaded | scanned) >= _TOGETHER
        ready = loaded if complete else loaded - _TOGETHER
        if ready:
            self.repeated(lambda: self._complete(connection, ready))
        return bool(ready)

    def _complete(self, connection: Connection, ready: set[str]) -> None:
        tables = sorted({BY_NAME[name].table for name in ready if BY_NAME[name] not in CLAIMS})
        if PROPERTIES.name in ready:
            tables.append(LOOK_UPS)
        with self.transaction(connection):
            self.state.lock_appliers(connection, exclusive=True)
            if PROPERTIES.name in ready:
                self._make_look_ups(connection)
            connection.execute(self.state.sql(_SCANNED), {"tables": sorted(ready)})
        if tables:
            analyze(self.state.target, connection, tables)

    def _make_look_ups(self, connection: Connection) -> None:
        """Make the look-up rows of all values but those about which a dirty row may tell something else.

        The holders of these are marked, so that appliers decide.
        """
        names = self.state.read(connection).indexed_properties
        look_ups = LookUps.of(self.state.target, connection, names)
        look_ups.begin()
        connection.execute(self.state.sql(_DELETE_LOOK_UPS))
        connection.execute(self.state.sql(_DIRTY_PROPERTIES))
        connection.execute(self.state.sql(_NAMES))
        for mapping in CLAIMS:
            look_ups.insert_claimed(self._claims(mapping))
            connection.execute(self.state.sql(_DIRTY_CLAIMS[mapping], lookup_key=LOOKUP_KEY))
            look_ups.withhold(self._claims(mapping))
            self._claims(mapping).empty(connection)
        look_ups.insert_unclaimed()
        keys = {"hash": hash_expression(PROPERTIES, "stored"), "range": range_expression(PROPERTIES, "stored")}
        connection.execute(self.state.sql(_MARK_HOLDERS, lookup_key=LOOKUP_KEY, **keys), {"names": list(names)})

    def _claims(self, mapping: TableMapping) -> StagedClaims:
        name = "claims_v2" if mapping is CLAIMS_V2 else "claims_v1"
        return StagedClaims(mapping, sql.Identifier(self.state.name, name))


def _is_marker(mapping: TableMapping, document: bytes) -> bool:
    return MARKER.encode() in document and is_marker(_key_of(mapping, document))


def _key_of(mapping: TableMapping, document: bytes) -> RowKey:
    """Return the key of a document, whose key attributes are texts."""
    content: dict[str, Any] = content_of(document)
    return RowKey(mapping.name, *(content[name] for name in mapping.layout.key_names))
