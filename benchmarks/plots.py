"""The plots of `performance.md`: SVG that is read on light and on dark, and the same for the same figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, StrMethodFormatter

from benchmarks.migration_page import MIGRATION_PLOT, SCENARIOS, rates
from benchmarks.page import PLOTS
from benchmarks.results import Row, Section

__all__ = ["draw"]

# Between black and white: each of them can be read on both.
_TEXT, _GRID, _SPREAD = "#7d8590", "#7d859055", "#6e7681"
_COLOURS = {"floor": "#8b949e", "ours": "#2f81f7", "peer": "#d4792a"}
_KINDS = {"read": "#2f81f7", "write": "#d4792a", "rows": "#3f9a4f"}
_KIND_NAMES = {"read": "reads of one row", "write": "writes of one row", "rows": "many rows"}
_LIMIT = "#d1495b"
_GROWTH_TARGET = 1.3
_THOUSANDS = StrMethodFormatter("{x:,.0f}")
_STYLE: Any = {
    "svg.hashsalt": "actingweb",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(directory: Path, sections: Sequence[Section], migration: dict[str, Any] | None) -> None:
    """Write the plots of these sections, and of what `make bench-migration` wrote, if it has."""
    for section in sections:
        if section.name in PLOTS:
            with _drawing(directory / f"{PLOTS[section.name][0]}.svg", _height(section)) as axes:
                _DRAWERS.get(section.name, _latency)(axes, section)
    if migration is not None:
        with _drawing(directory / f"{MIGRATION_PLOT}.svg", 3.6) as axes:
            _migration(axes, migration)


def _height(section: Section) -> float:
    return 1.0 + 0.3 * len(section.rows) if section.rows else 4.2


@contextmanager
def _drawing(path: Path, height: float) -> Iterator[Axes]:
    with mpl.rc_context(_STYLE):
        drawing = Drawing(figsize=(8, height), layout="constrained")
        yield drawing.add_subplot()
        drawing.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _latency(axes: Axes, section: Section) -> None:
    contenders = [name for name in _COLOURS if any(getattr(row, name) for row in section.rows)]
    thick = 0.8 / len(contenders)
    for number, name in enumerate(contenders):
        rows = [(place, row) for place, row in enumerate(section.rows) if getattr(row, name)]
        places = [place + (number - (len(contenders) - 1) / 2) * thick for place, _ in rows]
        medians, spread = _bars([row for _, row in rows], name)
        axes.barh(places, medians, thick, color=_COLOURS[name], label=name)
        axes.errorbar(medians, places, xerr=spread, fmt="none", ecolor=_SPREAD, elinewidth=1)
    axes.set_yticks(range(len(section.rows)), [row.operation for row in section.rows])
    axes.set_ylim(len(section.rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.minorticks_off()
    axes.set_xlabel("µs a call, logarithmic")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(contenders))


def _bars(rows: Sequence[Row], contender: str) -> tuple[list[float], list[list[float]]]:
    figures = [getattr(row, contender) for row in rows]
    low = [figure.median - figure.low for figure in figures]
    high = [figure.high - figure.median for figure in figures]
    return [figure.median for figure in figures], [low, high]


def _growth(axes: Axes, section: Section) -> None:
    sizes = [name for name in section.table[0] if name.replace(",", "").isdecimal()]
    actors = [int(size.replace(",", "")) for size in sizes]
    curves: dict[str, list[list[float]]] = {kind: [] for kind in _KINDS}
    for row in section.table:
        curve = [row[size] / row[sizes[0]] for size in sizes]
        curves[row["kind"]].append(curve)
        axes.plot(actors, curve, color=_KINDS[row["kind"]], linewidth=0.7, alpha=0.35)
    for kind, found in curves.items():
        if found:
            median = [statistics.median(column) for column in zip(*found, strict=True)]
            axes.plot(actors, median, color=_KINDS[kind], linewidth=2, marker="o", label=_KIND_NAMES[kind])
    axes.axhline(_GROWTH_TARGET, color=_LIMIT, linestyle="--", linewidth=1, label="target")
    axes.set_xscale("log")
    axes.set_xticks(actors, sizes)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("actors, logarithmic; thin: one operation, thick: their median")
    axes.set_ylabel(f"time / time with {sizes[0]} actors")
    axes.legend(loc="lower left", ncols=2)


def _threads(axes: Axes, section: Section) -> None:
    operations = dict.fromkeys(row["operation"] for row in section.table)
    for operation, marker in zip(operations, "os^v", strict=False):
        rows = [row for row in section.table if row["operation"] == operation]
        for name, line in (("floor", "--"), ("ours", "-")):
            rate = [row[name] for row in rows]
            label = f"{operation}, {name}"
            axes.plot([row["threads"] for row in rows], rate, line, color=_COLOURS[name], marker=marker, label=label)
    threads = sorted({row["threads"] for row in section.table})
    axes.set_xscale("log")
    axes.set_xticks(threads, [str(count) for count in threads])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("threads, each with a connection")
    axes.set_ylabel("operations a second")
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.legend()


def _migration(axes: Axes, migration: dict[str, Any]) -> None:
    scenarios = {name: steps for name, steps in migration["scenarios"].items() if name != "large"}
    steps = list(dict.fromkeys(step for found in scenarios.values() for step in found))
    thick = 0.8 / len(scenarios)
    for number, (name, found) in enumerate(scenarios.items()):
        left = (number - (len(scenarios) - 1) / 2) * thick
        places = [place + left for place, step in enumerate(steps) if step in found]
        medians = [statistics.median(rates(found[step])) for step in steps if step in found]
        colour = list(_COLOURS.values())[number % len(_COLOURS)]
        axes.bar(places, medians, thick, color=colour, label=SCENARIOS[name])
    axes.set_xticks(range(len(steps)), steps)
    axes.set_ylabel("rows a second")
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.grid(visible=False, axis="x")
    axes.legend()


_DRAWERS = {"growth": _growth, "threads": _threads}
