"""The commands that load rows: `import`, `copy` and `replay`."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from actingweb.db.settings import Settings
from actingweb.migration.cli.display import Display, Rows
from actingweb.migration.cli.options import PostgresFlags, read_settings, target_of
from actingweb.migration.cli.results import NO_CLAIMS, Outcome, unknown_attributes
from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags
from actingweb.migration.errors import ExitCode, UsageError
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary, OnCounts
from actingweb.migration.jobs.replay import replay_rejects
from actingweb.migration.mapping import LOOK_UPS
from actingweb.migration.target.progress import Counts

__all__ = ["LoadFlags", "copy", "import_", "replay"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadFlags:
    """How to load.

    Attributes:
        skip_duplicates: keep existing rows that have the same key.
        max_rejects: how many rejects a table may have; None for no limit.
        restart: forget an unfinished load.
    """

    skip_duplicates: bool
    max_rejects: int | None
    restart: bool

    def options(self, rejects: Path, settings: Settings) -> LoadOptions:
        """Return the options of the job."""
        return LoadOptions(
            rejects, settings.indexed_properties, self.skip_duplicates, self.max_rejects, restart=self.restart
        )


def import_(
    files: FilesFlags, flags: PostgresFlags, load_flags: LoadFlags, rejects: Path | None, display: Display
) -> Outcome:
    """Load the files of a directory."""
    settings = read_settings()
    source = files.source(settings)
    target = target_of(settings, flags)
    display.expect(source.rows())
    rejects = rejects or files.directory / "rejects"
    if rejects.resolve() == files.directory.resolve():
        raise UsageError("--rejects-dir is the input directory: name another one")
    return _outcome(import_files(target, source, load_flags.options(rejects, settings), _counter(display)), rejects)


def copy(
    source: DynamoDBFlags, flags: PostgresFlags, load_flags: LoadFlags, rejects: Path, display: Display
) -> Outcome:
    """Load the tables of DynamoDB."""
    settings = read_settings()
    tables = source.source(settings)
    target = target_of(settings, flags)
    display.expect({mapping.name: tables.estimate(mapping) for mapping in tables.mappings})
    return _outcome(copy_tables(tables, target, load_flags.options(rejects, settings), _counter(display)), rejects)


def replay(rejects: Path, flags: PostgresFlags, display: Display) -> Outcome:
    """Load rejected rows again."""
    settings = read_settings()
    target = target_of(settings, flags)
    options = LoadOptions(rejects, settings.indexed_properties)
    return _outcome(replay_rejects(target, options, _counter(display)), rejects)


def _counter(display: Display) -> OnCounts:
    def count(table: str, counts: Counts) -> None:
        _log.debug("%s: %s", table, counts)
        display.reached(table, counts.read)

    return count


def _outcome(summary: LoadSummary, rejects: Path) -> Outcome:
    rows: Rows = [{"table": table, **asdict(counts)} for table, counts in summary.counts.items()]
    if summary.look_ups is not None:
        rows.append({"table": LOOK_UPS, "read": None, "written": summary.look_ups, "skipped": None, "rejected": None})
    facts: dict[str, Any] = {"look_ups": summary.look_ups, "unclaimed": summary.unclaimed, "unknown": summary.unknown}
    facts |= {"missing": list(summary.missing)}
    notes = [*_look_ups(summary), *unknown_attributes(summary.unknown)]
    notes += [f"the input has no {table}, which is fine if DynamoDB had no such table" for table in summary.missing]
    notes += summary.notes
    warnings = tuple(_warnings(summary))
    if summary.rejected:
        notes.append(f"{summary.rejected:,} rows were rejected: see {rejects}, correct them and use `replay`")
        return Outcome(ExitCode.REJECTS, rows, facts | {"rejects": str(rejects)}, tuple(notes), warnings)
    return Outcome(ExitCode.OK, rows, facts, tuple(notes), warnings)


def _look_ups(summary: LoadSummary) -> Iterator[str]:
    if summary.look_ups is None:
        yield "the properties were not loaded, and no look-up row was changed"
    else:
        yield (
            f"{summary.look_ups:,} look-up rows created, {summary.unclaimed:,} of them for values without a claim, "
            "which name the smallest actor id"
        )


def _warnings(summary: LoadSummary) -> Iterator[str]:
    if summary.without_claims:
        yield (
            f"{NO_CLAIMS}: where several actors hold the same value of an indexed property, look-ups find the smallest "
            "actor id, which may not be the actor that DynamoDB finds; export again to keep the results"
        )
    if summary.other_names:
        names = ", ".join(map(json.dumps, summary.other_names))
        yield (
            f"claims of properties that INDEXED_PROPERTIES does not name are kept ({names}), but their values without "
            "a claim get no look-up row: set INDEXED_PROPERTIES as for the application"
        )
