"""The job that compares every row and column of PostgreSQL with a source, in both directions.

The rows of the source are staged in temporary tables and compared by the server, in constant memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from psycopg import IsolationLevel, sql

from actingweb.db.postgresql.session import prepare_session
from actingweb.migration.batches import Batch, Reject
from actingweb.migration.documents import content_of, digest_of, key_of
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.comparison import EXPECTED_LOOK_UPS, Comparison
from actingweb.migration.jobs.differences import Difference, Kind, Report, TableResult, Tally, ValidationResult
from actingweb.migration.jobs.known_rows import AcceptedRows, Known, rejected_digests
from actingweb.migration.jobs.overlap import overlap
from actingweb.migration.jobs.repair import Repair
from actingweb.migration.jobs.row_parts import is_owned
from actingweb.migration.mapping import (
    ACTORS,
    ALL,
    CLAIMS,
    CLAIMS_V2,
    LOOK_UPS,
    MAPPINGS,
    PROPERTIES,
    TableMapping,
    Tables,
)
from actingweb.migration.rejects import RejectFile
from actingweb.migration.rows import Conversion, convert
from actingweb.migration.target.connection import Connection, Target, lift_timeouts, target_errors
from actingweb.migration.target.lookups import LookUps, claimed_keys, held_properties, rejected_keys
from actingweb.migration.target.progress import is_unfinished
from actingweb.migration.target.rights import COMPARING, REPAIRING
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
        tables: those to compare. Look-up rows are compared with the properties only.
        accepted: rows that are not to be moved.
        repair: make PostgreSQL equal: insert rows that are missing, update those that differ, correct look-up rows.
        delete_extra: when repairing, also delete rows that the source does not have.
        claimed: also compare the look-up rows with the claims, which PostgreSQL's own rows must have too.
    """

    report: Path
    indexed_properties: tuple[str, ...]
    rejects: Path | None = None
    limit: int = 20
    show_values: bool = False
    tables: Tables = ALL
    accepted: AcceptedRows = field(default_factory=AcceptedRows)
    repair: bool = False
    delete_extra: bool = False
    claimed: bool = False


def validate(target: Target, source_of: SourceOf, options: ValidationOptions, on_rows: OnRows) -> ValidationResult:
    """Compare the tables. Write nothing but temporary tables and the report, unless they are to be repaired.

    A repair is done table by table; after an interruption, the same call repairs the rest.

    Raise `UsageError` if the schema is not at head, a right is missing or a file of accepted rows is malformed,
    `SourceError` or `TargetError` if a side cannot be read, `OSError` if the report cannot be written.
    """
    options.accepted.check()
    with closing(target.connect()) as connection:
        _check(target, connection, options)
        with target_errors():
            # For the session even behind a pooler: temporary tables work only if it keeps the server connection.
            prepare_session(connection, local=False)
            connection.execute(_SESSION)
        # All statements about a table see the same snapshot.
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with Report(options.report, options.limit) as report:
            expected = ExpectedLookUps(target, connection, options.indexed_properties, ACTORS in options.tables)
            with target_errors():
                expected.create()
            run = _Run(target, connection, report, options, on_rows, expected, {})
            for mapping in CLAIMS:
                if mapping in options.tables:
                    run.stage_claims(mapping, source_of(mapping))
            for mapping in MAPPINGS:
                if mapping in options.tables:
                    run.compare(mapping, source_of(mapping))
            run.finish()
        without_claims = PROPERTIES in options.tables and not run.claims
        return ValidationResult(
            report.tables, report.first, run.unknown, without_claims, _described(target, connection)
        )


def _check(target: Target, connection: Connection, options: ValidationOptions) -> None:
    if not options.repair:
        target.require(connection, COMPARING)
        target.check_revision(connection)
        return
    target.check(connection, REPAIRING)
    with target_errors():
        if is_unfinished(target, connection):
            raise UsageError("a load of this schema is unfinished: finish it first")


