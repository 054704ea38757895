"""Look-up rows, which are derived from the properties and from the claims of the source.

A claim is valid if its actor holds the value. The look-up row of a value names its claimant; claims of the newer table
win over those of the older one, as on DynamoDB. For a value without a valid claim, the row names the smallest id among
the actors that hold it. An existing look-up row stays, unless its actor no longer holds the value.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, LiteralString, TypeVar

from psycopg import sql

from actingweb.db.utils import clean_text, compute_lookup_key
from actingweb.migration.batches import Reject
from actingweb.migration.documents import Document, content_of, corrected
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, LOOK_UPS, PROPERTIES, TableMapping
from actingweb.migration.rejects import RejectFile
from actingweb.migration.target.connection import Connection, Target, lift_timeouts
from actingweb.migration.target.progress import Counts
from actingweb.migration.target.staging import LOOKUP_KEY, StagedClaims

__all__ = ["LoadedClaims", "LookUps", "analyze", "claimed_keys", "held_properties", "make_look_ups", "rejected_keys"]

T = TypeVar("T")

_DELETE_RELEASED = """
DELETE FROM {rows} AS stored WHERE NOT EXISTS (
    SELECT FROM {properties}
    WHERE id = stored.actor_id AND name = stored.property_name AND {lookup_key} = stored.lookup_key
)
"""
# The look-up key alone identifies what is claimed, as on DynamoDB. The name only reduces the rows to hash.
_INSERT_CLAIMED = """
INSERT INTO {rows} (lookup_key, property_name, actor_id)
SELECT claim.lookup_key, name, min(id)
FROM {claims} AS claim JOIN {properties} ON id = claim.actor_id
WHERE value <> '' AND (name = ANY(%(names)s) OR name IN (SELECT property_name FROM {claims} AS named))
  AND {lookup_key} = claim.lookup_key
  AND EXISTS (SELECT FROM {actors} AS actors WHERE actors.id = claim.actor_id)
  AND NOT EXISTS (SELECT FROM pg_temp.withheld WHERE withheld.lookup_key = claim.lookup_key)
GROUP BY claim.lookup_key, name
ON CONFLICT (lookup_key) DO NOTHING
"""
_INSERT_UNCLAIMED = """
INSERT INTO {rows} (lookup_key, property_name, actor_id)
SELECT lookup_key, name, id
FROM (
    SELECT {lookup_key} AS lookup_key, name, min(id COLLATE "C") AS id, count(*) AS holders
    FROM {properties} AS property
    WHERE name = ANY(%(names)s) AND value <> ''
      AND EXISTS (SELECT FROM {actors} AS actors WHERE actors.id = property.id)
    GROUP BY name, value
) AS held
WHERE NOT EXISTS (
    SELECT FROM pg_temp.withheld
    WHERE withheld.lookup_key = held.lookup_key AND (withheld.document IS NOT NULL OR held.holders > 1)
)
ON CONFLICT (lookup_key) DO NOTHING
"""
_UPDATE_EXPECTED = """
UPDATE {rows} AS stored SET property_name = expected.property_name, actor_id = expected.actor_id
FROM {expected} AS expected
WHERE stored.lookup_key = expected.lookup_key AND stored.actor_id <> expected.actor_id AND EXISTS (
    SELECT FROM {properties} AS property
    WHERE property.id = expected.actor_id AND property.name = expected.property_name
      AND {lookup_key} = expected.lookup_key
)
"""
_INSERT_EXPECTED = """
INSERT INTO {rows} (lookup_key, property_name, actor_id)
SELECT lookup_key, property_name, actor_id FROM {expected} AS expected WHERE EXISTS (
    SELECT FROM {properties} AS property
    WHERE property.id = expected.actor_id AND property.name = expected.property_name
      AND {lookup_key} = expected.lookup_key
)
ON CONFLICT (lookup_key) DO NOTHING
"""
_DELETE_UNEXPECTED = """
DELETE FROM {rows} AS stored
WHERE property_name <> ALL(%(names)s)
  AND NOT EXISTS (SELECT FROM {expected} AS expected WHERE expected.lookup_key = stored.lookup_key)
