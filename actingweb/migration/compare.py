"""Validation: every row and column of PostgreSQL against those of a source, in both directions.

The source's rows are staged in temporary tables and compared by the server, so that memory stays the same for any size.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from psycopg import IsolationLevel

from actingweb.db.postgresql.session import settle
from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.comparison import Comparison
from actingweb.migration.differences import Difference, Kind, Report, TableResult
from actingweb.migration.prepare import Prepared, prepared
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.staging import KnownRejects, Staging, key_of
from actingweb.migration.tables import FORMS
from actingweb.migration.target import Connection, Target, target_faults

__all__ = ["CompareOptions", "CompareResult", "OnRows", "SourceOf", "compare"]

SourceOf = Callable[[TableForm], Iterable[Batch]]
"""Returns all documents of a table; none if the source has no such table."""

OnRows = Callable[[str, int], None]
"""Is told the table and how many of its documents have been read, after each batch; in any thread."""

_SESSION = """
SET default_transaction_read_only = off;
SET timezone = 'UTC';
SET work_mem = '64MB'
"""


@dataclass(frozen=True)
class CompareOptions:
    """How to compare.

    Attributes:
        report: the file that gets all differences.
        indexed_properties: the properties whose values have look-up rows.
        rejects: the directory of the reject files of the import, if there was one.
        limit: how many differences to return.
        show_values: report the values that differ, too.
    """

    report: Path
    indexed_properties: tuple[str, ...]
    rejects: Path | None = None
    limit: int = 20
    show_values: bool = False


@dataclass(frozen=True)
class CompareResult:
    """What was found.

    Attributes:
        tables: by name.
        first: the first differences.
        unknown: rows of the source with an attribute that the layout does not know, by table and attribute.
    """

    tables: dict[str, TableResult]
    first: list[Difference]
    unknown: dict[str, dict[str, int]]

    @property
    def differences(self) -> int:
        """How many differences there are."""
        return sum(table.differences for table in self.tables.values())

    @property
    def rejected(self) -> int:
        """How many of the differences are rows that the import is known to have rejected."""
        return sum(table.rejected for table in self.tables.values())


def compare(target: Target, source_of: SourceOf, options: CompareOptions, on_rows: OnRows) -> CompareResult:
    """Compare all tables; write nothing but temporary tables and the report.

    Raise `UsageError` if the schema is not at head, `SourceError` or `TargetError` if a side cannot be read, `OSError`
    if the report cannot be written.
    """
    with closing(target.connect()) as connection:
        target.check_revision(connection)
        with target_faults():
            # Behind a pooler too, since temporary tables take a session of our own.
            settle(connection, local=False)
            connection.execute(_SESSION)
        # All that is said of a table is said of it at one moment.
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with Report(options.report, options.limit) as report:
            run = _Run(target, connection, report, options, on_rows, {})
            for form in FORMS:
                run.compare(form, source_of(form))
            with target_faults():
                Comparison(target, connection, report).look_ups(options.indexed_properties)
    return CompareResult(report.tables, report.first, run.unknown)


@dataclass
class _Run:
    """One run over all tables."""

    target: Target
    connection: Connection
    report: Report
    options: CompareOptions
    on_rows: OnRows
    unknown: dict[str, dict[str, int]]

    def compare(self, form: TableForm, batches: Iterable[Batch]) -> None:
        """Compare a table."""
        self.report.tables[form.name] = TableResult()
        rejects = None if self.options.rejects is None else RejectFile(self.options.rejects, form)
        staging = Staging(self.target, self.connection, form)
        known = KnownRejects(self.connection, form, rejects)
        with target_faults():
            staging.create()
            known.create()
        self._stage(staging, known, batches)
        with target_faults():
            is_actors = form is FORMS[0]
            staging.finish(looked_up=is_actors)
            comparison = Comparison(self.target, self.connection, self.report, self.options.show_values)
            comparison.table(staging, Staging(self.target, self.connection, FORMS[0]), known)
            known.drop()
            if not is_actors:
                staging.drop()

    def _stage(self, staging: Staging, known: KnownRejects, batches: Iterable[Batch]) -> None:
        """Stage documents. Some are prepared while those before them are on their way."""
        with ThreadPoolExecutor(1) as worker:
            running: Future[None] | None = None
            for batch in batches:
                rows = prepared(staging.form, batch.documents)
                if running is not None:
                    running.result()
                running = worker.submit(self._add, staging, known, rows, len(batch.documents))
            if running is not None:
                running.result()

    def _add(self, staging: Staging, known: KnownRejects, rows: Prepared, read: int) -> None:
        table = staging.form.name
        with target_faults():
            rejects = rows.rejects + staging.add(rows.rows)
            self.report.tables[table].rejected += known.count_documents(reject.document for reject in rejects)
        for reject in rejects:
            self.report.add(_unreadable(staging.form, reject))
        for name, count in rows.unknown.items():
            names = self.unknown.setdefault(table, {})
            names[name] = names.get(name, 0) + count
        result = self.report.tables[table]
        result.source = (result.source or 0) + read
        self.on_rows(table, result.source)


def _unreadable(form: TableForm, reject: Reject) -> Difference:
    return Difference(form.name, Kind.UNREADABLE, key_of(form, reject.document), reason=reject.reason)
