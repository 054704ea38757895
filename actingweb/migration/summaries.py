"""What commands say of what they did."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from actingweb.migration.compare import CompareResult
from actingweb.migration.differences import Difference
from actingweb.migration.display import Rows
from actingweb.migration.errors import ExitCode
from actingweb.migration.export import ExportSummary
from actingweb.migration.run import Outcome
from actingweb.migration.tables import CLAIMS
from actingweb.migration.transfer import Summary

__all__ = ["compared", "exported", "loaded"]

_NO_CLAIMS = f"the input has no {' or '.join(form.name for form in CLAIMS)}"
_NOT_COMPARED = f"{_NO_CLAIMS}: which actor answers for a value that several actors hold was not compared"


def exported(summary: ExportSummary, directory: Path) -> Outcome:
    """Return the outcome of an export."""
    rows: Rows = [
        {"table": table, "rows": entry.rows, "bytes": entry.bytes} for table, entry in summary.manifest.tables.items()
    ]
    facts = {"directory": str(directory), "read": summary.read, "missing": summary.missing}
    notes = [f"DynamoDB has no table for {table}; its file is empty" for table in summary.missing]
    return Outcome(ExitCode.OK, rows, facts, (f"{sum(summary.read.values()):,} rows read", *notes))


def loaded(summary: Summary, rejects: Path) -> Outcome:
    """Return the outcome of a load whose reject files are in `rejects`."""
    rows: Rows = [{"table": table, **asdict(counts)} for table, counts in summary.counts.items()]
    facts = {"look_ups": summary.look_ups, "unclaimed": summary.unclaimed, "unknown": summary.unknown}
    facts |= {"missing": list(summary.missing)}
    notes = [_look_ups(summary), *_unknown(summary.unknown)]
    notes += [f"{table} is not in the input, which is fine if there was no such table" for table in summary.missing]
    notes += summary.notes
    warnings = tuple(_warnings(summary))
    if summary.rejected:
        notes.append(f"{summary.rejected:,} rows were rejected: see {rejects}, correct them and use `replay`")
        return Outcome(ExitCode.REJECTS, rows, facts | {"rejects": str(rejects)}, tuple(notes), warnings)
    return Outcome(ExitCode.OK, rows, facts, tuple(notes), warnings)


def _look_ups(summary: Summary) -> str:
    return (
        f"{summary.look_ups:,} look-up rows made, {summary.unclaimed:,} of them for values that nobody claims, "
        "where the smallest actor id answers"
    )


def _warnings(summary: Summary) -> Iterator[str]:
    if summary.without_claims:
        yield (
            f"{_NO_CLAIMS}: where several actors hold the same value of an indexed property, look-ups "
            "answer with the smallest actor id, which may not be the actor that DynamoDB answers with; export again to "
            "keep the answers"
        )
    if summary.names_beside:
        names = ", ".join(map(json.dumps, summary.names_beside))
        yield (
            f"claims of properties that INDEXED_PROPERTIES does not name are kept ({names}), but values that nobody "
            "claims get no look-up row: set it as the application does"
        )


def _unknown(unknown: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{table}: {count:,} rows have {json.dumps(name)}, which PostgreSQL has no column for"
        for table, names in unknown.items()
        for name, count in names.items()
    ]


def compared(result: CompareResult, report: Path) -> Outcome:
    """Return the outcome of a comparison whose report is `report`."""
    rows: Rows = [
        {
            "table": table,
            "source": "" if found.source is None else found.source,
            "PostgreSQL": "" if found.target is None else found.target,
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
        "report": str(report),
    }
    notes = [*map(_line_of, result.first), *_unknown(result.unknown), *_verdict(result, report)]
    code = ExitCode.DIFFERENCES if result.differences else ExitCode.OK
    return Outcome(code, rows, facts, tuple(notes), (_NOT_COMPARED,) if result.without_claims else ())


def _line_of(difference: Difference) -> str:
    fields = difference.fields()
    place = f"{fields.pop('table')} {json.dumps(fields.pop('key'))}"
    rest = [f"{name} {json.dumps(value)}" for name, value in fields.items() if value is not None]
    return f"{place}: {', '.join(rest)}"


def _verdict(result: CompareResult, report: Path) -> list[str]:
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
