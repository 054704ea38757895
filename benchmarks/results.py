"""What the sections of the benchmark found: figures, their targets, and the JSON file that keeps them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_machine, note

__all__ = ["SECTIONS", "Figure", "Row", "Section", "Verdict", "figure", "ratios", "read_sections", "write_sections"]

SECTIONS = (
    "postgresql",
    "network",
    "threads",
    "cold start",
    "memory",
    "dynamodb",
    "requests",
    "growth",
    "growth network",
    "bulk",
    "migration",
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
    return [_section(values) for values in content.values()]


def _section(values: dict[str, Any]) -> Section:
    rows = [Row(**_figures(row)) for row in values["rows"]]
    return Section(**{**values, "rows": rows, "verdicts": [Verdict(**_figures(one)) for one in values["verdicts"]]})


def _figures(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with figures instead of lists, also one level down."""
    return {
        name: Figure(*value) if isinstance(value, list) else _figures(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def write_sections(directory: Path, sections: Iterable[Section]) -> None:
    """Write these sections into the JSON file, beside those of earlier runs: a row a line, of four digits."""
    measured = {section.name: section for section in [*read_sections(directory), *sections]}
    parts = [f"{json.dumps(name)}: {{\n{_text(measured[name])}\n}}" for name in SECTIONS if name in measured]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text("{" + ",\n".join(parts) + "}\n")


def _text(section: Section) -> str:
    values = json.loads(json.dumps(asdict(section)), parse_float=lambda text: float(f"{float(text):.4g}"))
    lists = {name: values.pop(name) for name in ("rows", "verdicts", "table")}
    parts = [f"{_line(name)}: [{','.join(map(_row, rows))}]" for name, rows in lists.items()]
    return ",\n".join([_line(values)[1:-1], *parts])


def _row(row: dict[str, Any]) -> str:
    return "\n" + _line({name: value for name, value in row.items() if value is not None})


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