"""
_CREATE_WITHHELD = """
CREATE TEMP TABLE withheld (lookup_key text, claims text, document text) {on_commit};
CREATE TEMP TABLE rejected_properties (id text, name text, lookup_key text) {on_commit}
"""
_COPY_REJECTED = "COPY pg_temp.rejected_properties FROM STDIN"
_COPY_UNREADABLE = "COPY pg_temp.withheld (lookup_key) FROM STDIN"
_WITHHOLD = """
INSERT INTO pg_temp.withheld
SELECT lookup_key, %(claims)s, document FROM {claims} AS claim
WHERE EXISTS (
    SELECT FROM pg_temp.rejected_properties AS rejected
    WHERE rejected.id = claim.actor_id AND (
        rejected.lookup_key = claim.lookup_key OR (rejected.lookup_key IS NULL AND rejected.name = claim.property_name)
    )
) AND NOT EXISTS (SELECT FROM {rows} AS stored WHERE stored.lookup_key = claim.lookup_key)
"""

_WITHHELD_REASON = "the property of its actor was rejected: load that first"
_ROWS_AT_ONCE = 1000
_WITHHELD_DOCUMENTS = "SELECT document FROM pg_temp.withheld WHERE claims = %(claims)s"


@dataclass(frozen=True)
class LookUps:
    """Creates look-up rows, in one transaction of the caller. Its methods raise `psycopg.Error`.

    Attributes:
        rows: the table of look-up rows, in which `lookup_key` is unique.
        properties, actors: the tables of properties and of actors.
        names: the properties whose values have look-up rows even if nobody claims them.
    """

    connection: Connection
    rows: sql.Identifier
    properties: sql.Identifier
    actors: sql.Identifier
    names: tuple[str, ...]

    @classmethod
    def of(cls, target: Target, connection: Connection, names: tuple[str, ...]) -> "LookUps":
        """Return an instance for the tables of the schema."""
        tables = LOOK_UPS, PROPERTIES.table, ACTORS.table
        rows, properties, actors = (sql.Identifier(target.schema, table) for table in tables)
        return cls(connection, rows, properties, actors, names)

    def begin(self, *, temporary: bool = True) -> None:
        """Create the table of withheld claims. Call it first.

        The table lasts until the transaction ends if it is `temporary`, else until the session ends.
        """
        on_commit = sql.SQL("ON COMMIT DROP" if temporary else "")
        self.connection.execute(sql.SQL(_CREATE_WITHHELD).format(on_commit=on_commit))

    def add_rejected(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Register rejected properties: actor, name and, if it is known, the look-up key."""
        self._copy(_COPY_REJECTED, rows)

    def add_unreadable(self, keys: Sequence[str]) -> None:
        """Register the keys of claims whose actor is unknown. Such a value gets a row only if a single actor has it."""
        self._copy(_COPY_UNREADABLE, [(key,) for key in keys])

    def delete_stale(self) -> int:
        """Delete the rows whose actor no longer holds the value; return their number."""
        return self._changed(_DELETE_RELEASED)

    def insert_claimed(self, claims: StagedClaims) -> int:
        """Insert the rows of valid claims; return their number."""
        return self._changed(_INSERT_CLAIMED, claims)

    def adopt(self, expected: sql.Identifier) -> None:
        """Make the rows equal to `expected` ones, as far as the actors hold the values."""
        for statement in (_UPDATE_EXPECTED, _DELETE_UNEXPECTED, _INSERT_EXPECTED):
            self._changed(statement, expected=expected)

    def withhold(self, claims: StagedClaims) -> int:
        """Withhold claims whose property was rejected, so that their values get no row; return their number.

        Their documents are in `pg_temp.withheld`.
        """
        return self._changed(_WITHHOLD, claims)

    def insert_unclaimed(self) -> int:
        """Insert the rows of values without a claim; return their number."""
        return self._changed(_INSERT_UNCLAIMED)

    def _changed(self, statement: LiteralString, claims: StagedClaims | None = None, **parts: sql.Composable) -> int:
        query = sql.SQL(statement).format(
            rows=self.rows,
            properties=self.properties,
            actors=self.actors,
            lookup_key=LOOKUP_KEY,
            claims=claims.rows if claims else sql.SQL(""),
            **parts,
        )
        return self.connection.execute(
            query, {"names": list(self.names), "claims": claims and claims.mapping.name}
        ).rowcount

    def _copy(self, statement: LiteralString, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


def analyze(target: Target, connection: Connection, names: Sequence[str]) -> None:
    """Update the planner's statistics of tables. Raise `psycopg.Error`."""
    tables = sql.SQL(", ").join(sql.Identifier(target.schema, name) for name in names)
    with connection.transaction():
        lift_timeouts(connection)
        connection.execute(sql.SQL("ANALYZE {}").format(tables))


@dataclass(frozen=True)
class LoadedClaims:
    """The claims of one table.

    Attributes:
        rejects: receives the withheld claims, after those that could not be read.
        counts: `written` is the number of staged claims; `make_look_ups` changes it to that of look-up rows.
    """

    staged: StagedClaims
    rejects: RejectFile
    counts: Counts


def make_look_ups(look_ups: LookUps, claims: Sequence[LoadedClaims], properties: RejectFile) -> tuple[int, int]:
    """Create all look-up rows; return how many are from claims and how many are for unclaimed values.

    `properties` has the rejected properties. A claim whose property was rejected is rejected too, to be loaded together
    with the property; until then its value gets no row. Raise `psycopg.Error`, and `SourceError` if a reject file is
    malformed.
    """
    look_ups.begin()
    for rows in _parts(held_properties(_documents(properties))):
        look_ups.add_rejected(rows)
    look_ups.delete_stale()
    claimed = sum(_insert_claimed(look_ups, one) for one in claims)
    return claimed, look_ups.insert_unclaimed()


def _insert_claimed(look_ups: LookUps, claims: LoadedClaims) -> int:
    claimed = look_ups.insert_claimed(claims.staged)
    for keys in _parts(rejected_keys(claims.rejects)):
        look_ups.add_unreadable(keys)
    waiting = look_ups.withhold(claims.staged)
    if waiting:
        for documents in _parts(_withheld(look_ups.connection, claims.staged)):
            claims.rejects.add((None, Reject(document, _WITHHELD_REASON)) for document in documents)
    counts = claims.counts
    counts.skipped += counts.written - claimed - waiting
    counts.rejected += waiting
    counts.written = claimed
    return claimed


def _withheld(connection: Connection, staged: StagedClaims) -> Iterator[bytes]:
    with connection.cursor("withheld") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        for (document,) in cursor.execute(_WITHHELD_DOCUMENTS, {"claims": staged.mapping.name}):
            yield document.encode()


def rejected_keys(rejects: RejectFile) -> Iterator[str]:
    """Yield the look-up keys of the rejected claims that have one."""
    return claimed_keys(rejects.mapping, _documents(rejects))


def claimed_keys(mapping: TableMapping, documents: Iterable[bytes]) -> Iterator[str]:
    """Yield the look-up keys of the claims that have one."""
    is_older = mapping is CLAIMS_V1
    for content in _contents(mapping, documents):
        texts = [content.get(name) for name in (("property_name", "value") if is_older else ("lookup_key",))]
        known = [text for text in texts if isinstance(text, str) and "\x00" not in text]
        if len(known) == len(texts):
            yield compute_lookup_key(*known) if is_older else clean_text(known[0])


def held_properties(documents: Iterable[bytes]) -> Iterator[tuple[str, str, str | None]]:
    """Yield actor, name and, if the value is text, look-up key of properties. A claim cannot contain U+0000."""
    for content in _contents(PROPERTIES, documents):
        actor_id, name, value = (content.get(column) for column in ("id", "name", "value"))
        if isinstance(actor_id, str) and isinstance(name, str) and "\x00" not in actor_id + name:
            lookup_key = compute_lookup_key(name, value) if isinstance(value, str) else None
            yield clean_text(actor_id), clean_text(name), lookup_key


def _documents(rejects: RejectFile) -> Iterator[bytes]:
    if rejects.path.exists():
        for rejected in rejects.documents():
            yield rejected.document


def _contents(mapping: TableMapping, documents: Iterable[bytes]) -> Iterator[Document]:
    """Yield the content of the documents that are objects, with the types of the layout."""
    for content in map(content_of, documents):
        if isinstance(content, dict):
            yield corrected(mapping.record, content)


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, _ROWS_AT_ONCE)):
        yield part
