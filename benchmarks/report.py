"""What runs found: on the terminal, as JSON, and as `performance.md` with its plots.

The text of the page is `benchmarks/performance.md.in`. Plots are SVG, the same for the same figures.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style as mpl_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, StrMethodFormatter

from benchmarks.results import Figure, Section, Verdict, read_sections, write_sections

__all__ = ["print_verdicts", "rendered", "update_report", "write_pages"]

_TEXT = Path(__file__).with_name("performance.md.in")
_STYLE = Path(__file__).with_name("plots.mplstyle")
_PART = re.compile(r"<!-- (machine|plot|targets|missed|notes|times|table)(?: ([\w ]+?))?(?:: ([^>]+?))? -->")
_NUMBERS = re.compile(r"([≤≥–, -]*\d[\d,.]*)*")
_TYPICAL = ("property get", "property set", "reverse look-up, hit", "trust list of 20", "actor with 1,000 rows deleted")
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


def print_verdicts(sections: Iterable[Section]) -> int:
    """Print a line for each target, and return how many are missed."""
    print(f"{'section':<15} {'what':<38} {'measure':<42} {'figure':>9} {'half lie between':>19} {'target':>8}")
    verdicts = [(section.name, verdict) for section in sections for verdict in section.verdicts]
    for name, verdict in verdicts:
        found = verdict.figure
        line = f"{name:<15} {verdict.subject:<38} {verdict.measure:<42} {found.median:>9.2f}"
        spread = f"{found.low:.2f} and {found.high:.2f}"
        print(f"{line} {spread:>19} {verdict.target:>8}{'' if verdict.met else '  MISSED'}")
    missed = sum(not verdict.met for _, verdict in verdicts)
    print(f"\n{len(verdicts)} targets, {missed} missed")
    return missed


def update_report(docs: Path, sections: Iterable[Section]) -> None:
    """Write these sections into the JSON file, beside those of earlier runs, and make the page and plots anew."""
    write_sections(docs / "performance", sections)
    write_pages(docs)


def write_pages(docs: Path) -> None:
    """Write the page and the plots that the JSON file gives."""
    (docs / "performance.md").write_text(rendered(docs))
    for section in read_sections(docs / "performance"):
        if section.name in _PLOTS:
            _draw(docs / "performance" / f"{_PLOTS[section.name][0]}.svg", section)


def rendered(docs: Path) -> str:
    """Return the page that the JSON file gives."""
    sections = {section.name: section for section in read_sections(docs / "performance")}

    def part(found: re.Match[str]) -> str:
        kind, name, more = found.groups()
        chosen = [sections[name]] if name in sections else [] if name else [*sections.values()]
        return "\n".join(_PARTS[kind](chosen, *([more.split("; ")] if more else ())))

    return _PART.sub(part, _TEXT.read_text())


def _machine(sections: Sequence[Section]) -> list[str]:
    machines: dict[tuple[str, ...], list[str]] = {}
    for section in sections:
        machines.setdefault(tuple(section.machine.values()), []).append(section.name)
    heads = [*(sections[0].machine if sections else ()), "sections"]
    return _lines(heads, [[*values, ", ".join(names)] for values, names in machines.items()])


def _groups(sections: Sequence[Section], *, missed: bool = False) -> list[tuple[tuple[str, str, str], list[Verdict]]]:
    """Return the verdicts of each section, measure and target; with `missed` only those."""
    groups: dict[tuple[str, str, str], list[Verdict]] = {}
    for section in sections:
        for verdict in section.verdicts:
            if not (missed and verdict.met):
                groups.setdefault((section.name, verdict.measure, verdict.target), []).append(verdict)
    return list(groups.items())


def _targets(sections: Sequence[Section]) -> list[str]:
    """Return a row for each measure and target; the operations that it holds for are counted."""
    rows: list[list[Any]] = []
    for group, found in _groups(sections):
        values = sorted(verdict.figure.median for verdict in found)
        rows.append([*group, len(found), sum(verdict.met for verdict in found), values[0], values[-1]])
    total = [sum(row[column] for row in rows) for column in (3, 4)]
    return _lines(["section", "measure", "target", "targets", "met", "least", "most"], [*rows, ["all", "", "", *total]])


def _plot(sections: Sequence[Section], text: Sequence[str]) -> list[str]:
    return [f"![{text[0]}](performance/{_PLOTS[section.name][0]}.svg)" for section in sections]


def _missed(sections: Sequence[Section]) -> list[str]:
    rows = [
        [*group, "; ".join(f"{one.subject} {_cell(one.figure)} ({_spread(one.figure)})" for one in found)]
        for group, found in _groups(sections, missed=True)
    ]
    heads = ["section", "measure", "target", "missed by: median (half lie between)"]
    return _lines(heads, rows) if rows else ["None."]


def _notes(sections: Sequence[Section]) -> list[str]:
    quick = " A quick run, for a look only." if any(section.settings.get("quick") for section in sections) else ""
    return [" ".join(note for section in sections for note in section.notes) + quick]


def _times(sections: Sequence[Section]) -> list[str]:
    rows = [row for section in sections for row in section.rows if row.operation in _TYPICAL]
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    heads = ["µs a call", *names, "half of ours lie between", "ours / floor", "baseline / ours"]
    return _lines(
        heads,
        [
            [row.operation, *map(row.times.get, names), _spread(row.times["ours"]), row.ratio, row.baseline_ratio]
            for row in rows
        ],
    )


def _table(sections: Sequence[Section], only: Sequence[str] = ()) -> list[str]:
    """Return the section's other figures; with `only` the rows that have one of these texts."""
    rows = [row for section in sections for row in section.table]
    rows = [row for row in rows if not only or {str(value) for value in row.values()} & {*only}]
    heads = list(dict.fromkeys(name for row in rows for name in row))
    return _lines(heads, [[row.get(head) for head in heads] for row in rows])


_PARTS: dict[str, Any] = {
    "machine": _machine,
    "plot": _plot,
    "targets": _targets,
    "missed": _missed,
    "notes": _notes,
    "times": _times,
    "table": _table,
}


def _lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the lines of a table; a column of numbers stands to the right."""
    body = [[_cell(value) for value in [*row, *[""] * (len(heads) - len(row))]] for row in rows]
    right = [all(not row[column] or _NUMBERS.fullmatch(row[column]) for row in body) for column in range(len(heads))]
    return [f"| {' | '.join(line)} |" for line in (heads, ["---:" if one else "---" for one in right], *body)]


def _spread(found: Figure) -> str:
    return f"{_cell(found.low)} – {_cell(found.high)}"


def _cell(value: Any) -> str:
    """Return a value as the text of a cell: of a figure the median, of a number as many digits as it is worth."""
    if value is None or isinstance(value, str):
        return (value or "").replace("|", "\\|")
    number = value.median if isinstance(value, Figure) else value
    if abs(number) >= 100 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def _draw(path: Path, section: Section) -> None:
    with mpl_style.context(_STYLE):
        height = 1.0 + 0.3 * len(section.rows) if section.rows else 4.2
        drawing = Drawing(figsize=(8, height), layout="constrained")
        _PLOTS[section.name][1](drawing.add_subplot(), section)
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


_PLOTS: dict[str, Any] = {
    **{name: (f"latency-{name}", _latency) for name in ("postgresql", "network", "dynamodb")},
    "growth": ("growth", _growth),
    "threads": ("threads", _threads),
    "migration": ("migration", _migration),
}
