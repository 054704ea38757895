"""The report of a validation as a page: counts only, no key and no value."""

from collections.abc import Iterator

from actingweb.migration.jobs.differences import Kind, TableResult, ValidationResult
from actingweb.migration.report_html import Cell, Level, ReportPage, ReportTable

__all__ = ["page_of"]

_MEANINGS = {
    Kind.MISSING: "the source has the row, PostgreSQL does not",
    Kind.EXTRA: "PostgreSQL has the row, the source does not",
    Kind.DIFFERENT: "a column of the row differs; each such column counts",
    Kind.DUPLICATE: "the source has several rows with one key",
    Kind.ORPHAN: "the actor of the row does not exist on the side that has the row",
    Kind.UNREADABLE: "PostgreSQL cannot store the document of the source",
    Kind.LOOK_UP: "a look-up row does not fit the properties, or a look-up has another answer",
}


def page_of(result: ValidationResult, source: str, *, repair: bool, delete_extra: bool) -> ReportPage:
    """Return the page; `source` says what PostgreSQL was compared with."""
    level, verdict = _verdict(result)
    facts = [("source", source), ("target", result.server)]
    if repair:
        facts.append(("repair", "yes, extra rows were deleted" if delete_extra else "yes, extra rows were kept"))
    tables = ReportTable("Tables", ("table", "source", "PostgreSQL", *_COUNTS, "state"), list(_rows(result)))
    kinds = [kind for kind in Kind if any(kind in found.kinds for found in result.tables.values())]
    rows = [
        (kind, sum(found.kinds.get(kind, 0) for found in result.tables.values()), _MEANINGS[kind]) for kind in kinds
    ]
    found = [ReportTable("Differences", ("kind", "number", "meaning"), rows)] if rows else []
    return ReportPage(f"Validation of {result.server}", level, verdict, facts, [tables, *found], list(_notes(result)))


_COUNTS = ("differences", "repaired", "rejected by the import", "accepted")


def _verdict(result: ValidationResult) -> tuple[Level, str]:
    rest = result.differences - result.repaired
    if rest:
        return Level.STOP, f"{rest:,} differences"
    parts = ["0 differences"]
    if result.repaired:
        parts.append(f"{result.repaired:,} were repaired")
    if result.accepted:
        parts.append(f"{result.accepted:,} rows differ and are accepted")
    if result.without_claims:
        parts.append("which actor is found by a value that several actors hold was not compared")
    return (Level.WARNING if len(parts) > 1 else Level.OK), "; ".join(parts)


def _rows(result: ValidationResult) -> Iterator[tuple[Cell, ...]]:
    for table, found in result.tables.items():
        counts = (found.differences, found.repaired, found.rejected, found.accepted)
        yield table, found.source, found.target, *counts, _state(found)


def _state(found: TableResult) -> Level:
    if found.differences > found.repaired:
        return Level.STOP
    return Level.WARNING if found.repaired or found.accepted else Level.OK


def _notes(result: ValidationResult) -> Iterator[str]:
    yield "Every row and every column was compared, in both directions. The page has numbers only: no key and no value."
    for table, names in result.unknown.items():
        yield f"{table}: {sum(names.values()):,} values have no column in PostgreSQL ({len(names):,} attributes)"
