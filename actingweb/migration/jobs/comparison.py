"""The SQL comparison of staged and stored rows; its results are streamed into the report."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.jobs.differences import Difference, Kind, TableResult, Tally
from actingweb.migration.jobs.known_rows import KnownRows
from actingweb.migration.jobs.row_parts import column_parts, compared_columns, is_owned
from actingweb.migration.mapping import LOOK_UPS, TableMapping
from actingweb.migration.target.connection import Connection, Target, column_names
from actingweb.migration.target.staging import LOOKUP_KEY, Staging

__all__ = ["EXPECTED_LOOK_UPS", "Comparison"]

EXPECTED_LOOK_UPS = sql.Identifier("pg_temp", "expected_look_ups")
"""The temporary table of the look-ups that the source has: `lookup_key`, `property_name` and `actor_id`."""

_WITHOUT_CLAIM = "no claim names its actor"
_ROWS_AT_ONCE = 1000
_ROWS_WITH_VALUES_AT_ONCE = 10

_COUNT = "SELECT count(*) FROM {schema}.{table}"
_DUPLICATES = "SELECT {key} FROM {staged} GROUP BY {key} HAVING count(*) > 1"
_ORPHANS = """
SELECT {key} FROM {schema}.{table} AS stored
WHERE NOT EXISTS (SELECT FROM {schema}.actors WHERE actors.id = stored.id)
"""
_DIFFERENCES = """
SELECT {kind}, ARRAY[{differ}], ARRAY[{staged_values}]::text[], ARRAY[{stored_values}]::text[], {key}
FROM {staged} AS staged FULL JOIN {schema}.{table} AS stored USING ({key})
WHERE staged.id IS NULL OR stored.id IS NULL OR {differs}
"""
_KIND = sql.SQL("CASE WHEN staged.id IS NULL THEN 'extra' WHEN stored.id IS NULL THEN 'missing' ELSE 'different' END")
_KIND_OF_OWNED: LiteralString = """
CASE WHEN staged.id IS NULL THEN 'extra' WHEN stored.id IS NOT NULL THEN 'different'
     WHEN EXISTS (SELECT FROM {owners} AS owners WHERE owners.id = staged.id) THEN 'missing' ELSE 'orphan' END
"""

_WITHOUT_VALUE = """
SELECT lookup_key, property_name, actor_id, NULL, NULL FROM {schema}.property_lookup AS claims
WHERE NOT EXISTS (
    SELECT FROM {schema}.properties
    WHERE id = claims.actor_id AND name = claims.property_name AND {lookup_key} = claims.lookup_key
)
"""
_WITHOUT_LOOK_UP = """
SELECT lookup_key, name, min(id COLLATE "C"), NULL, NULL
FROM (
    SELECT {lookup_key} AS lookup_key, name, id FROM {schema}.properties WHERE name = ANY(%(names)s) AND value <> ''
) AS held
WHERE NOT EXISTS (SELECT FROM {schema}.property_lookup AS claims WHERE claims.lookup_key = held.lookup_key)
GROUP BY lookup_key, name
"""
# If PostgreSQL lacks the row of an indexed property, the two statements above report it.
_UNEXPECTED = """
SELECT lookup_key, COALESCE(expected.property_name, stored.property_name), stored.actor_id,
       expected.actor_id, stored.actor_id
