"""Rows into a table: a plain COPY as long as it can be, else COPY into a staging table, then INSERT.

The latter skips rows that exist and puts aside what PostgreSQL refuses; its cost is about half as much again.
"""

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from actingweb.db.postgresql.constraints import violated
from actingweb.migration.canonical import TableForm
from actingweb.migration.copytext import copy_text
from actingweb.migration.prepare import Pairs
from actingweb.migration.rejects import Reject
from actingweb.migration.target import Connection, Target

__all__ = ["REFUSED", "DuplicateKeyError", "Merge", "column_names"]

REFUSED = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
"""What PostgreSQL raises for a row whose content it cannot hold."""

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
    """A row's key exists already; the text names constraint and key."""


@dataclass
class Merge:
    """Puts rows into one table, within a transaction of the caller's. Raises `psycopg.Error`.

    Attributes:
        skip_duplicates: leave rows whose key exists as they are; otherwise such a row raises `DuplicateKeyError`.
        staging: whether rows go through the staging table, as they do once a plain COPY has failed.
    """

    target: Target
    connection: Connection
    form: TableForm
    skip_duplicates: bool
    staging: bool = False

    def insert(self, rows: Pairs, rejects: list[Reject], text: bytes | None = None) -> int:
        """Insert what PostgreSQL takes and return how many rows that is; add what it refuses to `rejects`.

        `text` is what COPY reads for the rows, if it is made already.
        """
        if not rows:
            return 0
        try:
            with self.connection.transaction():
                text = text or copy_text([row for row, _ in rows])
                return self._insert(text) if self.staging else self._copy(_COPY, text)
        except psycopg.errors.ForeignKeyViolation:
            known = self._known(rows, rejects)
            if len(known) == len(rows):
                raise
            return self.insert(known, rejects)
        except psycopg.errors.UniqueViolation as error:
            constraint, detail = violated(error), error.diag.message_detail
        except REFUSED as error:
            return self._insert_halves(rows, rejects, type(error).__name__)
        if self.skip_duplicates and not self.staging:
            self.staging = True
            return self.insert(rows, rejects, text)
        # The server's own words, which may be in any language, for the key alone.
        raise DuplicateKeyError(f'duplicate key value violates unique constraint "{constraint}": {detail or ""}')

    def delete(self, rows: Pairs) -> None:
        """Delete the rows with these keys."""
        self._execute(_STAGE_KEYS)
        self._copy(_COPY_STAGED, copy_text([self._key(row) for row, _ in rows]))
        self._execute(_DELETE)
        self._execute(_UNSTAGE)

    def different(self, rows: Pairs) -> Pairs:
        """Return those of `rows` that are not in the table as they are here."""
        self._execute(_STAGE)
        self._copy(_COPY_STAGED, copy_text([row for row, _ in rows]))
        keys = set(self.connection.execute(self._sql(_DIFFERENT)))
        self._execute(_UNSTAGE)
        return [pair for pair in rows if self._key(pair[0]) in keys]

    def _insert(self, text: bytes) -> int:
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

    def _insert_halves(self, rows: Pairs, rejects: list[Reject], error: str) -> int:
        """Insert rows one of which is refused, so that it costs no other."""
        self.staging = True
        if len(rows) == 1:
            rejects.append(Reject(rows[0][1], f"PostgreSQL refuses it: {error}"))
            return 0
        half = len(rows) // 2
        return self.insert(rows[:half], rejects) + self.insert(rows[half:], rejects)

    def _known(self, rows: Pairs, rejects: list[Reject]) -> Pairs:
        """Return the rows whose actor exists."""
        ids = sorted({row[0] for row, _ in rows})
        statement = self.target.sql(_UNKNOWN_ACTORS)
        unknown = {row[0] for row in self.connection.execute(statement, {"ids": ids})}
        rejects.extend(Reject(document, "unknown actor") for row, document in rows if row[0] in unknown)
        return [pair for pair in rows if pair[0][0] not in unknown]

    def _key(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        record = self.form.record
        return tuple(row[record.fields.index(name)] for name in record.key)

    def _execute(self, statement: LiteralString) -> int:
        return self.connection.execute(self._sql(statement)).rowcount

    def _sql(self, statement: LiteralString) -> sql.Composed:
        return self.target.sql(
            statement,
            table=sql.Identifier(self.form.table),
            columns=column_names(self.form.record.fields),
            key=column_names(self.form.record.key),
        )


def column_names(columns: tuple[str, ...]) -> sql.Composed:
    """Return a list of columns."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))
