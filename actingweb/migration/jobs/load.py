"""The jobs that load all tables of a source: import, from files, and copy, from DynamoDB."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from actingweb.migration.batches import Batch
from actingweb.migration.errors import DuplicateRowError, UsageError
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary, OnCounts
from actingweb.migration.jobs.loader import Loader
from actingweb.migration.mapping import ALL, CLAIMS, CLAIMS_V1, CLAIMS_V2, LOOK_UPS, MAPPINGS, PROPERTIES, TableMapping
from actingweb.migration.rejects import RejectFile
from actingweb.migration.source.export_dir import ExportedTables
from actingweb.migration.target.connection import Connection, Target, lift_timeouts, target_errors
from actingweb.migration.target.lookups import LoadedClaims, LookUps, analyze, make_look_ups
from actingweb.migration.target.progress import Counts, Progress, begin, discard, finish, has_rows, restart
from actingweb.migration.target.staging import StagedClaims
from actingweb.migration.target.writer import TableWriter

__all__ = ["CopySource", "copy_tables", "import_files"]

_KEEP = "use --skip-duplicates to keep them and add the others"
_FILLED = f"The table had rows before this import: {_KEEP}."
_TWICE = "The table was empty, so the file has this key twice: use --skip-duplicates to load the first of such rows."


class CopySource(Protocol):
    """What `copy_tables` needs of its source."""

    @property
    def mappings(self) -> tuple[TableMapping, ...]:
        """The tables, parents before children."""

    def identity(self, mapping: TableMapping, /) -> str:
        """Return a text that identifies the table and its streams."""

    def batches(
        self, mapping: TableMapping, checkpoints: Callable[[int], object], done: Callable[[int], bool], /
    ) -> Iterable[Batch]:
        """Yield the batches of the streams for which `done(stream)` is false, each from its checkpoint on."""


def import_files(target: Target, source: ExportedTables, options: LoadOptions, on_counts: OnCounts) -> LoadSummary:
    """Load the documents of a directory. After an interruption, the same call continues where the load stopped.

    Raise `DuplicateRowError` for a key that exists already, unless duplicates are skipped; the rows of that file are
    deleted again. Raise `UsageError`, `SourceError` or `TargetError` for all else that stops the load. Rows that cannot
    be loaded do not stop it: they go to the reject files.
    """
    options.check_rejects()
    with _checked(target) as connection:
        identities = source.identities()
        with target_errors():
            deleted = _restart(target, connection, options)
            begin(target, connection, identities)
        run = _Run(target, connection, options, on_counts, f"import of {source.directory}", identities)
        run.summary.missing, run.summary.notes = (*source.missing, *_missing_claims(source)), (*deleted, *source.notes)
        run.summary.without_claims = PROPERTIES in source.mappings and not source.claims
        for mapping in source.mappings:
            run.load_file(mapping, source)
        return run.finish()


def copy_tables(source: CopySource, target: Target, options: LoadOptions, on_counts: OnCounts) -> LoadSummary:
    """Load the tables of a source that has several streams. After an interruption, the same call continues.

    Raise `UsageError` if the target has rows already and duplicates are not skipped. Otherwise as `import_files`,
    except that the rows loaded before a duplicate stay.
    """
    options.check_rejects()
    with _checked(target) as connection:
        identities = {mapping.name: source.identity(mapping) for mapping in source.mappings}
        with target_errors():
            deleted = _restart(target, connection, options)
            continues = begin(target, connection, identities)
            if not (continues or options.skip_duplicates):
                _require_empty(target, connection, identities)
        run = _Run(target, connection, options, on_counts, "copy", identities)
        run.summary.notes = tuple(deleted)
        for mapping in source.mappings:
            with run.loader(mapping, ordered=False) as loader:
                if not loader.progress.loaded:
                    loader.load(source.batches(mapping, loader.progress.checkpoint, loader.progress.done))
        return run.finish()


def _missing_claims(source: ExportedTables) -> tuple[str, ...]:
    """Return the newer table of claims if the source has only the older one: it may have been forgotten."""
    return (CLAIMS_V2.name,) if source.claims == (CLAIMS_V1,) else ()


@contextmanager
def _checked(target: Target) -> Iterator[Connection]:
    """Yield a connection to a target that has been checked."""
    with closing(target.connect()) as connection:
        target.check(connection)
        yield connection


def _restart(target: Target, connection: Connection, options: LoadOptions) -> list[str]:
    """Forget an unfinished load if the options say so; return a line for each table whose rows were deleted."""
    if not options.restart:
        return []
    deleted = restart(target, connection, keep_rows=options.skip_duplicates)
    return [f"{table}: {count:,} rows of the unfinished load were deleted" for table, count in deleted.items() if count]


def _require_empty(target: Target, connection: Connection, identities: Mapping[str, str]) -> None:
    for mapping in MAPPINGS:
        if mapping.name in identities and has_rows(target, connection, mapping.name):
            discard(target, connection)
            raise UsageError(f"{mapping.name} has rows already: {_KEEP}")


@dataclass
class _Run:
    """One run over all tables."""

    target: Target
    connection: Connection
    options: LoadOptions
    on_counts: OnCounts
    source: str
    identities: dict[str, str]
    summary: LoadSummary = field(default_factory=LoadSummary)
    claims: list[LoadedClaims] = field(default_factory=list)

    def load_file(self, mapping: TableMapping, source: ExportedTables) -> None:
        """Load the file of a table, unless it is loaded already."""
        file = source.file(mapping.name)
        if file is None:
            return
        with self.loader(mapping, ordered=True) as loader:
            try:
                if not loader.progress.loaded:
                    loader.load(file.batches(loader.progress.checkpoint()))
            except DuplicateRowError as error:
                loader.undo(file.batches())
                with target_errors():
                    discard(self.target, self.connection)
                    was_filled = has_rows(self.target, self.connection, mapping.table)
                raise DuplicateRowError(f"{error} {_FILLED if was_filled else _TWICE}") from None

    @contextmanager
    def loader(self, mapping: TableMapping, *, ordered: bool) -> Iterator[Loader]:
        """Yield the loader of a table, and add what it did to the summary."""
        rejects = RejectFile(self.options.rejects, mapping)
        with target_errors():
            key = (mapping.name, self.source, self.identities[mapping.name])
            progress = Progress(self.target, self.connection, *key, rejects)
            if mapping in CLAIMS:
                self._stage_claims(mapping, progress, rejects)
        self.summary.counts[mapping.name] = progress.counts
        writer = TableWriter(self.target, self.connection, mapping, self.options.skip_duplicates)
        loader = Loader(writer, progress, rejects, ordered, self.options.max_rejects, self._report(mapping.name))
        yield loader
        if loader.unknown:
            self.summary.unknown[mapping.name] = loader.unknown

    def _stage_claims(self, mapping: TableMapping, progress: Progress, rejects: RejectFile) -> None:
        """Create the staging table of claims; empty it unless the load is continued."""
        staged = StagedClaims.lasting(self.target, mapping)
        with self.connection.transaction():
            lift_timeouts(self.connection)
            staged.create(self.connection, temporary=False)
            if not progress.begun:
                staged.empty(self.connection)
        self.claims.append(LoadedClaims(staged, rejects, progress.counts))

    def finish(self) -> LoadSummary:
        """Create the look-up rows once all tables are loaded, unless the properties are not; return the summary."""
        with target_errors():
            analyze(self.target, self.connection, [mapping.table for mapping in ALL if mapping.name in self.identities])
            with self.connection.transaction():
                lift_timeouts(self.connection)
                if PROPERTIES.name in self.identities:
                    self._make_look_ups()
                # In the same transaction, so that no reject is written twice.
                finish(self.target, self.connection)
        return self.summary

    def _make_look_ups(self) -> None:
        names = self.options.indexed_properties
        for one in self.claims:
            self.summary.other_names += one.staged.other_names(self.connection, names)
        look_ups = LookUps.of(self.target, self.connection, names)
        self.summary.add_look_ups(*make_look_ups(look_ups, self.claims, RejectFile(self.options.rejects, PROPERTIES)))
        analyze(self.target, self.connection, [LOOK_UPS])

    def _report(self, table: str) -> Callable[[Counts], None]:
        def report(counts: Counts) -> None:
            self.on_counts(table, counts)

        report(self.summary.counts[table])
        return report
