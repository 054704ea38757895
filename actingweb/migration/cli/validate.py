"""The command `validate`: from options to the job, and from its result to the outcome."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from actingweb.db.settings import Settings
from actingweb.migration.batches import Batch
from actingweb.migration.cli.display import Display, Rows
from actingweb.migration.cli.options import PostgresFlags, read_settings, target_of
from actingweb.migration.cli.results import NO_CLAIMS, Outcome, unknown_attributes
from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags
from actingweb.migration.errors import ExitCode, UsageError
from actingweb.migration.jobs import validate as job
from actingweb.migration.jobs.differences import Difference
from actingweb.migration.mapping import TableMapping
from actingweb.migration.source.export_dir import ExportedTables
from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["ReportFlags", "validate"]

_NOT_COMPARED = f"{NO_CLAIMS}: which actor is found by a value that several actors hold was not compared"


@dataclass(frozen=True)
class ReportFlags:
    """What to report of differences.

    Attributes:
        report: the file to which all differences are written.
        limit: how many differences to print.
        show_values: also print and report the values that differ.
        rejects: the directory of the import's reject files; None if the option is not given.
    """

    report: Path
    limit: int
    show_values: bool
    rejects: Path | None

    def options(self, settings: Settings, default_rejects: Path | None) -> job.ValidationOptions:
        """Return the options of the job."""
        rejects = self.rejects or default_rejects
        return job.ValidationOptions(self.report, settings.indexed_properties, rejects, self.limit, self.show_values)


def validate(
    files: FilesFlags | None,
    source: DynamoDBFlags | None,
    flags: PostgresFlags,
    report_flags: ReportFlags,
    display: Display,
) -> Outcome:
    """Compare PostgreSQL with files or with DynamoDB."""
    settings = read_settings()
    if source is None and files is not None:
        source_of = _documents(files.source(settings), display)
    elif source is not None and files is None:
        source_of = _items(source.source(settings), display)
    else:
        raise UsageError("name either --input-dir or --source dynamodb")
    target = target_of(settings, flags)
    options = report_flags.options(settings, None if files is None else files.directory / "rejects")
    return _outcome(job.validate(target, source_of, options, display.reached), report_flags.report)


def _documents(files: ExportedTables, display: Display) -> job.SourceOf:
    display.expect(files.rows())

    def documents_of(mapping: TableMapping) -> Iterable[Batch] | None:
        file = files.file(mapping.name)
        return None if file is None else file.batches()

    return documents_of


def _items(tables: DynamoDBSource, display: Display) -> job.SourceOf:
    display.expect({mapping.name: tables.estimate(mapping) for mapping in tables.mappings})

    def items_of(mapping: TableMapping) -> Iterable[Batch] | None:
        return tables.batches(mapping, lambda _: None, lambda _: False) if mapping in tables.mappings else None

    return items_of


def _outcome(result: job.ValidationResult, report: Path) -> Outcome:
    rows: Rows = [
        {
            "table": table,
            "source": found.source,
            "PostgreSQL": found.target,
            "differences": found.differences,
        }
        for table, found in result.tables.items()
    ]
    facts = {
        "tables": [{"table": table, **asdict(found)} for table, found in result.tables.items()],
        "differences": result.differences,
        "rejected": result.rejected,
        "first": [difference.fields() for difference in result.first],
        "unknown": result.unknown,
        "report": str(report) if result.differences else None,
    }
    notes = [*map(_line_of, result.first), *unknown_attributes(result.unknown), *_totals(result, report)]
    code = ExitCode.DIFFERENCES if result.differences else ExitCode.OK
    return Outcome(code, rows, facts, tuple(notes), (_NOT_COMPARED,) if result.without_claims else ())


def _line_of(difference: Difference) -> str:
    fields = difference.fields()
    row = f"{fields.pop('table')} {json.dumps(fields.pop('key'))}"
    rest = [f"{name} {json.dumps(value)}" for name, value in fields.items() if value is not None]
    return f"{row}: {', '.join(rest)}"


def _totals(result: job.ValidationResult, report: Path) -> list[str]:
    if not result.differences:
        return ["0 differences"]
    kinds: Counter[str] = Counter()
    for table in result.tables.values():
        kinds.update(table.kinds)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    lines = [f"{result.differences:,} differences ({counts}); all are in {report}"]
    if result.rejected:
        lines.append(f"{result.rejected:,} of them are rows that the import rejected")
    return lines
