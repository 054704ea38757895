"""What the commands do, between their options and the engines."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import Settings, table_prefix
from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.compare import CompareOptions, SourceOf, compare
from actingweb.migration.configuration import PostgresFlags, read_settings, target_of
from actingweb.migration.display import Display
from actingweb.migration.errors import UsageError
from actingweb.migration.export import export_tables
from actingweb.migration.inputs import Documents, Input
from actingweb.migration.progress import Counts
from actingweb.migration.replay import replay_rejects
from actingweb.migration.run import Outcome
from actingweb.migration.s3export import S3Exports
from actingweb.migration.source import DynamoDBSource
from actingweb.migration.summaries import compared, exported, loaded
from actingweb.migration.transfer import LoadOptions, OnCounts, copy_tables, import_files

__all__ = [
    "DynamoDBFlags",
    "FilesFlags",
    "LoadFlags",
    "PostgresFlags",
    "ReportFlags",
    "copy",
    "export",
    "load",
    "replay",
    "validate",
]

_REJECTS = "rejects"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DynamoDBFlags:
    """What to read of DynamoDB, and how, as far as the command line says."""

    profile: str | None
    prefix: str | None
    segments: int
    rcu: float | None

    def source(self, settings: Settings) -> DynamoDBSource:
        """Return the tables. Raise `UsageError` if no table's name can begin with the prefix."""
        host = settings.aws_db_host
        return DynamoDBSource(_prefix(self.prefix), None, host, self.profile, segments=self.segments, rcu=self.rcu)


@dataclass(frozen=True)
class FilesFlags:
    """Which files to read.

    Attributes:
        exported: whether DynamoDB exported them to S3.
        prefix: of the exported tables, as far as the command line says.
    """

    directory: Path
    exported: bool = False
    prefix: str | None = None

    def source(self, settings: Settings) -> Documents:
        """Return the documents. Raise `UsageError` or `SourceError` if they are not there whole."""
        if self.exported:
            return S3Exports.at(self.directory, _prefix(self.prefix) or settings.aws_db_prefix)
        return Input.at(self.directory)


@dataclass(frozen=True)
class LoadFlags:
    """How to load."""

    skip_duplicates: bool
    max_rejects: int | None

    def options(self, rejects: Path, settings: Settings) -> LoadOptions:
        """Return the options of the engine."""
        return LoadOptions(rejects, settings.indexed_properties, self.skip_duplicates, self.max_rejects)


@dataclass(frozen=True)
class ReportFlags:
    """What to tell of differences."""

    report: Path
    limit: int
    show_values: bool
    rejects: Path | None

    def options(self, settings: Settings, rejects: Path | None) -> CompareOptions:
        """Return the options of the engine; `rejects` is used if the command line names no directory."""
        chosen = self.rejects or rejects
        return CompareOptions(self.report, settings.indexed_properties, chosen, self.limit, self.show_values)


def export(source: DynamoDBFlags, directory: Path, resume: bool, display: Display) -> Outcome:
    """Write the tables of DynamoDB to files."""
    tables = source.source(read_settings())
    _expect(display, tables)
    summary = export_tables(tables, directory, resume=resume, on_rows=display.reached)
    return exported(summary, directory)


def load(files: FilesFlags, flags: PostgresFlags, rules: LoadFlags, rejects: Path | None, display: Display) -> Outcome:
    """Load the files of a directory."""
    settings = read_settings()
    source = files.source(settings)
    target = target_of(settings, flags)
    _expect_rows(display, source)
    rejects = rejects or files.directory / _REJECTS
    if rejects.resolve() == files.directory.resolve():
        raise UsageError("--rejects-dir is the input directory: name another one")
    return loaded(import_files(target, source, rules.options(rejects, settings), _counter(display)), rejects)


def copy(source: DynamoDBFlags, flags: PostgresFlags, rules: LoadFlags, rejects: Path, display: Display) -> Outcome:
    """Load the tables of DynamoDB."""
    settings = read_settings()
    tables = source.source(settings)
    target = target_of(settings, flags)
    _expect(display, tables)
    return loaded(copy_tables(tables, target, rules.options(rejects, settings), _counter(display)), rejects)


def validate(
    files: FilesFlags | None, source: DynamoDBFlags | None, flags: PostgresFlags, wishes: ReportFlags, display: Display
) -> Outcome:
    """Compare PostgreSQL with files or with DynamoDB."""
    settings = read_settings()
    if source is None and files is not None:
        source_of = _documents(files.source(settings), display)
    elif source is not None and files is None:
        tables = source.source(settings)
        _expect(display, tables)
        source_of = partial(_items, tables)
    else:
        raise UsageError("name either --input-dir or --source dynamodb")
    target = target_of(settings, flags)
    options = wishes.options(settings, None if files is None else files.directory / _REJECTS)
    return compared(compare(target, source_of, options, display.reached), wishes.report)


def replay(rejects: Path, flags: PostgresFlags, display: Display) -> Outcome:
    """Load rejected rows again."""
    settings = read_settings()
    target = target_of(settings, flags)
    options = LoadOptions(rejects, settings.indexed_properties)
    return loaded(replay_rejects(target, options, _counter(display)), rejects)


def _prefix(text: str | None) -> str | None:
    try:
        return text and table_prefix(text, "--table-prefix")
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def _documents(files: Documents, display: Display) -> SourceOf:
    _expect_rows(display, files)

    def documents_of(form: TableForm) -> Iterable[Batch] | None:
        file = files.file(form.name)
        return None if file is None else file.batches()

    return documents_of


def _items(tables: DynamoDBSource, form: TableForm) -> Iterable[Batch] | None:
    if form not in tables.forms:
        return None
    return tables.batches(form, lambda _: None, lambda _: False)


def _expect_rows(display: Display, files: Documents) -> None:
    for table, rows in files.rows().items():
        display.expect(table, rows)


def _expect(display: Display, tables: DynamoDBSource) -> None:
    for form in tables.forms:
        display.expect(form.name, tables.estimate(form))


def _counter(display: Display) -> OnCounts:
    def count(table: str, counts: Counts) -> None:
        _log.debug("%s: %s", table, counts)
        display.reached(table, counts.read)

    return count
