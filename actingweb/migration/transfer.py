"""Import and copy: all tables of a source into PostgreSQL, parents before children."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol

from psycopg import sql

from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.errors import DuplicateRowError, UsageError
from actingweb.migration.inputs import Documents
from actingweb.migration.load import Loader
from actingweb.migration.lookups import LookUps, StagedClaims, analyze
from actingweb.migration.merge import Merge
from actingweb.migration.progress import Counts, Progress, begin, discard, finish
from actingweb.migration.rejects import RejectFile
from actingweb.migration.settle import LoadedClaims, settle
from actingweb.migration.tables import CLAIMS, CLAIMS_V1, CLAIMS_V2, FORMS, LOOK_UPS, PROPERTIES
from actingweb.migration.target import Connection, Target, lift_timeouts, target_faults

__all__ = ["CopySource", "LoadOptions", "OnCounts", "Summary", "copy_tables", "import_files"]

OnCounts = Callable[[str, Counts], None]
"""Is told the table and its counts, those of interrupted runs included, after each batch; in any thread."""


@dataclass(frozen=True)
class LoadOptions:
    """How to load.

    Attributes:
        rejects: the directory of the reject files.
        indexed_properties: the properties whose values get look-up rows.
        skip_duplicates: leave rows whose key exists as they are; otherwise such a row stops the load.
        max_rejects: how many rejects a table may have; None for any number.
    """

    rejects: Path
    indexed_properties: tuple[str, ...]
    skip_duplicates: bool = False
    max_rejects: int | None = None

    def check_rejects(self) -> None:
        """Raise `UsageError` unless reject files can be written."""
        try:
            place = next((place for place in (self.rejects, *self.rejects.parents) if place.exists()), self.rejects)
            TemporaryFile(dir=place).close()
        except OSError as error:
            raise UsageError(
                f"rejected rows could not be written to {self.rejects} ({error.strerror}): name another directory with "
                "--rejects-dir"
            ) from None


@dataclass
class Summary:
    """What a load did, the runs that it continued included.

    Attributes:
        counts: by table.
        unknown: rows of this run with an attribute that the layout does not know, by table and attribute.
        missing: optional tables that the source does not have.
        notes: what a person should know of the source.
        look_ups: look-up rows made.
        unclaimed: how many of them are for values that nobody claims, where the smallest id answers.
        without_claims: whether the source does not tell who claims a value.
        names_beside: properties, other than the indexed ones, whose values are claimed; some, if they are many.
    """

    counts: dict[str, Counts] = field(default_factory=dict)
    unknown: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    look_ups: int = 0
    unclaimed: int = 0
    without_claims: bool = False
    names_beside: list[str] = field(default_factory=list)

    def settled(self, claimed: int, unclaimed: int) -> None:
        """Take the numbers of look-up rows made."""
        self.look_ups, self.unclaimed = claimed + unclaimed, unclaimed

    @property
    def rejected(self) -> int:
        """How many rows were rejected."""
        return sum(counts.rejected for counts in self.counts.values())


class CopySource(Protocol):
    """What `copy_tables` needs of a source."""

    @property
    def forms(self) -> tuple[TableForm, ...]:
        """The tables, parents before children."""

    def identity(self, form: TableForm, /) -> str:
        """Tell this table, read in these streams, from any other."""

    def batches(
        self, form: TableForm, marks: Callable[[int], object], done: Callable[[int], bool], /
    ) -> Iterable[Batch]:
        """Yield the batches behind the marks of streams that are not done."""


def import_files(target: Target, source: Documents, options: LoadOptions, on_counts: OnCounts) -> Summary:
    """Load the documents of a directory; interrupted before its end, the same call goes on where it was.

    Raise `DuplicateRowError` for a key that exists unless duplicates are skipped: the target is then as it was before
    that file. Raise `UsageError`, `SourceError` or `TargetError` for all else that stops it; rows that cannot be loaded
    do not, they go to the reject files.
    """
    options.check_rejects()
    with _checked(target) as connection:
        identities = source.identities()
        with target_faults():
            begin(target, connection, identities)
        run = _Run(target, connection, options, on_counts, f"import of {source.directory}", identities)
        run.summary.missing, run.summary.notes = (*source.missing, *_missing_claims(source)), source.notes
        run.summary.without_claims = not source.claims
        for form in source.forms:
            run.load_file(form, source)
        return run.finish()


def copy_tables(source: CopySource, target: Target, options: LoadOptions, on_counts: OnCounts) -> Summary:
    """Load the tables of a source of several streams; interrupted before its end, the same call goes on where it was.

    Raise `UsageError` if the target has rows already and duplicates are not skipped. Otherwise as `import_files`,
    except that a duplicate made meanwhile stops it with what it has loaded left in place.
    """
    options.check_rejects()
    with _checked(target) as connection:
        identities = {form.name: source.identity(form) for form in source.forms}
        with target_faults():
            continues = begin(target, connection, identities)
            if not (continues or options.skip_duplicates):
                _require_empty(target, connection)
        run = _Run(target, connection, options, on_counts, "copy", identities)
        for form in source.forms:
            with run.loader(form, ordered=False) as loader:
                if not loader.progress.loaded:
                    loader.load(source.batches(form, loader.progress.mark, loader.progress.done))
        return run.finish()


def _missing_claims(source: Documents) -> tuple[str, ...]:
    """Return the present table of claims if only its first form is there: either may have been forgotten."""
    return (CLAIMS_V2.name,) if source.claims == (CLAIMS_V1,) else ()


@contextmanager
def _checked(target: Target) -> Iterator[Connection]:
    """Yield a connection to a target that can be loaded."""
    with closing(target.connect()) as connection:
        target.check(connection)
        yield connection


def _require_empty(target: Target, connection: Connection) -> None:
    for form in FORMS:
        statement = target.sql("SELECT EXISTS (SELECT FROM {schema}.{table})", table=sql.Identifier(form.name))
        if connection.execute(statement).fetchone() == (True,):
            discard(target, connection)
            raise UsageError(f"{form.name} has rows already: use --skip-duplicates to leave them and add the others")


@dataclass
class _Run:
    """One run over all tables."""

    target: Target
    connection: Connection
    options: LoadOptions
    on_counts: OnCounts
    source: str
    identities: dict[str, str]
    summary: Summary = field(default_factory=Summary)
    claims: list[LoadedClaims] = field(default_factory=list)

    def load_file(self, form: TableForm, source: Documents) -> None:
        """Load the file of a table, if it is not loaded yet."""
        file = source.file(form.name)
        if file is None:
            return
        with self.loader(form, ordered=True) as loader:
            try:
                if not loader.progress.loaded:
                    loader.load(file.batches(loader.progress.mark()))
            except DuplicateRowError:
                loader.undo(file.batches())
                with target_faults():
                    discard(self.target, self.connection)
                raise

    @contextmanager
    def loader(self, form: TableForm, *, ordered: bool) -> Iterator[Loader]:
        """Yield the loader of a table; what it did becomes part of the summary."""
        rejects = RejectFile(self.options.rejects, form)
        with target_faults():
            key = (form.name, self.source, self.identities[form.name])
            progress = Progress(self.target, self.connection, *key, rejects)
            if form in CLAIMS:
                self._stage_claims(form, progress, rejects)
        self.summary.counts[form.name] = progress.counts
        merge = Merge(self.target, self.connection, form, self.options.skip_duplicates)
        loader = Loader(merge, progress, rejects, ordered, self.options.max_rejects, self._report(form.name))
        yield loader
        if loader.unknown:
            self.summary.unknown[form.name] = loader.unknown

    def _stage_claims(self, form: TableForm, progress: Progress, rejects: RejectFile) -> None:
        """Make room for claims, without what a load that was given up left there."""
        staged = StagedClaims.lasting(self.target, form)
        with self.connection.transaction():
            lift_timeouts(self.connection)
            staged.create(self.connection, temporary=False)
            if not progress.begun:
                staged.empty(self.connection)
        self.claims.append(LoadedClaims(staged, rejects, progress.counts))

    def finish(self) -> Summary:
        """Do what follows when all tables are loaded, and return what was done."""
        names = self.options.indexed_properties
        loaded = (*FORMS, *(one.staged.form for one in self.claims))
        with target_faults():
            analyze(self.target, self.connection, [form.table for form in loaded])
            with self.connection.transaction():
                lift_timeouts(self.connection)
                for one in self.claims:
                    self.summary.names_beside += one.staged.names_beside(self.connection, names)
                look_ups = LookUps.of(self.target, self.connection, names)
                self.summary.settled(*settle(look_ups, self.claims, RejectFile(self.options.rejects, PROPERTIES)))
                analyze(self.target, self.connection, [LOOK_UPS])
                # Together, so that a reject is not written twice.
                finish(self.target, self.connection)
        return self.summary

    def _report(self, table: str) -> Callable[[Counts], None]:
        def report(counts: Counts) -> None:
            self.on_counts(table, counts)

        report(self.summary.counts[table])
        return report
