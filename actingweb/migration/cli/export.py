"""The command `export`: from options to the job, and from its summary to the outcome."""

from pathlib import Path

from actingweb.migration.cli.display import Display, Rows
from actingweb.migration.cli.options import read_settings
from actingweb.migration.cli.results import Outcome
from actingweb.migration.cli.sources import DynamoDBFlags
from actingweb.migration.errors import ExitCode
from actingweb.migration.jobs.export import ExportSummary, export_tables

__all__ = ["export"]


def export(source: DynamoDBFlags, directory: Path, resume: bool, display: Display) -> Outcome:
    """Write the tables of DynamoDB to files."""
    tables = source.source(read_settings())
    display.expect({mapping.name: tables.estimate(mapping) for mapping in tables.mappings})
    return _outcome(export_tables(tables, directory, resume=resume, on_rows=display.reached), directory)


def _outcome(summary: ExportSummary, directory: Path) -> Outcome:
    rows: Rows = [
        {"table": table, "rows": entry.rows, "bytes": entry.bytes} for table, entry in summary.manifest.tables.items()
    ]
    facts = {"directory": str(directory), "read": summary.read, "missing": summary.missing}
    notes = [f"DynamoDB has no table for {table}; its file is empty" for table in summary.missing]
    return Outcome(ExitCode.OK, rows, facts, (f"{sum(summary.read.values()):,} rows read", *notes))
