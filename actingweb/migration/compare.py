"""Validation: every row and column of PostgreSQL against those of a source, in both directions.

The source's rows are staged in temporary tables and compared by the server, so that memory stays the same for any size.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from psycopg import IsolationLevel

from actingweb.db.postgresql.session import settle
from actingweb.migration.answers import SourceAnswers
from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.comparison import Comparison
from actingweb.migration.differences import Difference, Kind, Report, TableResult
from actingweb.migration.prepare import Prepared, prepared
from actingweb.migration.rejects import Reject, RejectFile
from actingweb.migration.settle import rejected_keys
from actingweb.migration.staging import KnownRejects, Staging, key_of, shown_key
from actingweb.migration.tables import ACTORS, CLAIMS, FORMS, PROPERTIES
from actingweb.migration.target import Connection, Target, target_faults

__all__ = ["CompareOptions", "CompareResult", "OnRows", "SourceOf", "compare"]

SourceOf = Callable[[TableForm], Iterable[Batch] | None]
"""Returns all documents of a table; None if the source does not tell what is in it."""

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
        without_claims: whether the answers of look-ups were not compared, since the source does not tell who claims a
            value.
    """

    tables: dict[str, TableResult]
    first: list[Difference]
    unknown: dict[str, dict[str, int]]
    without_claims: bool = False

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
            answers = SourceAnswers(target, connection, options.indexed_properties)
            with target_faults():
                answers.create()
            run = _Run(target, connection, report, options, on_rows, answers, {})
            for form in CLAIMS:
                run.stage_claims(form, source_of(form))
            for form in FORMS:
                run.compare(form, source_of(form) or ())
            run.compare_look_ups()
    return CompareResult(report.tables, report.first, run.unknown, without_claims=not run.claims)


@dataclass
class _Run:
    """One run over all tables."""

    target: Target
    connection: Connection
    report: Report
    options: CompareOptions
    on_rows: OnRows
    answers: SourceAnswers
    unknown: dict[str, dict[str, int]]
    claims: list[TableForm] = field(default_factory=list)

    def stage_claims(self, form: TableForm, batches: Iterable[Batch] | None) -> None:
        """Stage a table of claims, from which the answers of the source follow, if it tells them."""
        if batches is None:
            return
        self.report.tables[form.name] = TableResult(target=None)
        staging, known = self._staged(form, batches)
        with target_faults():
            staging.finish(looked_up=False)
            self._comparison.duplicates(staging)
            known.drop()
        self.claims.append(form)

    def compare_look_ups(self) -> None:
        """Compare the look-up rows with the properties, and with the answers of the source if it tells them."""
        rejects = self.options.rejects
        files = [] if rejects is None else [RejectFile(rejects, form) for form in CLAIMS]
        waiting = chain.from_iterable(map(rejected_keys, files))
        with target_faults():
            self._comparison.look_ups(self.options.indexed_properties, waiting, answers=bool(self.claims))

    def compare(self, form: TableForm, batches: Iterable[Batch]) -> None:
        """Compare a table."""
        self.report.tables[form.name] = TableResult()
        staging, known = self._staged(form, batches)
        with target_faults():
            is_actors = form is ACTORS
            staging.finish(looked_up=is_actors)
            owners = Staging(self.target, self.connection, ACTORS)
            self._comparison.table(staging, owners, known)
            if form is PROPERTIES and self.claims:
                self.answers.find(self.claims)
            known.drop()
            if not is_actors:
                staging.drop()

    @property
    def _comparison(self) -> Comparison:
        return Comparison(self.target, self.connection, self.report, self.options.show_values)

    def _staged(self, form: TableForm, batches: Iterable[Batch]) -> tuple[Staging, KnownRejects]:
        rejects = None if self.options.rejects is None else RejectFile(self.options.rejects, form)
        staging = Staging(self.target, self.connection, form)
        known = KnownRejects(self.connection, form, rejects)
        with target_faults():
            staging.create()
            known.create()
        self._stage(staging, known, batches)
        return staging, known

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
            self.answers.leave_open(staging.form, (reject.document for reject in rejects))
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
    key = shown_key(form, key_of(form, reject.document))
    return Difference(form.name, Kind.UNREADABLE, key, reason=reject.reason)
