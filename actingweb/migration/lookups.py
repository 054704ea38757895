"""The rule by which look-up rows follow from properties and from the claims of the source.

A claim counts if its actor holds the value. The actor that claims a value answers for it, in the newer table of claims
before the older one, as on DynamoDB; for a value that nobody claims the smallest id that holds it answers. A look-up
row that is there stays, unless its actor no longer holds the value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.canonical import TableForm
from actingweb.migration.tables import ACTORS, CLAIMS_V1, LOOK_UPS, PROPERTIES
from actingweb.migration.target import Connection, Target, lift_timeouts

__all__ = ["LOOKUP_KEY", "LookUps", "StagedClaims", "analyze"]

# Without a backslash, which means another thing if standard_conforming_strings is off.
LOOKUP_KEY = sql.SQL(
    "encode(sha256(convert_to(name, 'UTF8') || decode('00', 'hex') || convert_to(value, 'UTF8')), 'hex')"
)
"""The key of a property's look-up row."""

_DELETE_RELEASED = """
DELETE FROM {rows} AS stored WHERE NOT EXISTS (
    SELECT FROM {properties}
    WHERE id = stored.actor_id AND name = stored.property_name AND {lookup_key} = stored.lookup_key
)
"""
# The key says what is claimed; DynamoDB ignores the name beside it, which here only spares the digests of other rows.
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
_CREATE_CLAIMS: LiteralString = "CREATE {kind} {staged} ({columns})"
_CLAIMS_V2 = "(SELECT *, to_json(staged)::text AS document FROM {staged} AS staged)"
_CLAIMS_V1 = """(
    SELECT {lookup_key} AS lookup_key, name AS property_name, actor_id,
           json_build_object('property_name', name, 'value', value, 'actor_id', actor_id)::text AS document
    FROM {staged} AS staged (name, value, actor_id)
)"""
_OTHER_NAMES = (
    "SELECT DISTINCT property_name FROM {staged} WHERE property_name <> ALL(%(names)s) AND property_name <> '' LIMIT 10"
)


@dataclass(frozen=True)
class StagedClaims:
    """A table of claims beside those of the schema. Its methods raise `psycopg.Error`.

    Attributes:
        name: the table; it is temporary if its schema is `pg_temp`.
    """

    form: TableForm
    name: sql.Identifier

    @classmethod
    def lasting(cls, target: Target, form: TableForm) -> "StagedClaims":
        """Return the table that lasts as long as a load."""
        return cls(form, sql.Identifier(target.schema, form.table))

    @property
    def rows(self) -> sql.Composed:
        """The claims: `lookup_key`, `property_name`, `actor_id`, and `document`, which is what they are made of."""
        statement = sql.SQL(_CLAIMS_V1 if self.form is CLAIMS_V1 else _CLAIMS_V2)
        return statement.format(staged=self.name, lookup_key=LOOKUP_KEY)

    def create(self, connection: Connection, *, temporary: bool) -> None:
        """Make the table, if it is not there."""
        kind = sql.SQL("TEMP TABLE" if temporary else "TABLE IF NOT EXISTS")
        columns = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(name)) for name in self.form.record.fields
        )
        connection.execute(sql.SQL(_CREATE_CLAIMS).format(kind=kind, staged=self.name, columns=columns))

    def empty(self, connection: Connection) -> None:
        """Remove all claims."""
        connection.execute(sql.SQL("TRUNCATE {}").format(self.name))

    def names_beside(self, connection: Connection, names: Sequence[str]) -> list[str]:
        """Return some of the property names, other than these, whose values are claimed."""
        found = connection.execute(sql.SQL(_OTHER_NAMES).format(staged=self.name), {"names": list(names)})
        return sorted(name for (name,) in found)


@dataclass(frozen=True)
class LookUps:
    """Look-up rows that are made, all in one transaction of the caller's. Its methods raise `psycopg.Error`.

    Attributes:
        rows: the table of look-up rows, in which `lookup_key` is unique.
        properties, actors: the tables that say who holds what, and who exists.
        names: the properties whose values have look-up rows, whether or not somebody claims them.
    """

    connection: Connection
    rows: sql.Identifier
    properties: sql.Identifier
    actors: sql.Identifier
    names: tuple[str, ...]

    @classmethod
    def of(cls, target: Target, connection: Connection, names: tuple[str, ...]) -> "LookUps":
        """Return those of the schema."""
        tables = LOOK_UPS, PROPERTIES.table, ACTORS.table
        rows, properties, actors = (sql.Identifier(target.schema, table) for table in tables)
        return cls(connection, rows, properties, actors, names)

    def begin(self, *, temporary: bool = True) -> None:
        """Let nothing be withheld. This comes first, and counts until the transaction ends, or else the session."""
        on_commit = sql.SQL("ON COMMIT DROP" if temporary else "")
        self.connection.execute(sql.SQL(_CREATE_WITHHELD).format(on_commit=on_commit))

    def add_rejected(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
        """Say which properties were rejected: actor, name and, if it can be known, the key of the look-up row."""
        self._copy(_COPY_REJECTED, rows)

    def add_unreadable(self, keys: Sequence[str]) -> None:
        """Say for which look-up keys there is a claim whose actor cannot be known: only a single holder answers."""
        self._copy(_COPY_UNREADABLE, [(key,) for key in keys])

    def release(self) -> int:
        """Delete the rows whose actor no longer holds the value; return how many."""
        return self._changed(_DELETE_RELEASED)

    def claim(self, claims: StagedClaims) -> int:
        """Make the rows that claims ask for; return how many."""
        return self._changed(_INSERT_CLAIMED, claims)

    def withhold(self, claims: StagedClaims) -> int:
        """Let nobody answer for values that wait for a rejected property of their claimant; return how many claims.

        Their documents are in `pg_temp.withheld`.
        """
        return self._changed(_WITHHOLD, claims)

    def fill(self) -> int:
        """Make the rows of values that nobody claims; return how many."""
        return self._changed(_INSERT_UNCLAIMED)

    def _changed(self, statement: LiteralString, claims: StagedClaims | None = None) -> int:
        query = sql.SQL(statement).format(
            rows=self.rows,
            properties=self.properties,
            actors=self.actors,
            lookup_key=LOOKUP_KEY,
            claims=claims.rows if claims else sql.SQL(""),
        )
        return self.connection.execute(
            query, {"names": list(self.names), "claims": claims and claims.form.name}
        ).rowcount

    def _copy(self, statement: LiteralString, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


def analyze(target: Target, connection: Connection, names: Sequence[str]) -> None:
    """Renew the statistics of tables. Raise `psycopg.Error`."""
    tables = sql.SQL(", ").join(sql.Identifier(target.schema, name) for name in names)
    with connection.transaction():
        lift_timeouts(connection)
        connection.execute(sql.SQL("ANALYZE {}").format(tables))
