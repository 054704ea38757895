"""The plots of the page: SVG, the same for the same figures."""

import statistics
from pathlib import Path
from typing import Any

import matplotlib.style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, StrMethodFormatter

from benchmarks.results import Section

_STYLE = Path(__file__).with_name("plots.mplstyle")
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


def draw(directory: Path, section: Section) -> None:
    """Write the plot of a section into a directory."""
    name, plot = PLOTS[section.name]
    with mpl_style.context(_STYLE):
        drawing = Drawing(figsize=(8, 1.0 + 0.3 * len(section.rows) if plot is _latency else 4.2), layout="constrained")
        plot(drawing.add_subplot(), section)
        drawing.savefig(
            directory / f"{name}.svg", format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )


def _latency(axes: Axes, section: Section) -> None:
    contenders = [name for name in _COLOURS if any(name in row for row in section.rows)]
    thick = 0.8 / len(contenders)
    for number, name in enumerate(contenders):
        found = [(place, row[name]) for place, row in enumerate(section.rows) if name in row]
        positions = [place + (number - (len(contenders) - 1) / 2) * thick for place, _ in found]
        medians = [figure.median for _, figure in found]
        spread = [[f.median - f.low for _, f in found], [f.high - f.median for _, f in found]]
        axes.barh(positions, medians, thick, color=_COLOURS[name], label=name)
        axes.errorbar(medians, positions, xerr=spread, fmt="none", ecolor=_SPREAD, elinewidth=1)
    axes.set_yticks(range(len(section.rows)), [next(iter(row.values())) for row in section.rows])
    axes.set_ylim(len(section.rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(_THOUSANDS)
    axes.minorticks_off()
    axes.set_xlabel("µs a call, logarithmic")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(contenders))


def _growth(axes: Axes, section: Section) -> None:
    sizes = [name for name in section.rows[0] if name.replace(",", "").isdecimal()]
    actors = [int(size.replace(",", "")) for size in sizes]
    for kind, (label, colour) in _KINDS.items():
        curves = [[row[size] / row[sizes[0]] for size in sizes] for row in section.rows if row["kind"] == kind]
        for curve in curves:
            axes.plot(actors, curve, color=colour, linewidth=0.7, alpha=0.35)
        if curves:
            median = [statistics.median(column) for column in zip(*curves, strict=True)]
            axes.plot(actors, median, color=colour, linewidth=2, marker="o", label=label)
    axes.axhline(_GROWTH_TARGET, color=_LIMIT, linestyle="--", linewidth=1, label="target")
    axes.set_xscale("log")
    axes.set_xticks(actors, sizes)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("actors, logarithmic; thin: one operation, thick: their median")
    axes.set_ylabel(f"time / time with {sizes[0]} actors")
    axes.legend(loc="lower left", ncols=2)


PLOTS: dict[str, Any] = {
    **{name: (f"latency-{name}", _latency) for name in ("postgresql", "dynamodb")},
    "growth": ("growth", _growth),
}
