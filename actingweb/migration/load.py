"""Loading one table: each batch and its progress mark in one transaction, so that any interruption can be continued."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import DuplicateRowError, MigrationError
from actingweb.migration.prepare import Prepared, prepared
from actingweb.migration.progress import Counts, Progress
from actingweb.migration.rejects import Reject, RejectFile, reject_of
from actingweb.migration.target import Connection, Target, target_faults

__all__ = ["Loader", "TooManyRejectsError"]

Rows = list[tuple[tuple[Any, ...], bytes]]

_REFUSED = (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
"""What PostgreSQL raises for a row whose content it cannot hold."""

_STAGE = "CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {columns} FROM {schema}.{table} WITH NO DATA"
_COPY = "COPY pg_temp.staged FROM STDIN"
_INSERT = "INSERT INTO {schema}.{table} ({columns}) SELECT {columns} FROM pg_temp.staged"
_INSERT_NEW = "INSERT INTO {schema}.{table} ({columns}) SELECT {columns} FROM pg_temp.staged ON CONFLICT DO NOTHING"
_DELETE = "DELETE FROM {schema}.{table} WHERE ({key}) IN (SELECT {key} FROM pg_temp.staged)"
_UNKNOWN_ACTORS = """
SELECT id FROM unnest(%(ids)s::text[]) AS id WHERE NOT EXISTS (SELECT FROM {schema}.actors WHERE actors.id = id.id)
"""


class TooManyRejectsError(MigrationError):
    """More rows were rejected than allowed."""


@dataclass
class Loader:
    """Loads the batches of one source into one table.

    Attributes:
        skip_duplicates: leave rows whose key exists as they are; otherwise such a row raises `DuplicateRowError`.
        max_rejects: how many rejects the table may have before `TooManyRejectsError` stops it; None for any number.
        on_batch: called with the table's counts after each batch.
        unknown: how many rows had an attribute that the layout does not know, by attribute.
    """

    target: Target
    connection: Connection
    form: TableForm
    progress: Progress
    rejects: RejectFile
    skip_duplicates: bool = False
    max_rejects: int | None = None
    on_batch: Callable[[Counts], None] = lambda _: None
    unknown: dict[str, int] = field(default_factory=dict)

    def load(self, batches: Iterable[Batch]) -> None:
        """Load batches that lie behind the progress marks. One is prepared while the one before it is loaded."""
        self.rejects.cut(self.progress.rejects_bytes)
        with ThreadPoolExecutor(1) as worker:
            running: Future[None] | None = None
            for batch, rows in self._prepared(batches):
                if running is not None:
                    running.result()
                running = worker.submit(self._load, batch, rows)
            if running is not None:
                running.result()

    def undo(self, batches: Iterable[Batch]) -> None:
        """Delete the rows of `batches`, all of which were loaded, in one transaction."""
        with target_faults(), self.connection.transaction():
            self.connection.execute(self._sql(_STAGE))
            for _, rows in self._prepared(batches):
                self.connection.execute("TRUNCATE pg_temp.staged")
                self._copy(rows.rows)
                self.connection.execute(self._sql(_DELETE))
            self.progress.forget()
        self.rejects.cut(0)

    def _prepared(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Prepared]]:
        for batch in batches:
            yield batch, prepared(self.form, batch.documents)

    def _load(self, batch: Batch, rows: Prepared) -> None:
        rejects = list(rows.rejects)
        try:
            with target_faults(), self.connection.transaction():
                if not batch.last:
                    # Rows and mark are lost together or not at all; the last batch waits for the disk.
                    self.connection.execute("SET LOCAL synchronous_commit = off")
                self.connection.execute(self._sql(_STAGE))
                written = self._merge(rows.rows, rejects)
                read = len(batch.documents)
                counts = Counts(read, written, read - written - len(rejects), len(rejects))
                size = self.rejects.add(rejects)
                self.progress.record(batch, counts, size)
        except _DuplicateError as duplicate:
            failure = DuplicateRowError(f"Failed to import {self.form.name}: {duplicate}")
        else:
            self._count(counts, rows.unknown)
            return
        raise failure

    def _count(self, counts: Counts, unknown: dict[str, int]) -> None:
        self.progress.counts.add(counts)
        for name, count in unknown.items():
            self.unknown[name] = self.unknown.get(name, 0) + count
        self.on_batch(self.progress.counts)
        if self.max_rejects is not None and self.progress.counts.rejected > self.max_rejects:
            raise TooManyRejectsError(f"{self.form.name}: more than {self.max_rejects} rows were rejected")

    def _merge(self, rows: Rows, rejects: list[Reject]) -> int:
        """Insert what PostgreSQL takes and return how many rows that is; what it refuses becomes a reject."""
        if not rows:
            return 0
        try:
            with self.connection.transaction():
                return self._insert(rows)
        except psycopg.errors.ForeignKeyViolation:
            return self._merge(self._without_orphans(rows, rejects), rejects)
        except psycopg.errors.UniqueViolation as error:
            duplicate = f"{error.diag.message_primary}: {error.diag.message_detail}"
        except _REFUSED as error:
            if len(rows) == 1:
                rejects.append(reject_of(self.form, rows[0][1], f"PostgreSQL refuses it: {type(error).__name__}"))
                return 0
            half = len(rows) // 2
            return self._merge(rows[:half], rejects) + self._merge(rows[half:], rejects)
        raise _DuplicateError(duplicate)

    def _insert(self, rows: Rows) -> int:
        self.connection.execute("TRUNCATE pg_temp.staged")
        self._copy(rows)
        return self.connection.execute(self._sql(_INSERT_NEW if self.skip_duplicates else _INSERT)).rowcount

    def _copy(self, rows: Rows) -> None:
        with self.connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row, _ in rows:
                copy.write_row(row)

    def _without_orphans(self, rows: Rows, rejects: list[Reject]) -> Rows:
        ids = sorted({row[0] for row, _ in rows})
        unknown = {row[0] for row in self.connection.execute(self._sql(_UNKNOWN_ACTORS), {"ids": ids})}
        rejects.extend(reject_of(self.form, document, "unknown actor") for row, document in rows if row[0] in unknown)
        return [pair for pair in rows if pair[0][0] not in unknown]

    def _sql(self, statement: Any) -> sql.Composed:
        return self.target.sql(
            statement,
            table=sql.Identifier(self.form.name),
            columns=sql.SQL(", ").join(map(sql.Identifier, self.form.record.fields)),
            key=sql.SQL(", ").join(map(sql.Identifier, self.form.record.key)),
        )


class _DuplicateError(Exception):
    pass
