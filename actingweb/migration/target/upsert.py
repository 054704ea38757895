"""Making rows of a table equal to given ones, with statements for many rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, LiteralString

from psycopg import sql

from actingweb.db.dynamodb.stored_types import column_of
from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import REJECTED_BY_SERVER, Connection, Target, column_names

__all__ = ["Upsert", "given_keys"]

# An equal row is left alone: it costs no WAL, and wakes no trigger.
_UPSERT: LiteralString = """
INSERT INTO {schema}.{table} AS stored ({columns}) SELECT {values} FROM {given}
ON CONFLICT ({key}) DO UPDATE SET ({others}) = ROW({new}) WHERE ({old_texts}) IS DISTINCT FROM ({new_texts})
"""
_INSERT: LiteralString = """
INSERT INTO {schema}.{table} ({columns}) SELECT {values} FROM {given} ON CONFLICT DO NOTHING
"""
_DELETE: LiteralString = "DELETE FROM {schema}.{table} WHERE ({key}) IN (SELECT * FROM {given})"
_TYPES: dict[Any, LiteralString] = {
    str: "text[]",
    bool: "boolean[]",
    int: "bigint[]",
    datetime: "timestamptz[]",
    Any: "text[]",
}


@dataclass
class Upsert:
    """Writes rows of one table within a transaction of the caller. Raises `psycopg.Error`."""

    target: Target
    connection: Connection
    mapping: TableMapping

    def upsert(self, rows: RowPairs) -> list[Reject]:
        """Insert rows, or update those whose keys are there; return those that PostgreSQL rejects."""
        return self._write(_UPSERT, sorted(rows, key=self._key_of))

    def insert_new(self, rows: RowPairs) -> list[Reject]:
        """Insert the rows whose keys are not there; return those that PostgreSQL rejects."""
        return self._write(_INSERT, sorted(rows, key=self._key_of))

    def delete(self, keys: Sequence[tuple[Any, ...]]) -> int:
        """Delete the rows with these keys; return how many there were."""
        if not keys:
            return 0
        given, arrays = given_keys(self.mapping, keys)
        return self.connection.execute(self._sql(_DELETE, given), arrays).rowcount

    def _write(self, statement: LiteralString, rows: RowPairs) -> list[Reject]:
        if not rows:
            return []
        try:
            with self.connection.transaction():
                given, arrays = _given(self.mapping, self.mapping.record.fields, [row for row, _ in rows])
                self.connection.execute(self._sql(statement, given), arrays)
        except REJECTED_BY_SERVER as error:
            rejected = type(error).__name__
        else:
            return []
        if len(rows) == 1:
            return [Reject(rows[0][1], f"PostgreSQL rejects it: {rejected}")]
        half = len(rows) // 2
        return self._write(statement, rows[:half]) + self._write(statement, rows[half:])

    def _key_of(self, pair: tuple[tuple[Any, ...], bytes]) -> tuple[Any, ...]:
        return pair[0][: len(self.mapping.record.key)]

    def _sql(self, statement: LiteralString, given: sql.Composable) -> sql.Composed:
        return self.target.sql(statement, given=given, **self._parts)

    @cached_property
    def _parts(self) -> dict[str, sql.Composable]:
        record, comma = self.mapping.record, sql.SQL(", ")
        others = [name for name in record.fields if name not in record.key]
        return {
            "table": sql.Identifier(self.mapping.table),
            "columns": column_names(record.fields),
            "key": column_names(record.key),
            "others": column_names(tuple(others)),
            "values": comma.join(self._typed(sql.Identifier("given", name), name, "jsonb") for name in record.fields),
            "new": comma.join(sql.Identifier("excluded", name) for name in others),
            # As `jsonb`, 1.0 and 1.00 are equal.
            "old_texts": comma.join(self._typed(sql.Identifier("stored", name), name, "text") for name in others),
            "new_texts": comma.join(self._typed(sql.Identifier("excluded", name), name, "text") for name in others),
        }

    def _typed(self, value: sql.Composable, name: str, kind: LiteralString) -> sql.Composable:
        """Return a value of a column, cast if the column is JSON."""
        return sql.SQL("{}::" + kind).format(value) if self.mapping.record.types[name] is Any else value


def given_keys(mapping: TableMapping, keys: Sequence[tuple[Any, ...]]) -> tuple[sql.Composed, dict[str, Any]]:
    """Return a table expression, named `given`, of keys of rows, and the parameters in it."""
    return _given(mapping, mapping.record.key, keys)


def _given(
    mapping: TableMapping, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> tuple[sql.Composed, dict[str, Any]]:
    types = [_TYPES[column_of(mapping.record.types[name])] for name in columns]
    arrays = [sql.SQL("{}::" + kind).format(sql.Placeholder(name)) for name, kind in zip(columns, types, strict=True)]
    expression = sql.SQL("unnest({}) AS given ({})").format(sql.SQL(", ").join(arrays), column_names(tuple(columns)))
    return expression, {name: [row[index] for row in rows] for index, name in enumerate(columns)}
