"""Writing rows into a table: by a plain COPY as long as possible, else by COPY into a staging table and INSERT.

The staging table makes it possible to skip existing rows and to separate rows that PostgreSQL rejects. It takes about
half as long again.
"""

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from actingweb.db.postgresql.constraints import violated
from actingweb.migration.batches import Reject, RowPairs
from actingweb.migration.mapping import TableMapping
from actingweb.migration.target.connection import REJECTED_BY_SERVER, Connection, Target, column_names
from actingweb.migration.target.copytext import copy_text

__all__ = ["DuplicateKeyError", "TableWriter"]

_STAGE = "CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {columns} FROM {schema}.{table} WITH NO DATA"
_STAGE_KEYS = "CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {key} FROM {schema}.{table} WITH NO DATA"
_COPY = "COPY {schema}.{table} ({columns}) FROM STDIN"
_COPY_STAGED = "COPY pg_temp.staged FROM STDIN"
_INSERT = "INSERT INTO {schema}.{table} ({columns}) SELECT {columns} FROM pg_temp.staged"
_INSERT_NEW = "INSERT INTO {schema}.{table} ({columns}) SELECT {columns} FROM pg_temp.staged ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM {schema}.{table} WHERE ({key}) IN (SELECT {key} FROM pg_temp.staged)"
_DIFFERENT = """
SELECT {key} FROM (
    SELECT {columns} FROM pg_temp.staged
    EXCEPT SELECT {columns} FROM {schema}.{table} WHERE ({key}) IN (SELECT {key} FROM pg_temp.staged)
) AS different
"""
_UNSTAGE = "DROP TABLE pg_temp.staged"
_UNKNOWN_ACTORS = """
SELECT id FROM unnest(%(ids)s::text[]) AS id WHERE NOT EXISTS (SELECT FROM {schema}.actors WHERE actors.id = id.id)
"""


class DuplicateKeyError(Exception):
    """A row with this key exists already; the text names constraint and key."""


@dataclass
class TableWriter:
    """Writes rows into one table, within a transaction of the caller. Raises `psycopg.Error`.

    Attributes:
        skip_duplicates: keep existing rows that have the same key; otherwise such a row raises `DuplicateKeyError`.
        staging: whether rows go through the staging table, as they do once a plain COPY has failed.
    """

    target: Target
    connection: Connection
    mapping: TableMapping
    skip_duplicates: bool
    staging: bool = False

    def insert(self, rows: RowPairs, rejects: list[Reject], text: bytes | None = None) -> int:
        """Insert the rows that PostgreSQL accepts and return their number; append the others to `rejects`.

        `text` is the input of COPY for the rows, if the caller has it already.
        """
        if not rows:
            return 0
        text = text or _copy_text(rows)
        try:
            return self._write(text)
        except psycopg.errors.ForeignKeyViolation:
            known = self._with_known_actor(rows, rejects)
            if len(known) == len(rows):
                raise
            return self.insert(known, rejects)
        except psycopg.errors.UniqueViolation as error:
            duplicate = _duplicate_key(error)
        except REJECTED_BY_SERVER as error:
            return self._insert_halves(rows, rejects, type(error).__name__)
        if not self.skip_duplicates or self.staging:
            raise duplicate
        self.staging = True
        return self.insert(rows, rejects, text)

    def delete(self, rows: RowPairs) -> None:
        """Delete the rows that have the keys of these."""
        self._execute(_STAGE_KEYS)
        self._copy(_COPY_STAGED, copy_text([self._key(row) for row, _ in rows]))
        self._execute(_DELETE)
        self._execute(_UNSTAGE)

    def different(self, rows: RowPairs) -> RowPairs:
        """Return those of `rows` that the table does not contain with the same values."""
        self._execute(_STAGE)
        self._copy(_COPY_STAGED, _copy_text(rows))
        keys = set(self.connection.execute(self._sql(_DIFFERENT)))
        self._execute(_UNSTAGE)
        return [pair for pair in rows if self._key(pair[0]) in keys]

    def _write(self, text: bytes) -> int:
        with self.connection.transaction():
            if not self.staging:
                return self._copy(_COPY, text)
            self._execute(_STAGE)
            self._copy(_COPY_STAGED, text)
            inserted = self._execute(_INSERT_NEW if self.skip_duplicates else _INSERT)
            self._execute(_UNSTAGE)
            return inserted

    def _copy(self, statement: LiteralString, text: bytes) -> int:
        with self.connection.cursor() as cursor:
            with cursor.copy(self._sql(statement)) as copy:
                copy.write(text)
            return cursor.rowcount

    def _insert_halves(self, rows: RowPairs, rejects: list[Reject], error: str) -> int:
        """Insert rows of which the server rejects at least one: halve them until a rejected row is alone."""
        self.staging = True
        if len(rows) == 1:
            rejects.append(Reject(rows[0][1], f"PostgreSQL rejects it: {error}"))
            return 0
        half = len(rows) // 2
        return self.insert(rows[:half], rejects) + self.insert(rows[half:], rejects)

    def _with_known_actor(self, rows: RowPairs, rejects: list[Reject]) -> RowPairs:
        """Return the rows whose actor exists; append the others to `rejects`."""
        ids = sorted({row[0] for row, _ in rows})
        statement = self.target.sql(_UNKNOWN_ACTORS)
        unknown = {row[0] for row in self.connection.execute(statement, {"ids": ids})}
        rejects.extend(Reject(document, "unknown actor") for row, document in rows if row[0] in unknown)
        return [pair for pair in rows if pair[0][0] not in unknown]

    def _key(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        record = self.mapping.record
        return tuple(row[record.fields.index(name)] for name in record.key)

    def _execute(self, statement: LiteralString) -> int:
        return self.connection.execute(self._sql(statement)).rowcount

    def _sql(self, statement: LiteralString) -> sql.Composed:
        return self.target.sql(
            statement,
            table=sql.Identifier(self.mapping.table),
            columns=column_names(self.mapping.record.fields),
            key=column_names(self.mapping.record.key),
        )


def _copy_text(rows: RowPairs) -> bytes:
    return copy_text([row for row, _ in rows])


def _duplicate_key(error: psycopg.errors.UniqueViolation) -> DuplicateKeyError:
    constraint, detail = violated(error), error.diag.message_detail or ""
    # The detail line, which may be in any language, names nothing but the key.
    return DuplicateKeyError(f'duplicate key value violates unique constraint "{constraint}": {detail}')