def _described(target: Target, connection: Connection) -> str:
    info = connection.info
    version = ".".join(map(str, divmod(info.server_version, 10_000)))
    return f'PostgreSQL {version} at {info.host}:{info.port}, database "{info.dbname}", schema "{target.schema}"'


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
    kept: set[TableMapping] = field(default_factory=set)
    """The tables that the source does not have, from which no row is deleted."""

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

    def compare(self, mapping: TableMapping, batches: Iterable[Batch] | None) -> None:
        """Compare a table, and repair it if that is wanted."""
        self.report.tables[mapping.name] = TableResult()
        if batches is None:
            # It may have been forgotten in the source.
            self.kept.add(mapping)
        staging, known = self._staged(mapping, batches or ())
        with target_errors():
            staging.finish(looked_up=mapping is ACTORS)
            self._compare(staging, known)
            if mapping is PROPERTIES and self.claims:
                self.expected.insert(self.claims)
            known.drop()
            if mapping is not ACTORS:
                staging.drop()

    def finish(self) -> None:
        """Delete actors that are to be deleted, with all that belongs to them, then compare the look-up rows."""
        with target_errors():
            if self._deletes(ACTORS):
                result = self.report.tables[ACTORS.name]
                result.repaired += self._repair.delete_extra(Staging(self.target, self.connection, ACTORS))
            if PROPERTIES in self.options.tables:
                self._compare_look_ups()

    def _compare(self, staging: Staging, known: Known) -> None:
        mapping = staging.mapping
        owners = Staging(self.target, self.connection, ACTORS) if ACTORS in self.options.tables else None
        result = self.report.tables[mapping.name]
        before = result.differences
        self._comparison.table(staging, owners, known.rejected, known.accepted)
        if not self.options.repair or result.differences == before:
            return
        self._repair.rows(staging, owned=is_owned(mapping))
        if mapping is not ACTORS and self._deletes(mapping):
            self._repair.delete_extra(staging)
        rest = self._rest(mapping.name)
        rest.table(staging, owners, known.rejected, known.accepted)
        result.repaired = result.differences - before - rest.report.tables[mapping.name].differences

    def _compare_look_ups(self) -> None:
        """Compare the look-up rows with the properties and, if the source has claims, with its look-ups."""
        names, expected = self.options.indexed_properties, bool(self.claims)
        self._comparison.look_ups(names, self._waiting(), expected=expected)
        if self.options.claimed and CLAIMS_V2 in self.claims:
            self._comparison.claimed(Staging(self.target, self.connection, CLAIMS_V2))
        result = self.report.tables[LOOK_UPS]
        if self.options.repair and result.differences:
            self.expected.repair(adopted=expected)
            rest = self._rest(LOOK_UPS)
            rest.look_ups(names, self._waiting(), expected=expected)
            result.repaired = result.differences - rest.report.tables[LOOK_UPS].differences

    def _waiting(self) -> Iterator[tuple[str, bool]]:
        """Yield the look-up keys of rejected and of accepted claims, each with whether it is accepted."""
        rejects = self.options.rejects
        files = [] if rejects is None else [RejectFile(rejects, mapping) for mapping in CLAIMS]
        yield from ((key, False) for key in chain.from_iterable(map(rejected_keys, files)))
        accepted = self.options.accepted
        yield from ((key, True) for mapping in CLAIMS for key in claimed_keys(mapping, accepted.claims(mapping)))
        yield from ((key, True) for key in accepted.look_up_keys())

    def _deletes(self, mapping: TableMapping) -> bool:
        wanted = self.options.repair and self.options.delete_extra
        return wanted and mapping in self.options.tables and mapping not in self.kept

    @property
    def _comparison(self) -> Comparison:
        return Comparison(self.target, self.connection, self.report, self.options.show_values)

    def _rest(self, table: str) -> Comparison:
        """Return what counts the differences that a repair has left."""
        tally = Tally()
        tally.tables[table] = TableResult()
        return Comparison(self.target, self.connection, tally)

    @property
    def _repair(self) -> Repair:
        return Repair(self.target, self.connection)

    def _staged(self, mapping: TableMapping, batches: Iterable[Batch]) -> tuple[Staging, Known]:
        staging = Staging(self.target, self.connection, mapping)
        known = Known.of(self.connection, mapping)
        corrected: dict[str, bytes] = {}
        self.on_rows(mapping.name, 0)
        with target_errors():
            staging.create()
            if self.options.rejects is not None:
                file = RejectFile(self.options.rejects, mapping)
                known.rejected.create(rejected_digests(file))
                corrected = file.corrected()
            known.accepted.create(self.options.accepted.digests(mapping))
        overlap(
            batches,
            lambda batch: convert(mapping, _corrected(batch.documents, corrected)),
            lambda batch, rows: self._add(staging, known, len(batch.documents), rows),
        )
        return staging, known

    def _add(self, staging: Staging, known: Known, read: int, rows: Conversion) -> None:
        table = staging.mapping.name
        result = self.report.tables[table]
        with target_errors():
            rejects = rows.rejects + staging.add(rows.rows)
            documents = [reject.document for reject in rejects]
            self.expected.exclude(staging.mapping, documents)
            if documents and self._deletes(staging.mapping):
                self._repair.spare(staging, documents)
            is_accepted, is_rejected = known.accepted.has_documents(documents), known.rejected.has_documents(documents)
        for reject, accepted, rejected in zip(rejects, is_accepted, is_rejected, strict=True):
            result.accepted += accepted
            result.rejected += rejected and not accepted
            if not accepted:
                self.report.add(_unreadable(staging.mapping, reject))
        for name, count in rows.unknown.items():
            names = self.unknown.setdefault(table, {})
            names[name] = names.get(name, 0) + count
        result.source = (result.source or 0) + read
        self.on_rows(table, result.source)


