"""What the sections of the benchmark found: figures, their targets, and the JSON file that keeps them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_machine, note

__all__ = ["Figure", "Row", "Section", "Verdict", "figure", "ratios", "read_sections", "write_sections"]

_ORDER = (
    *("postgresql", "network", "threads", "cold start", "memory", "dynamodb", "requests"),
    *("growth", "growth network", "bulk", "migration", "live"),
)
"""The names of all sections, in the order of the page."""


class Figure(NamedTuple):
    """The median of the rounds, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float


def figure(values: Sequence[float]) -> Figure:
    """Return the median and the quartiles of at least one value."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high)


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Return what the ratio of two contenders was, round by round."""
    return figure([one / other for one, other in zip(numerators, denominators, strict=True)])


@dataclass(frozen=True)
class Verdict:
    """A figure and its target: at least `least`, at most `most`."""

    subject: str
    measure: str
    figure: Figure
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """The bounds as text."""
        bounds = ((self.least, "≥"), (self.most, "≤"))
        return ", ".join(f"{sign} {bound:g}" for bound, sign in bounds if bound is not None)

    @property
    def met(self) -> bool:
        """Whether the median is within its bounds."""
        value = self.figure.median
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Row:
    """One operation: microseconds a call of each contender, and how they compare.

    Attributes:
        ratio: ours to the floor.
        cpu: the same of the client's processor time.
        baseline_ratio: the baseline to ours.
    """

    operation: str
    kind: str
    times: dict[str, Figure]
    ratio: Figure
    cpu: Figure
    baseline_ratio: Figure | None = None


@dataclass
class Section:
    """One part of the report.

    Attributes:
        notes: sentences on how it was measured, or what was left out.
        table: other figures, a row each.
        machine: where and when it was measured.
        settings: how much was measured.
    """

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=describe_machine)
    settings: dict[str, Any] = field(default_factory=dict)

    def add_row(self, row: Row) -> Row:
        """Add and return a row, and print it on stderr."""
        self.rows.append(row)
        note(f"{row.operation:<36} {', '.join(f'{name} {one.median:,.0f}' for name, one in row.times.items())} µs")
        return row

    def judge(
        self, subject: str, measure: str, found: Figure | None, *, least: float | None = None, most: float | None = None
    ) -> None:
        """Compare a figure, if there is one, with its target."""
        if found is not None:
            self.verdicts.append(Verdict(subject, measure, found, least, most))


def read_sections(directory: Path) -> list[Section]:
    """Return the sections that the JSON file in this directory has."""
    path = directory / "bench.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    return [
        Section(**{**one, "rows": _typed(Row, one["rows"]), "verdicts": _typed(Verdict, one["verdicts"])})
        for one in content.values()
    ]


def _typed(kind: Any, rows: list[dict[str, Any]]) -> list[Any]:
    return [kind(**_figures(row)) for row in rows]


def _figures(value: Any) -> Any:
    """Return a value with figures instead of lists."""
    if isinstance(value, dict):
        return {name: _figures(one) for name, one in value.items()}
    return Figure(*value) if isinstance(value, list) else value


def write_sections(directory: Path, sections: Iterable[Section]) -> None:
    """Write these sections into the JSON file, beside those of earlier runs: a row a line, of four digits."""
    measured = {section.name: section for section in [*read_sections(directory), *sections]}
    parts = [f"{json.dumps(name)}: {{\n{_text(measured[name])}\n}}" for name in _ORDER if name in measured]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text("{" + ",\n".join(parts) + "}\n")


def _text(section: Section) -> str:
    values = json.loads(json.dumps(asdict(section)), parse_float=lambda text: float(f"{float(text):.4g}"))
    parts = []
    for name in ("rows", "verdicts", "table"):
        rows = [{key: value for key, value in row.items() if value is not None} for row in values.pop(name)]
        parts.append(f'"{name}": [' + ",".join(f"\n{json.dumps(row, ensure_ascii=False)}" for row in rows) + "]")
    return ",\n".join([json.dumps(values, ensure_ascii=False)[1:-1], *parts])