FROM {expected} AS expected FULL JOIN (
    SELECT lookup_key, property_name, actor_id FROM {schema}.property_lookup AS claims
    WHERE EXISTS (
        SELECT FROM {schema}.properties
        WHERE id = claims.actor_id AND name = claims.property_name AND {lookup_key} = claims.lookup_key
    )
) AS stored USING (lookup_key)
WHERE expected.actor_id IS DISTINCT FROM stored.actor_id AND (
    (expected.actor_id IS NOT NULL AND stored.actor_id IS NOT NULL)
    OR COALESCE(expected.property_name, stored.property_name) <> ALL(%(names)s)
)
"""
# A claim without a stored row is reported above if its actor has the value; otherwise nobody is found by it.
_NOT_CLAIMED = """
SELECT lookup_key, stored.property_name, stored.actor_id, claim.actor_id, stored.actor_id
FROM {schema}.property_lookup AS stored LEFT JOIN {claims} AS claim USING (lookup_key)
WHERE claim.actor_id IS DISTINCT FROM stored.actor_id
"""
_CREATE_WAITING = "CREATE TEMP TABLE waiting_claims (lookup_key text, accepted boolean) ON COMMIT DROP"
_COPY_WAITING = "COPY pg_temp.waiting_claims FROM STDIN"
_WAITING = """
SELECT lookup_key, bool_or(accepted) FROM pg_temp.waiting_claims WHERE lookup_key = ANY(%(keys)s) GROUP BY lookup_key
"""


@dataclass(frozen=True)
class Comparison:
    """Compares staged rows with stored ones. Its methods raise `psycopg.Error`."""

    target: Target
    connection: Connection
    report: Tally
    show_values: bool = False

    def table(self, staging: Staging, owners: Staging | None, known: KnownRows, accepted: KnownRows) -> None:
        """Compare a table. `owners` has the actors of the source, if they are known."""
        mapping = staging.mapping
        owned = is_owned(mapping)
        parts = {"table": sql.Identifier(mapping.name), "key": column_names(mapping.record.key), "staged": staging.name}
        with self.connection.transaction():
            self.report.tables[mapping.name].target = self._count(mapping.name)
            self._add_duplicates(staging)
            if owned:
                reason = "its actor is not in PostgreSQL"
                self._add_keys(mapping, Kind.ORPHAN, reason, self.target.sql(_ORPHANS, **parts))
            kind = sql.SQL(_KIND_OF_OWNED).format(owners=owners.name) if owned and owners else _KIND
            parts |= column_parts(mapping, self.show_values)
            self._add_rows(mapping, known, accepted, self.target.sql(_DIFFERENCES, kind=kind, **parts))

    def duplicates(self, staging: Staging) -> None:
        """Report keys that several rows of the source have."""
        with self.connection.transaction():
            self._add_duplicates(staging)

    def look_ups(self, names: Sequence[str], waiting: Iterable[tuple[str, bool]], *, expected: bool) -> None:
        """Compare the look-up rows with the properties; each value of a property in `names` must have a row.

        With `expected`, compare them with `EXPECTED_LOOK_UPS` too. The keys in `waiting` are of claims that the import
        rejected, each with whether that is accepted.
        """
        found = [
            (_WITHOUT_VALUE, "its actor has no such value"),
            (_WITHOUT_LOOK_UP, "the actor's value has no look-up row"),
        ]
        if expected:
            found.append((_UNEXPECTED, "a look-up has another answer"))
        with self.connection.transaction():
            self.report.tables[LOOK_UPS] = TableResult(source=None, target=self._count(LOOK_UPS))
            self._store_waiting(waiting)
            for statement, reason in found:
                query = self.target.sql(statement, lookup_key=LOOKUP_KEY, expected=EXPECTED_LOOK_UPS)
                self._add_look_ups(query, names, reason)

    def claimed(self, claims: Staging) -> None:
        """Report look-up rows whose actor the table of claims does not name."""
        with self.connection.transaction():
            for rows in self._chunks(self.target.sql(_NOT_CLAIMED, claims=claims.name)):
                for lookup_key, name, actor_id, *values in rows:
                    key = {"lookup_key": lookup_key, "property_name": name, "actor_id": actor_id}
                    found = (values[0], values[1])
                    self.report.add(Difference(LOOK_UPS, Kind.LOOK_UP, key, reason=_WITHOUT_CLAIM, values=found))

    def _store_waiting(self, keys: Iterable[tuple[str, bool]]) -> None:
        self.connection.execute(_CREATE_WAITING)
        with self.connection.cursor() as cursor, cursor.copy(_COPY_WAITING) as copy:
            for key in keys:
                copy.write_row(key)

    def _add_look_ups(self, query: sql.Composed, names: Sequence[str], reason: str) -> None:
        result = self.report.tables[LOOK_UPS]
        for rows in self._chunks(query, names=list(names)):
            waiting = dict(self.connection.execute(_WAITING, {"keys": [row[0] for row in rows]}).fetchall())
            for lookup_key, name, actor_id, wanted, found_actor in rows:
                if waiting.get(lookup_key):
                    result.accepted += 1
                    continue
                result.rejected += lookup_key in waiting
                key = {"lookup_key": lookup_key, "property_name": name, "actor_id": actor_id}
                values = None if wanted is None and found_actor is None else (wanted, found_actor)
                self.report.add(Difference(LOOK_UPS, Kind.LOOK_UP, key, reason=reason, values=values))

    def _add_duplicates(self, staging: Staging) -> None:
        parts = {"key": column_names(staging.mapping.record.key), "staged": staging.name}
        self._add_keys(staging.mapping, Kind.DUPLICATE, None, self.target.sql(_DUPLICATES, **parts))

    def _add_keys(self, mapping: TableMapping, kind: Kind, reason: str | None, query: sql.Composed) -> None:
        for rows in self._chunks(query):
            for row in rows:
                self.report.add(Difference(mapping.name, kind, mapping.reported_key(_key(mapping, row)), reason=reason))

    def _add_rows(self, mapping: TableMapping, known: KnownRows, accepted: KnownRows, query: sql.Composed) -> None:
        result = self.report.tables[mapping.name]
        for rows in self._chunks(query):
            is_absent = [kind in (Kind.MISSING, Kind.ORPHAN) for kind, *_ in rows]
            absent = [_key(mapping, key) for _, _, _, _, *key in compress(rows, is_absent)]
            judged = zip(accepted.has_keys(absent), known.has_keys(absent), strict=True)
            for row, may_be_known in zip(rows, is_absent, strict=True):
                is_accepted, is_rejected = next(judged) if may_be_known else (False, False)
                result.accepted += is_accepted
                result.rejected += is_rejected and not is_accepted
                for difference in () if is_accepted else self._differences(mapping, row):
                    self.report.add(difference)

    def _differences(self, mapping: TableMapping, row: tuple[Any, ...]) -> Iterator[Difference]:
        name, differ, staged, stored, *parts = row
        kind, key = Kind(name), _key(mapping, parts)
        if kind is not Kind.DIFFERENT:
            reason = "it is not in PostgreSQL, nor is its actor in the source" if kind is Kind.ORPHAN else None
            yield Difference(mapping.name, kind, key, reason=reason)
            return
        for index, column in compress(enumerate(compared_columns(mapping)), differ):
            values = (staged[index], stored[index]) if self.show_values else None
            yield Difference(mapping.name, kind, key, column, values=values)

    def _count(self, table: str) -> int:
        statement = self.target.sql(_COUNT, table=sql.Identifier(table))
        ((count,),) = self.connection.execute(statement)
        return int(count)

    def _chunks(self, query: sql.Composed, **parameters: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a query in chunks, in constant memory."""
        size = _ROWS_WITH_VALUES_AT_ONCE if self.show_values else _ROWS_AT_ONCE
        with self.connection.cursor("differences") as cursor:
            cursor.execute(query, parameters)
            while rows := cursor.fetchmany(size):
                yield rows


def _key(mapping: TableMapping, parts: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(mapping.record.key, parts, strict=True))