def _corrected(documents: list[bytes], corrected: dict[str, bytes]) -> list[bytes]:
    """Return the documents, some of them as they were corrected, by their digests."""
    if not corrected:
        return documents
    return [corrected.get(digest_of(document), document) for document in documents]


def _unreadable(mapping: TableMapping, reject: Reject) -> Difference:
    key = mapping.reported_key(key_of(mapping.record, reject.document))
    composed = mapping.layout.composed
    if composed and key.keys() < set(mapping.record.key):
        # What identifies the item if it lacks the parts.
        content = content_of(reject.document)
        key |= {composed: content[composed]} if isinstance(content, dict) and composed in content else {}
    return Difference(mapping.name, Kind.UNREADABLE, key, reason=reject.reason)


@dataclass(frozen=True)
class ExpectedLookUps:
    """The look-ups of the source, by the rules of an import. Its methods raise `psycopg.Error`.

    Attributes:
        has_actors: whether the actors of the source are staged; else those of PostgreSQL count.
    """

    target: Target
    connection: Connection
    names: tuple[str, ...]
    has_actors: bool

    @property
    def _look_ups(self) -> LookUps:
        actors = self._staged(ACTORS).name if self.has_actors else sql.Identifier(self.target.schema, ACTORS.table)
        return LookUps(self.connection, EXPECTED_LOOK_UPS, self._staged(PROPERTIES).name, actors, self.names)

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

    def repair(self, *, adopted: bool) -> None:
        """Make the stored look-up rows fit the properties; where they are `adopted`, make them equal to these."""
        with self.connection.transaction():
            lift_timeouts(self.connection)
            stored = LookUps.of(self.target, self.connection, self.names)
            stored.delete_stale()
            if adopted:
                stored.adopt(EXPECTED_LOOK_UPS)
            stored.insert_unclaimed()

    def _staged(self, mapping: TableMapping) -> Staging:
        return Staging(self.target, self.connection, mapping)
