"""Makes tables of PostgreSQL equal to the staged rows of a source, by one transaction per table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.documents import key_of
from actingweb.migration.jobs.row_parts import column_parts
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import Connection, Target, column_names, lift_timeouts
from actingweb.migration.target.staging import Staging

__all__ = ["Repair"]

# A key that the source has twice is left alone: it is not known which row is right.
_SINGLE = sql.SQL("SELECT {key} FROM {staged} GROUP BY {key} HAVING count(*) = 1")
_UPDATE = """
UPDATE {schema}.{table} AS stored SET {assignments} FROM {staged} AS staged
WHERE ({stored_key}) = ({staged_key}) AND {differs} AND ({staged_key}) IN ({single})
"""
_INSERT = """
INSERT INTO {schema}.{table} ({columns}) SELECT {columns} FROM {staged} AS staged
WHERE ({staged_key}) IN ({single})
  AND NOT EXISTS (SELECT FROM {schema}.{table} AS stored WHERE ({stored_key}) = ({staged_key})) {owned}
"""
_OWNED = sql.SQL("AND EXISTS (SELECT FROM {actors} AS actors WHERE actors.id = staged.id)")
_CREATE_SPARED = "CREATE TEMP TABLE {spared} AS SELECT {key} FROM {schema}.{table} WITH NO DATA"
_COPY_SPARED = "COPY {spared} FROM STDIN"
_DELETE = """
DELETE FROM {schema}.{table} AS stored
WHERE NOT EXISTS (SELECT FROM {staged} AS staged WHERE ({stored_key}) = ({staged_key}))
  AND NOT EXISTS (SELECT FROM {spared} AS spared WHERE ({stored_key}) = ({spared_key}))
"""


@dataclass(frozen=True)
class Repair:
    """Repairs one schema. Its methods raise `psycopg.Error`."""

    target: Target
    connection: Connection

    def rows(self, staging: Staging, *, owned: bool) -> None:
        """Insert the rows that are missing, and update those that differ.

        Rows that are `owned` by an actor which PostgreSQL does not have are left out.
        """
        actors = sql.Identifier(self.target.schema, "actors")
        self._execute(_UPDATE, staging)
        self._execute(_INSERT, staging, owned=_OWNED.format(actors=actors) if owned else sql.SQL(""))

    def spare(self, staging: Staging, documents: Iterable[bytes]) -> None:
        """Spare rows that have the keys of these documents, which cannot be staged: somebody has corrected them."""
        mapping = staging.mapping
        if not self._is_spared(staging):
            self.connection.execute(self._sql(_CREATE_SPARED, staging))
        keys = (key_of(mapping.record, document) for document in documents)
        rows = [row for key in keys if (row := _storable_key(mapping, key)) is not None]
        with self.connection.cursor() as cursor, cursor.copy(self._sql(_COPY_SPARED, staging)) as copy:
            for row in rows:
                copy.write_row(row)

    def delete_extra(self, staging: Staging) -> int:
        """Delete the rows that the source does not have; return their number."""
        self.spare(staging, ())
        return self._execute(_DELETE, staging)

    def _is_spared(self, staging: Staging) -> bool:
        found = self.connection.execute("SELECT to_regclass(%s)", [f"pg_temp.{_spared(staging.mapping)}"]).fetchone()
        return found != (None,)

    def _execute(self, statement: LiteralString, staging: Staging, **parts: sql.Composable) -> int:
        with self.connection.transaction():
            lift_timeouts(self.connection)
            return self.connection.execute(self._sql(statement, staging, **parts)).rowcount

    def _sql(self, statement: LiteralString, staging: Staging, **parts: sql.Composable) -> sql.Composed:
        mapping = staging.mapping
        key, columns = column_names(mapping.record.key), column_names(mapping.record.fields)
        others = [sql.Identifier(name) for name in mapping.record.fields if name not in mapping.record.key]
        assignments = [sql.SQL("{} = staged.{}").format(name, name) for name in others]
        return self.target.sql(
            statement,
            table=sql.Identifier(mapping.table),
            staged=staging.name,
            spared=sql.Identifier("pg_temp", _spared(mapping)),
            columns=columns,
            key=key,
            single=_SINGLE.format(key=key, staged=staging.name),
            assignments=sql.SQL(", ").join(assignments),
            differs=column_parts(mapping, show_values=False)["differs"],
            **{f"{side}_key": _side(mapping, side) for side in ("stored", "staged", "spared")},
            **parts,
        )


def _spared(mapping: TableMapping) -> str:
    return f"spared_{mapping.name}"


def _side(mapping: TableMapping, side: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(side, name) for name in mapping.record.key)


def _storable_key(mapping: TableMapping, key: dict[str, Any]) -> tuple[Any, ...] | None:
    """Return the key that a row in PostgreSQL may have, None if none can have it."""
    # An empty part may be absent.
    parts = tuple(key.get(name, "") for name in mapping.record.key)
    kinds = (mapping.record.types[name] for name in mapping.record.key)
    return parts if all(map(_is_storable, parts, kinds)) else None


def _is_storable(value: Any, kind: Any) -> bool:
    if kind is int:
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return isinstance(value, str) and "\x00" not in value
