"""The command `validate`: from options to the job, and from its result to the outcome."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from actingweb.db.settings import Settings
from actingweb.migration.batches import Batch
from actingweb.migration.cli.display import Display, Rows
from actingweb.migration.cli.live import Session, live_session, require_no_migration
from actingweb.migration.cli.options import PostgresFlags, read_settings, target_of
from actingweb.migration.cli.results import NO_CLAIMS, Outcome, unknown_attributes
from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags, tables_of
from actingweb.migration.cli.validation_page import page_of
from actingweb.migration.errors import ExitCode, UsageError
from actingweb.migration.jobs import validate as job
from actingweb.migration.jobs.differences import Difference, Kind, ValidationResult
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.mapping import TableMapping
from actingweb.migration.report_html import Level, is_html, write_page
from actingweb.migration.source.export_dir import ExportedTables
from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["RepairFlags", "ReportFlags", "validate"]

_NOT_COMPARED = f"{NO_CLAIMS}: which actor is found by a value that several actors hold was not compared"


@dataclass(frozen=True)
class ReportFlags:
    """What to report of differences.

    Attributes:
        report: the page, or the file to which all differences are written.
        limit: how many differences to print.
        show_values: also print and report the values that differ.
        rejects: the directory of the import's reject files; None if the option is not given.
        accepted: the files of the rows that are not to be moved.
    """

    report: Path
    limit: int
    show_values: bool
    rejects: Path | None
    accepted: Sequence[Path] = ()

    @property
    def differences(self) -> Path:
        """The file to which all differences are written."""
        return self.report.with_suffix(".ndjson") if is_html(self.report) else self.report

    def options(self, settings: Settings, default_rejects: Path | None) -> job.ValidationOptions:
        """Return the options of the job."""
        rejects = self.rejects or default_rejects
        accepted = AcceptedRows(tuple(self.accepted))
        names = settings.indexed_properties
        return job.ValidationOptions(self.differences, names, rejects, self.limit, self.show_values, accepted=accepted)


@dataclass(frozen=True)
class RepairFlags:
    """What to change.

    Attributes:
        repair: insert missing rows, update differing ones, correct look-up rows.
        delete_extra: also delete rows that the source does not have.
    """

    repair: bool = False
    delete_extra: bool = False


def validate(
    files: FilesFlags | None,
    source: DynamoDBFlags | None,
    flags: PostgresFlags,
    report_flags: ReportFlags,
    repair_flags: RepairFlags,
    display: Display,
) -> Outcome:
    """Compare PostgreSQL with files or with DynamoDB, and make it equal if that is wanted."""
    settings = read_settings()
    if repair_flags.delete_extra and not repair_flags.repair:
        raise UsageError("--delete-extra is a part of --repair: add that")
    if (source is None) == (files is None):
        raise UsageError("name either --input-dir or --source dynamodb")
    if source is not None and (session := live_session(settings, flags, source)) is not None:
        return _validate_live(session, source, report_flags, repair_flags, display)
    if repair_flags.repair:
        require_no_migration(flags, "repair it")
    source_of, tables, place = _compared(settings, files, source, display)
    target = target_of(settings, flags)
    options = report_flags.options(settings, None if files is None else files.directory / "rejects")
    options = replace(options, tables=tables_of(tables), **vars(repair_flags))
    result = job.validate(target, source_of, options, display.reached)
    if is_html(report_flags.report):
        write_page(report_flags.report, page_of(result, place, **vars(repair_flags)))
    return _outcome(result, report_flags, repair_flags)


def _compared(
    settings: Settings, files: FilesFlags | None, source: DynamoDBFlags | None, display: Display
) -> tuple[job.SourceOf, str | None, str]:
    """Return what PostgreSQL is compared with, the names of the tables, and where that is."""
    if files is not None:
        return _documents(files.source(settings), display), files.tables, str(files.directory)
    assert source is not None
    live = source.source(settings)
    return _items(live, display), source.tables, f"DynamoDB at {live.endpoint.address}"


def _validate_live(
    session: Session, source: DynamoDBFlags, report_flags: ReportFlags, repair_flags: RepairFlags, display: Display
) -> Outcome:
    """Compare both sides of a live migration while they are in use, and let `sync` repair what differs."""
    given = {
        "--tables": source.tables,
        "--show-values": report_flags.show_values,
        "--rejects-dir": report_flags.rejects,
    }
    for name in (name for name, value in given.items() if value):
        raise UsageError(f"{name}: this cannot be used while a live migration exists")
    tables = source.source(session.settings)
    display.expect({mapping.name: tables.estimate(mapping) for mapping in tables.mappings})
    options = {"report": report_flags.differences, "limit": report_flags.limit, "on_rows": display.reached}
    accepted = AcceptedRows(tuple(report_flags.accepted))
    result = session.comparison(source, accepted=accepted, **options).run(**vars(repair_flags))
    if is_html(report_flags.report):
        page = page_of(result.found, "DynamoDB, both sides in use", **vars(repair_flags))
        if result.unsettled:
            page = replace(page, level=Level.STOP, verdict=f"{page.verdict}; {_unsettled(result.unsettled)}")
        write_page(report_flags.report, page)
    outcome = _outcome(result.found, report_flags, repair_flags)
    if not result.unsettled:
        return outcome
    facts = {**outcome.facts, "unsettled": result.unsettled}
    warnings = (*outcome.warnings, _unsettled(result.unsettled))
    return replace(outcome, exit_code=ExitCode.DIFFERENCES, facts=facts, warnings=warnings)


def _unsettled(count: int) -> str:
    return f"{count:,} rows could not be judged, as changes of them were under way all the time: validate again"


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


def _outcome(result: ValidationResult, flags: ReportFlags, repair: RepairFlags) -> Outcome:
    rows: Rows = [
        {
            "table": table,
            "source": found.source,
            "PostgreSQL": found.target,
            "differences": found.differences,
            **({"repaired": found.repaired} if repair.repair else {}),
        }
        for table, found in result.tables.items()
    ]
    facts = {
        "tables": [{"table": table, **asdict(found)} for table, found in result.tables.items()],
        "differences": result.differences,
        "repaired": result.repaired,
        "rejected": result.rejected,
        "accepted": result.accepted,
        "first": [difference.fields() for difference in result.first],
        "unknown": result.unknown,
        "report": str(flags.differences) if result.differences else None,
    }
    notes = [
        *map(_line_of, result.first),
        *unknown_attributes(result.unknown),
        *_totals(result, flags.differences, repair),
    ]
    if is_html(flags.report):
        facts["page"] = str(flags.report)
        notes.append(f"the page to hand on is {flags.report}")
    code = ExitCode.DIFFERENCES if result.differences > result.repaired else ExitCode.OK
    return Outcome(code, rows, facts, tuple(notes), (_NOT_COMPARED,) if result.without_claims else ())


def _line_of(difference: Difference) -> str:
    fields = difference.fields()
    row = f"{fields.pop('table')} {json.dumps(fields.pop('key'))}"
    rest = [f"{name} {json.dumps(value)}" for name, value in fields.items() if value is not None]
    return f"{row}: {', '.join(rest)}"


def _totals(result: ValidationResult, report: Path, repair: RepairFlags) -> list[str]:
    accepted = [f"{result.accepted:,} rows differ and are accepted"] if result.accepted else []
    if not result.differences:
        return ["0 differences", *accepted]
    kinds: Counter[str] = Counter()
    for table in result.tables.values():
        kinds.update(table.kinds)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    lines = [f"{result.differences:,} differences ({counts}); all are in {report}"]
    if result.rejected:
        lines.append(f"{result.rejected:,} of them are rows that the import rejected")
    lines += _repairs(result, repair, extra=kinds[Kind.EXTRA])
    return [*lines, *accepted]


def _repairs(result: ValidationResult, repair: RepairFlags, extra: int) -> list[str]:
    """Return what a repair did, and what it did not do."""
    lines, rest = [], result.differences - result.repaired
    if result.repaired:
        lines.append(f"{result.repaired:,} of them were repaired, {rest:,} are left; validate again to see")
    if extra and rest and repair.repair and not repair.delete_extra:
        lines.append("extra rows were kept: --repair --delete-extra deletes them")
    return lines
