"""The plots of `performance.md`: SVG that is read on light and on dark, and the same for the same figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, StrMethodFormatter

from benchmarks.results import Section

__all__ = ["PLOTS", "draw"]

# Between black and white: each of them can be read on both.
_SPREAD, _LIMIT = "#6e7681", "#d1495b"
_COLOURS = {"floor": "#8b949e", "ours": "#2f81f7", "botocore": "#3f9a4f", "baseline": "#d4792a"}
_KINDS = {
    "read": ("reads of one row", "#2f81f7"),
    "write": ("writes of one row", "#d4792a"),
    "rows": ("many rows", "#3f9a4f"),
}
_GROWTH_TARGET = 1.3
_THOUSANDS = StrMethodFormatter("{x:,.0f}")
_STYLE = Path(__file__).with_suffix(".mplstyle")


def draw(directory: Path, sections: Sequence[Section]) -> None:
    """Write the plots of these sections."""
    for section in sections:
        if section.name in PLOTS:
            file, drawer = PLOTS[section.name]
            with _drawing(directory / f"{file}.svg", 1.0 + 0.3 * len(section.rows) if section.rows else 4.2) as axes:
                drawer(axes, section)


@contextmanager
def _drawing(path: Path, height: float) -> Iterator[Axes]:
    with mpl_style.context(_STYLE):
        drawing = Drawing(figsize=(8, height), layout="constrained")
        yield drawing.add_subplot()
        drawing.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _latency(axes: Axes, section: Section) -> None:
    contenders = [name for name in _COLOURS if any(name in row.times for row in section.rows)]
    thick = 0.8 / len(contenders)
    for number, name in enumerate(contenders):
        found = [(place, row.times[name]) for place, row in enumerate(section.rows) if name in row.times]
        positions = [place + (number - (len(contenders) - 1) / 2) * thick for place, _ in found]
        medians = [figure.median for _, figure in found]
        spread = [[f.median - f.low for _, f in found], [f.high - f.median for _, f in found]]
        axes.barh(positions, medians, thick, color=_COLOURS[name], label=name)
        axes.errorbar(medians, positions, xerr=spread, fmt="none", ecolor=_SPREAD, elinewidth=1)
    axes.set_yticks(range(len(section.rows)), [row.operation for row in section.rows])
    axes.set_ylim(len(section.rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.minorticks_off()
    axes.set_xlabel("µs a call, logarithmic")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(contenders))


def _growth(axes: Axes, section: Section) -> None:
    sizes = [name for name in section.table[0] if name.replace(",", "").isdecimal()]
    actors = [int(size.replace(",", "")) for size in sizes]
    for kind, (label, colour) in _KINDS.items():
        curves = [[row[size] / row[sizes[0]] for size in sizes] for row in section.table if row["kind"] == kind]
        for curve in curves:
            axes.plot(actors, curve, color=colour, linewidth=0.7, alpha=0.35)
        if curves:
            median = [statistics.median(column) for column in zip(*curves, strict=True)]
            axes.plot(actors, median, color=colour, linewidth=2, marker="o", label=label)
    axes.axhline(_GROWTH_TARGET, color=_LIMIT, linestyle="--", linewidth=1, label="target")
    _x_log(axes, actors, sizes, "actors, logarithmic; thin: one operation, thick: their median")
    axes.set_ylabel(f"time / time with {sizes[0]} actors")
    axes.legend(loc="lower left", ncols=2)


def _threads(axes: Axes, section: Section) -> None:
    operations = dict.fromkeys(row["operation"] for row in section.table)
    for operation, marker in zip(operations, "os^v", strict=False):
        rows = [row for row in section.table if row["operation"] == operation]
        for name, line in (("floor", "--"), ("ours", "-")):
            x, y = [row["threads"] for row in rows], [row[name] for row in rows]
            axes.plot(x, y, line, color=_COLOURS[name], marker=marker, label=f"{operation}, {name}")
    threads = sorted({row["threads"] for row in section.table})
    _x_log(axes, threads, [str(count) for count in threads], "threads, each with a connection")
    axes.set_ylabel("operations a second")
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.legend()


def _x_log(axes: Axes, values: list[int], labels: list[str], text: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(values, labels)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(text)


def _migration(axes: Axes, section: Section) -> None:
    table = [row for row in section.table if not row["data"].startswith("items")]
    steps = list(dict.fromkeys(row["step"] for row in table))
    scenarios = list(dict.fromkeys(row["data"] for row in table))
    thick = 0.8 / len(scenarios)
    for number, (name, colour) in enumerate(zip(scenarios, _COLOURS.values(), strict=False)):
        left = (number - (len(scenarios) - 1) / 2) * thick
        rates = {steps.index(row["step"]) + left: row["rows/s"] for row in table if row["data"] == name}
        axes.bar([*rates], [*rates.values()], thick, color=colour, label=name)
    axes.set_xticks(range(len(steps)), steps)
    axes.set_ylabel("rows a second")
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.grid(visible=False, axis="x")
    axes.legend()


PLOTS = {
    "postgresql": ("latency-postgresql", _latency),
    "network": ("latency-network", _latency),
    "dynamodb": ("latency-dynamodb", _latency),
    "growth": ("growth", _growth),
    "threads": ("threads", _threads),
    "migration": ("migration", _migration),
}
