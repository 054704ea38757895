"""What the commands do, between their options and the engines."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actingweb.db.settings import Settings
from actingweb.migration.configuration import PostgresFlags, read_settings, target_of
from actingweb.migration.display import Display, Rows
from actingweb.migration.errors import ExitCode
from actingweb.migration.export import export_tables
from actingweb.migration.manifest import read_manifest
from actingweb.migration.replay import replay_rejects
from actingweb.migration.run import Outcome
from actingweb.migration.source import DynamoDBSource
from actingweb.migration.tables import FORMS
from actingweb.migration.transfer import LoadOptions, Summary, copy_tables, import_files

__all__ = ["SEGMENTS", "DynamoDBFlags", "LoadFlags", "copy", "export", "load", "replay"]

SEGMENTS = 4


@dataclass(frozen=True)
class DynamoDBFlags:
    """What to read of DynamoDB, and how, as far as the command line says."""

    profile: str | None
    prefix: str | None
    segments: int
    rcu: float | None

    def source(self, settings: Settings) -> DynamoDBSource:
        """Return the tables."""
        host = settings.aws_db_host
        return DynamoDBSource(self.prefix, None, host, self.profile, segments=self.segments, rcu=self.rcu)


@dataclass(frozen=True)
class LoadFlags:
    """How to load."""

    skip_duplicates: bool
    max_rejects: int | None

    def options(self, rejects: Path, settings: Settings) -> LoadOptions:
        """Return the options of the engine."""
        return LoadOptions(rejects, settings.indexed_properties, self.skip_duplicates, self.max_rejects)


def export(source: DynamoDBFlags, directory: Path, resume: bool, display: Display) -> Outcome:
    """Write the tables of DynamoDB to files."""
    tables = source.source(read_settings())
    _expect(display, tables)
    summary = export_tables(tables, directory, resume=resume, on_rows=display.reached)
    rows: Rows = [
        {"table": table, "rows": entry.rows, "bytes": entry.bytes} for table, entry in summary.manifest.tables.items()
    ]
    facts = {"directory": str(directory), "read": summary.read, "missing": summary.missing}
    notes = [f"DynamoDB has no table for {table}; its file is empty" for table in summary.missing]
    return Outcome(ExitCode.OK, rows, facts, (f"{sum(summary.read.values()):,} rows read", *notes))


def load(directory: Path, flags: PostgresFlags, rules: LoadFlags, display: Display) -> Outcome:
    """Load the files of a directory."""
    settings = read_settings()
    target = target_of(settings, flags)
    manifest = read_manifest(directory)
    for table, entry in manifest.tables.items() if manifest else ():
        display.expect(table, entry.rows)
    rejects = directory / "rejects"
    summary = import_files(target, directory, rules.options(rejects, settings), _counter(display))
    return _loaded(summary, rejects)


def copy(source: DynamoDBFlags, flags: PostgresFlags, rules: LoadFlags, rejects: Path, display: Display) -> Outcome:
    """Load the tables of DynamoDB."""
    settings = read_settings()
    tables = source.source(settings)
    target = target_of(settings, flags)
    _expect(display, tables)
    return _loaded(copy_tables(tables, target, rules.options(rejects, settings), _counter(display)), rejects)


def replay(rejects: Path, flags: PostgresFlags, display: Display) -> Outcome:
    """Load rejected rows again."""
    settings = read_settings()
    target = target_of(settings, flags)
    options = LoadOptions(rejects, settings.indexed_properties)
    return _loaded(replay_rejects(target, options, _counter(display)), rejects)


def _expect(display: Display, tables: DynamoDBSource) -> None:
    for form in FORMS:
        display.expect(form.name, tables.estimate(form))


def _counter(display: Display) -> Any:
    return lambda table, counts: display.reached(table, counts.read)


def _loaded(summary: Summary, rejects: Path) -> Outcome:
    rows: Rows = [{"table": table, **asdict(counts)} for table, counts in summary.counts.items()]
    facts = {"look_ups": summary.look_ups, "unknown": summary.unknown, "missing": list(summary.missing)}
    notes = [f"{summary.look_ups} look-up rows made"]
    notes += [f"{table}: {count} rows have {name}, which is not kept" for table, name, count in _unknown(summary)]
    notes += [f"{table}.json is not there, which is fine if there was no such table" for table in summary.missing]
    if summary.rejected:
        notes.append(f"{summary.rejected} rows were rejected: see {rejects}, correct them and use `replay`")
        return Outcome(ExitCode.REJECTS, rows, facts | {"rejects": str(rejects)}, tuple(notes))
    return Outcome(ExitCode.OK, rows, facts, tuple(notes))


def _unknown(summary: Summary) -> list[tuple[str, str, int]]:
    return [(table, name, count) for table, names in summary.unknown.items() for name, count in names.items()]
