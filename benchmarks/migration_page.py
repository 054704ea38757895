"""The part of `performance.md` on the migration, made from what `make bench-migration` wrote."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.tables import number, table

__all__ = ["MIGRATION_PLOT", "SCENARIOS", "migration_lines", "rates"]

SCENARIOS = {"tenth": "a tenth of the rows", "whole": "all rows", "large": "items of up to 400 KB"}
MIGRATION_PLOT = "migration"
_HEAD = """\
## Migration

`make bench-migration`: each step is a process of its own, on the same generated rows. Import and validate are measured
beside a plain COPY of the same rows into the same tables, keys and indexes on; export and copy beside a bare parallel
scan by boto3. DynamoDB Local slows down with its size, so the steps that read it get fewer rows."""


def rates(measurements: list[dict[str, float]]) -> list[float]:
    """Return the rows a second of each run."""
    return [one["rows"] / one["seconds"] for one in measurements]


def migration_lines(migration: dict[str, Any]) -> Iterator[str]:
    """Yield the lines."""
    yield from (_HEAD, "", f"![Rows a second of each step](performance/{MIGRATION_PLOT}.svg)", "")
    yield from table(["what", "target", "figure", "met"], [_verdict(verdict) for verdict in migration["verdicts"]])
    yield ""
    heads = ["data", "step", "rows", "rows/s", "least", "most", "peak MiB"]
    yield from table(
        heads,
        [
            [SCENARIOS[name], step, *_figures(measurements)]
            for name, steps in migration["scenarios"].items()
            for step, measurements in steps.items()
        ],
    )


def _verdict(verdict: dict[str, Any]) -> list[str]:
    bounds = ((verdict["least"], "≥"), (verdict["most"], "≤"))
    target = ", ".join(f"{sign} {bound:g}" for bound, sign in bounds if bound is not None)
    return [verdict["what"], target, number(verdict["figure"]), "yes" if verdict["met"] else "**no**"]


def _figures(measurements: list[dict[str, float]]) -> list[str]:
    found = rates(measurements)
    peak = max(one["mib"] for one in measurements)
    return [
        number(value) for value in (measurements[0]["rows"], statistics.median(found), min(found), max(found), peak)
    ]
