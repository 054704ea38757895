"""The findings of `plan` as a page to hand to whoever has to approve the migration."""

from collections.abc import Iterator, Sequence

from actingweb.migration.cli.display import Rows
from actingweb.migration.findings import Finding
from actingweb.migration.findings import Level as Severity
from actingweb.migration.report_html import Cell, Level, ReportPage, ReportTable

__all__ = ["page_of"]

_HEADINGS = ("side", "check", "level", "what was found", "what to do")


def page_of(findings: Sequence[Finding], rows: Rows, estimates: Sequence[str]) -> ReportPage:
    """Return the page, from the findings, the facts of each table and the lines that estimate the effort."""
    found = [(one.side, one.check, Level(one.level.value), one.text, one.advice) for one in _worst_first(findings)]
    tables = [ReportTable("Findings", _HEADINGS, found)]
    if rows:
        cells = [tuple(map(_cell, row.values())) for row in rows]
        tables.append(ReportTable("Tables of DynamoDB", tuple(rows[0]), cells))
    return ReportPage("Plan of a migration to PostgreSQL", *_verdict(findings), tables=tables, notes=list(estimates))


def _worst_first(findings: Sequence[Finding]) -> Iterator[Finding]:
    for level in reversed(Severity):
        yield from (one for one in findings if one.level is level)


def _verdict(findings: Sequence[Finding]) -> tuple[Level, str]:
    counts = [sum(one.level is level for one in findings) for level in Severity]
    level = Level.STOP if counts[2] else Level.WARNING if counts[1] else Level.OK
    return level, f"{counts[0]:,} findings are ok, {counts[1]:,} are warnings, {counts[2]:,} stop the migration"


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, int) else str(value)
