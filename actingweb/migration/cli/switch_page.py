"""A cutover or rollback as a page to hand on: whether it was made, why not, how long it took, and what was accepted."""

from collections import Counter
from collections.abc import Iterable, Mapping

from actingweb.migration.cli.display import Rows
from actingweb.migration.cli.live_display import table_rows
from actingweb.migration.live.rejects import LiveReject
from actingweb.migration.live.status import Status
from actingweb.migration.report_html import Cell, Level, ReportPage, ReportTable

__all__ = ["page_of"]

_NOT_MOVED = "Rows that are not moved"


def page_of(
    status: Status, rejects: Iterable[LiveReject], steps: Mapping[str, float], *, back: bool, failure: str, verdict: str
) -> ReportPage:
    """Return the page. `failure` says why the switch was not made; it is empty if the `verdict` is that it was."""
    migration = status.migration
    facts = [
        ("migration", f"{migration.direction}, begun {migration.started_at:%Y-%m-%d %H:%M} by {migration.started_by}"),
        ("DynamoDB", f"tables {migration.prefix}_*, {migration.region}"),
        ("phase", migration.phase),
        ("share", f"PostgreSQL owns {status.share:g}% of the actors"),
    ]
    found = _rejects(rejects)
    tables = [_table("Tables", table_rows(status)), _table("Steps", _steps(steps)), _table(_NOT_MOVED, found)]
    tables = [table for table in tables if table.rows]
    level = Level.STOP if failure else Level.WARNING if found else Level.OK
    title = "Rollback to DynamoDB" if back else "Cutover to PostgreSQL"
    notes = ["The page has numbers only: no key and no value of a row."]
    return ReportPage(title, level, f"not made: {failure}" if failure else verdict, facts, tables, notes)


def _steps(steps: Mapping[str, float]) -> Rows:
    return [{"step": name, "time": f"{seconds:.1f} s"} for name, seconds in steps.items()]


def _rejects(rejects: Iterable[LiveReject]) -> Rows:
    groups = Counter((one.key.table, one.reason, str(one.side), one.accepted) for one in rejects)
    return [
        {"table": table, "reason": reason, "rejected by": side, "rows": count, "accepted": "yes" if accepted else "no"}
        for (table, reason, side, accepted), count in sorted(groups.items())
    ]


def _table(title: str, rows: Rows) -> ReportTable:
    headings = tuple(rows[0]) if rows else ()
    return ReportTable(title, headings, [tuple(map(_cell, row.values())) for row in rows])


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, int) else str(value)
