"""Rows of a source in staging tables beside those of the schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import LiteralString

from psycopg import sql

from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.mapping import CLAIMS, CLAIMS_V1, TableMapping
from actingweb.migration.target.connection import REJECTED_BY_SERVER, Connection, Target, column_names

__all__ = ["LOOKUP_KEY", "StagedClaims", "Staging"]

# Without a backslash, whose meaning depends on standard_conforming_strings.
LOOKUP_KEY = sql.SQL(
    "encode(sha256(convert_to(name, 'UTF8') || decode('00', 'hex') || convert_to(value, 'UTF8')), 'hex')"
)
"""The look-up key of a property: an expression over its `name` and `value`."""

_CREATE = "CREATE TEMP TABLE {staged} AS SELECT {columns} FROM {schema}.{table} WITH NO DATA"
_COPY = "COPY {staged} FROM STDIN"
_INDEX = "CREATE INDEX ON {staged} (id)"
_ANALYZE = "ANALYZE {staged}"
_DROP = "DROP TABLE {staged}"

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
    """A staging table of claims. Its methods raise `psycopg.Error`.

    Attributes:
        name: the staging table; it is temporary if its schema is `pg_temp`.
    """

    mapping: TableMapping
    name: sql.Identifier

    @classmethod
    def lasting(cls, target: Target, mapping: TableMapping) -> "StagedClaims":
        """Return the table in the schema, which lasts until the load is finished."""
        return cls(mapping, sql.Identifier(target.schema, mapping.table))

    @property
    def rows(self) -> sql.Composed:
        """The claims, as `lookup_key`, `property_name`, `actor_id` and `document`."""
        statement = sql.SQL(_CLAIMS_V1 if self.mapping is CLAIMS_V1 else _CLAIMS_V2)
        return statement.format(staged=self.name, lookup_key=LOOKUP_KEY)

    def create(self, connection: Connection, *, temporary: bool) -> None:
        """Create the table if it does not exist."""
        kind = sql.SQL("TEMP TABLE" if temporary else "TABLE IF NOT EXISTS")
        columns = sql.SQL(", ").join(
            sql.SQL("{} text").format(sql.Identifier(name)) for name in self.mapping.record.fields
        )
        connection.execute(sql.SQL(_CREATE_CLAIMS).format(kind=kind, staged=self.name, columns=columns))

    def empty(self, connection: Connection) -> None:
        """Delete all claims."""
        connection.execute(sql.SQL("TRUNCATE {}").format(self.name))

    def other_names(self, connection: Connection, names: Sequence[str]) -> list[str]:
        """Return up to ten property names, other than `names`, whose values are claimed."""
        found = connection.execute(sql.SQL(_OTHER_NAMES).format(staged=self.name), {"names": list(names)})
        return sorted(name for (name,) in found)


@dataclass(frozen=True)
class Staging:
    """A temporary table with the columns and types of a table of the schema. Its methods raise `psycopg.Error`."""

    target: Target
    connection: Connection
    mapping: TableMapping

    @cached_property
    def name(self) -> sql.Identifier:
        """The name of the temporary table."""
        return sql.Identifier("pg_temp", f"source_{self.mapping.name}")

    def create(self) -> None:
        """Create the table."""
        if self.mapping in CLAIMS:
            StagedClaims(self.mapping, self.name).create(self.connection, temporary=True)
        else:
            self._execute(_CREATE)

    def add(self, rows: RowPairs) -> list[Reject]:
        """Add rows; return those that PostgreSQL rejects."""
        try:
            with self.connection.cursor() as cursor, cursor.copy(self._sql(_COPY)) as copy:
                for row, _ in rows:
                    copy.write_row(row)
        except REJECTED_BY_SERVER as error:
            rejected = type(error).__name__
        else:
            return []
        if len(rows) == 1:
            return [Reject(rows[0][1], f"PostgreSQL rejects it: {rejected}")]
        half = len(rows) // 2
        return self.add(rows[:half]) + self.add(rows[half:])

    def finish(self, *, looked_up: bool) -> None:
        """Update the planner's statistics; first create an index on `id` if rows are to be `looked_up`."""
        if looked_up:
            self._execute(_INDEX)
        self._execute(_ANALYZE)

    def drop(self) -> None:
        """Drop the table."""
        self._execute(_DROP)

    def _execute(self, statement: LiteralString) -> None:
        self.connection.execute(self._sql(statement))

    def _sql(self, statement: LiteralString) -> sql.Composed:
        columns = column_names(self.mapping.record.fields)
        return self.target.sql(statement, staged=self.name, table=sql.Identifier(self.mapping.table), columns=columns)
