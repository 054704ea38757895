"""The command `plan`: from options to the checks, and from their findings to the outcome."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from actingweb.db.settings import Settings
from actingweb.migration.cli.display import Rows
from actingweb.migration.cli.findings_printer import FindingsPrinter
from actingweb.migration.cli.options import PostgresFlags, read_settings, target_of
from actingweb.migration.cli.plan_page import page_of
from actingweb.migration.cli.results import Outcome
from actingweb.migration.cli.sources import DynamoDBFlags
from actingweb.migration.errors import SourceError, TargetError, UsageError
from actingweb.migration.findings import Finding, exit_code, stopper
from actingweb.migration.plan import sample, source, target
from actingweb.migration.plan.facts import TableFacts, duration
from actingweb.migration.report_html import require_html, write_page

__all__ = ["plan"]

_MIB = 1024 * 1024


def plan(
    dynamodb: DynamoDBFlags, postgresql: PostgresFlags, rows: int, report: Path | None, *, writes: bool, as_json: bool
) -> Outcome:
    """Examine both sides, print the findings unless `as_json`, and return them with the estimates.

    Write them as a page too, if there is to be a `report`.
    """
    require_html(report)
    settings = read_settings()
    tables: dict[str, TableFacts] = {}
    printer, findings = FindingsPrinter(), list[Finding]()
    for found in _findings(settings, dynamodb, postgresql, tables, rows, writes=writes):
        findings.append(found)
        if not as_json:
            # Immediately, since a server that does not respond takes a while.
            printer.show(found)
    if not as_json:
        printer.sum_up(findings)
    facts = {
        "findings": [found.asdict() for found in findings],
        "tables": {name: asdict(table) | {"read_units": round(table.read_units, 1)} for name, table in tables.items()},
    }
    counts, notes = _rows(tables, dynamodb.rcu), list(_estimate(tables, dynamodb.rcu))
    if report is not None:
        write_page(report, page_of(findings, counts, notes))
        notes.append(f"the page to hand on is {report}")
    return Outcome(exit_code(findings), counts, facts, tuple(notes))


def _findings(
    settings: Settings,
    dynamodb: DynamoDBFlags,
    postgresql: PostgresFlags,
    tables: dict[str, TableFacts],
    rows: int,
    *,
    writes: bool,
) -> Iterator[Finding]:
    try:
        found = dynamodb.source(settings)
        yield from source.findings(found, tables, writes=writes)
        yield from sample.findings(found, tables, settings.indexed_properties, rows)
    except (SourceError, UsageError) as error:
        yield stopper(source.SIDE, "connection", str(error))
    try:
        yield from target.findings(target_of(settings, postgresql), tables)
    except (TargetError, UsageError) as error:
        yield stopper(target.SIDE, "connection", str(error))


def _rows(tables: dict[str, TableFacts], rcu: float | None) -> Rows:
    rows: Rows = []
    for name, table in tables.items():
        units = round(table.read_units, 1)
        row = {"table": name, "rows": table.rows, "MiB": f"{table.size / _MIB:,.1f}", "read units": f"{units:,.1f}"}
        rows.append(row if rcu is None else row | {f"scan at {rcu:,.0f} a second": duration(units / rcu)})
    return rows


def _estimate(tables: dict[str, TableFacts], rcu: float | None) -> Iterator[str]:
    units = sum(table.read_units for table in tables.values())
    if units:
        time = "as fast as DynamoDB lets it" if rcu is None else duration(units / rcu)
        yield f"one scan of all tables: about {units:,.0f} read capacity units, {time}, and a comparison as many"
