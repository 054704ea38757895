"""The job that compares every row and column of PostgreSQL with a source, in both directions.

The rows of the source are staged in temporary tables and compared by the server, in constant memory.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from psycopg import IsolationLevel, sql

from actingweb.db.postgresql.session import prepare_session
from actingweb.migration.batches import Batch, Reject
from actingweb.migration.documents import key_of
from actingweb.migration.jobs.comparison import EXPECTED_LOOK_UPS, Comparison
from actingweb.migration.jobs.differences import Difference, Kind, Report, TableResult
from actingweb.migration.jobs.known_rejects import KnownRejects
from actingweb.migration.jobs.overlap import overlap
from actingweb.migration.mapping import ACTORS, CLAIMS, MAPPINGS, PROPERTIES, TableMapping
from actingweb.migration.rejects import RejectFile
from actingweb.migration.rows import Conversion, convert
from actingweb.migration.target.connection import Connection, Target, target_errors
from actingweb.migration.target.lookups import LookUps, claimed_keys, held_properties, rejected_keys
from actingweb.migration.target.staging import StagedClaims, Staging

__all__ = ["OnRows", "SourceOf", "ValidationOptions", "ValidationResult", "validate"]

SourceOf = Callable[[TableMapping], Iterable[Batch] | None]
"""Returns all documents of a table; None if the source does not know its content."""

OnRows = Callable[[str, int], None]
"""Called before the first batch and after each, in any thread, with the table and how many documents were read."""

_CREATE = "CREATE TEMP TABLE {} (lookup_key text PRIMARY KEY, property_name text, actor_id text)"
_ANALYZE = "ANALYZE {}"
_SESSION = """
SET default_transaction_read_only = off;
SET timezone = 'UTC';
SET work_mem = '64MB'
"""


@dataclass(frozen=True)
class ValidationOptions:
    """How to validate.

    Attributes:
        report: the file to which all differences are written.
        indexed_properties: the properties whose values have look-up rows.
        rejects: the directory of the import's reject files; None if there was no import.
        limit: how many differences to return.
        show_values: also report the values that differ.
    """

    report: Path
    indexed_properties: tuple[str, ...]
    rejects: Path | None = None
    limit: int = 20
    show_values: bool = False


@dataclass(frozen=True)
class ValidationResult:
    """The result of a validation.

    Attributes:
        tables: the results, by table.
        first: the first differences.
        unknown: the number of rows of the source with an attribute that the layout does not know, by table and
            attribute.
        without_claims: whether the results of look-ups were not compared because the source has no claims.
    """

    tables: dict[str, TableResult]
    first: list[Difference]
    unknown: dict[str, dict[str, int]]
    without_claims: bool = False

    @property
    def differences(self) -> int:
        """The number of differences."""
        return sum(table.differences for table in self.tables.values())

    @property
    def rejected(self) -> int:
        """The number of differences that are rows which the import is known to have rejected."""
        return sum(table.rejected for table in self.tables.values())


def validate(target: Target, source_of: SourceOf, options: ValidationOptions, on_rows: OnRows) -> ValidationResult:
    """Compare all tables. Write nothing but temporary tables and the report.

    Raise `UsageError` if the schema is not at head, `SourceError` or `TargetError` if a side cannot be read, `OSError`
    if the report cannot be written.
    """
    with closing(target.connect()) as connection:
        target.check_revision(connection)
        with target_errors():
            # For the session even behind a pooler: temporary tables work only if it keeps the server connection.
            prepare_session(connection, local=False)
            connection.execute(_SESSION)
        # All statements about a table see the same snapshot.
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with Report(options.report, options.limit) as report:
            expected = ExpectedLookUps(target, connection, options.indexed_properties)
            with target_errors():
                expected.create()
            run = _Run(target, connection, report, options, on_rows, expected, {})
            for mapping in CLAIMS:
                run.stage_claims(mapping, source_of(mapping))
            for mapping in MAPPINGS:
                run.compare(mapping, source_of(mapping) or ())
            run.compare_look_ups()
    return ValidationResult(report.tables, report.first, run.unknown, without_claims=not run.claims)


@dataclass
class _Run:
    """One run over all tables."""

    target: Target
    connection: Connection
    report: Report
    options: ValidationOptions
    on_rows: OnRows
    expected: "ExpectedLookUps"
    unknown: dict[str, dict[str, int]]
    claims: list[TableMapping] = field(default_factory=list)

    def stage_claims(self, mapping: TableMapping, batches: Iterable[Batch] | None) -> None:
        """Stage a table of claims, which determine the look-ups of the source, unless the source lacks the table."""
        if batches is None:
            return
        self.report.tables[mapping.name] = TableResult(target=None)
        staging, known = self._staged(mapping, batches)
        with target_errors():
            staging.finish(looked_up=False)
            self._comparison.duplicates(staging)
            known.drop()
        self.claims.append(mapping)

    def compare_look_ups(self) -> None:
        """Compare the look-up rows with the properties and, if the source has claims, with its look-ups."""
        rejects = self.options.rejects
        files = [] if rejects is None else [RejectFile(rejects, mapping) for mapping in CLAIMS]
        waiting = chain.from_iterable(map(rejected_keys, files))
        with target_errors():
            self._comparison.look_ups(self.options.indexed_properties, waiting, expected=bool(self.claims))

    def compare(self, mapping: TableMapping, batches: Iterable[Batch]) -> None:
        """Compare a table."""
        self.report.tables[mapping.name] = TableResult()
        staging, known = self._staged(mapping, batches)
        with target_errors():
            is_actors = mapping is ACTORS
            staging.finish(looked_up=is_actors)
            owners = Staging(self.target, self.connection, ACTORS)
            self._comparison.table(staging, owners, known)
            if mapping is PROPERTIES and self.claims:
                self.expected.insert(self.claims)
            known.drop()
            if not is_actors:
                staging.drop()

    @property
    def _comparison(self) -> Comparison:
        return Comparison(self.target, self.connection, self.report, self.options.show_values)

    def _staged(self, mapping: TableMapping, batches: Iterable[Batch]) -> tuple[Staging, KnownRejects]:
        rejects = None if self.options.rejects is None else RejectFile(self.options.rejects, mapping)
        staging = Staging(self.target, self.connection, mapping)
        known = KnownRejects(self.connection, mapping, rejects)
        self.on_rows(mapping.name, 0)
        with target_errors():
            staging.create()
            known.create()
        overlap(
            batches,
            lambda batch: convert(mapping, batch.documents),
            lambda batch, rows: self._add(staging, known, len(batch.documents), rows),
        )
        return staging, known

    def _add(self, staging: Staging, known: KnownRejects, read: int, rows: Conversion) -> None:
        table = staging.mapping.name
        with target_errors():
            rejects = rows.rejects + staging.add(rows.rows)
            self.expected.exclude(staging.mapping, (reject.document for reject in rejects))
            self.report.tables[table].rejected += known.count_documents(reject.document for reject in rejects)
        for reject in rejects:
            self.report.add(_unreadable(staging.mapping, reject))
        for name, count in rows.unknown.items():
            names = self.unknown.setdefault(table, {})
            names[name] = names.get(name, 0) + count
        result = self.report.tables[table]
        result.source = (result.source or 0) + read
        self.on_rows(table, result.source)


def _unreadable(mapping: TableMapping, reject: Reject) -> Difference:
    key = mapping.reported_key(key_of(mapping.record, reject.document))
    return Difference(mapping.name, Kind.UNREADABLE, key, reason=reject.reason)


@dataclass(frozen=True)
class ExpectedLookUps:
    """The look-ups of the source, by the rules of an import. Its methods raise `psycopg.Error`."""

    target: Target
    connection: Connection
    names: tuple[str, ...]

    @property
    def _look_ups(self) -> LookUps:
        properties, actors = self._staged(PROPERTIES), self._staged(ACTORS)
        return LookUps(self.connection, EXPECTED_LOOK_UPS, properties.name, actors.name, self.names)

    def create(self) -> None:
        """Create the table."""
        self.connection.execute(sql.SQL(_CREATE).format(EXPECTED_LOOK_UPS))
        self._look_ups.begin(temporary=False)

    def exclude(self, mapping: TableMapping, documents: Iterable[bytes]) -> None:
        """Exclude the look-ups that documents which could not be converted may determine."""
        if mapping is PROPERTIES:
            self._look_ups.add_rejected(list(held_properties(documents)))
        elif mapping in CLAIMS:
            self._look_ups.add_unreadable(list(claimed_keys(mapping, documents)))

    def insert(self, claims: Sequence[TableMapping]) -> None:
        """Fill the table from the staged actors, properties and claims."""
        # DynamoDB finds the claimant that holds the value, even if that actor does not exist.
        claimed = replace(self._look_ups, actors=self._staged(PROPERTIES).name)
        with self.connection.transaction():
            for mapping in claims:
                staged = StagedClaims(mapping, self._staged(mapping).name)
                claimed.insert_claimed(staged)
                claimed.withhold(staged)
            self._look_ups.insert_unclaimed()
            self.connection.execute(sql.SQL(_ANALYZE).format(EXPECTED_LOOK_UPS))

    def _staged(self, mapping: TableMapping) -> Staging:
        return Staging(self.target, self.connection, mapping)
