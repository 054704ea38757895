"""What runs found: on the terminal, and from the JSON file in `performance.md` with its plots.

In the page, what follows a comment as `<!-- table NAME -->`, to the next empty line, is made of the figures.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plots import PLOTS, draw
from benchmarks.results import Figure, Section, Target, operands, read_sections, text, write_sections

_PART = re.compile(
    r"(<!-- (machine|plot|targets|notes|table)(?: ([\w ]+?))?(?:: ([^>]+?))? -->).*?(?=\n\n|\n*\Z)", re.S
)
_NUMBERS = re.compile(r"([≤≥–, -]*\d[\d,.]*)*")
_SPREAD = "half of ours lie between"


def print_sections(sections: Iterable[Section]) -> int:
    """Print the rows of sections, then the targets beside the floors; return how many are missed."""
    marks: list[str] = []
    for section in sections:
        print(f"\n{section.title}\n")
        _print_table(*_table_of(section.rows, hidden=()))
        lines = [_verdict(section, target, subject) for target in section.targets for subject in target.figures]
        marks += [line[5] for line in lines]
        if lines:
            print()
            _print_table(["what", "measure", "figure", "half lie between", "target", "", "compared"], sorted(lines))
    print(f"\n{len(marks)} targets: {marks.count('met')} met, {marks.count('NOT MET')} not met.")
    return marks.count("NOT MET")


def _verdict(section: Section, target: Target, subject: str) -> list[str]:
    """Return the cells of a line on a target, the last with the times of the contenders that its measure names."""
    found, mark = target.figures[subject], "met" if target.is_met(subject) else "NOT MET"
    row = next((row for row in section.rows if next(iter(row.values())) == subject), {})
    prefix, one, _, other = operands(target.measure)
    compared = ", ".join(f"{name} {text(row[prefix + name])}" for name in (one, other) if prefix + name in row)
    return [subject, target.measure, f"{found.median:.2f}", found.spread, target.bounds, mark, compared]


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = [list(heads), *(list(map(text, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_pages(docs: Path, sections: Sequence[Section] = ()) -> None:
    """Add these sections to the JSON file, beside those of earlier runs; write the page and the plots that it gives."""
    if sections:
        write_sections(docs / "performance", sections)
    (docs / "performance.md").write_text(rendered(docs))
    for section in read_sections(docs / "performance"):
        if section.name in PLOTS:
            draw(docs / "performance", section)


def rendered(docs: Path) -> str:
    """Return the page with the figures of the JSON file."""
    sections = {section.name: section for section in read_sections(docs / "performance")}

    def part(found: re.Match[str]) -> str:
        comment, kind, name, more = found.groups()
        chosen = [sections[name]] if name in sections else [] if name else [*sections.values()]
        made = "\n".join(_PARTS[kind](chosen, more or ""))
        # At the beginning of a line, Markdown takes the rest of the line for a part of the comment.
        space = "\n" if found.string[found.start() - 1] == "\n" else " "
        return f"{comment}{space}{made}" if made else comment

    return _PART.sub(part, (docs / "performance.md").read_text())


def _machine(sections: Sequence[Section], _: str) -> list[str]:
    """Return a sentence for each machine and day."""
    machines: dict[str, list[str]] = {}
    for section in sections:
        machines.setdefault(", ".join(section.machine.values()), []).append(section.name)
    return [" ".join(f"{machine}: {', '.join(names)}." for machine, names in machines.items())]


def _targets(sections: Sequence[Section], _: str) -> list[str]:
    """Return a row for each measure and target; what it holds for is counted, what misses it is named."""
    rows: list[list[Any]] = []
    for section in sections:
        for one in section.targets:
            values = sorted(found.median for found in one.figures.values())
            missed = [f"{subject} {text(found)} ({found.spread})" for subject, found in one.missed().items()]
            counts = [len(values), len(values) - len(missed), values[0], values[-1]]
            rows.append([section.name, one.measure, one.bounds, *counts, "; ".join(missed)])
    total = [sum(row[column] for row in rows) for column in (3, 4)]
    heads = ["section", "measure", "target", "targets", "met", "least", "most", "missed by (half lie between)"]
    return _lines(heads, [*rows, ["all", "", "", *total, "", "", ""]])


def _notes(sections: Sequence[Section], _: str) -> list[str]:
    quick = [" A quick run, for a look only."] * any(section.settings.get("quick") for section in sections)
    return [" ".join([*(note for section in sections for note in section.notes), *quick])]


def _plot(sections: Sequence[Section], title: str) -> list[str]:
    return [f"![{title}](performance/{PLOTS[section.name][0]}.svg)" for section in sections]


def _table(sections: Sequence[Section], only: str) -> list[str]:
    """Return a section's rows; with `only`, texts with semicolons between, those that have one of them."""
    chosen = {*only.split("; ")} if only else set()
    rows = [row for section in sections for row in section.rows]
    rows = [row for row in rows if not chosen or {str(value) for value in row.values()} & chosen]
    return _lines(*_table_of(rows, hidden=("CPU ",))) if rows else []


_PARTS: dict[str, Any] = {
    "machine": _machine,
    "targets": _targets,
    "notes": _notes,
    "plot": _plot,
    "table": _table,
}


def _table_of(rows: Sequence[dict[str, Any]], hidden: tuple[str, ...]) -> tuple[list[str], list[list[Any]]]:
    """Return the heads and the lines of a table; beside our figures it has their spread."""
    lines = []
    for row in rows:
        line = {}
        for name, value in row.items():
            if not name.startswith(hidden):
                line[name] = value
            if name == "ours" and isinstance(value, Figure):
                line[_SPREAD] = value.spread
        lines.append(line)
    heads = sorted(dict.fromkeys(name for line in lines for name in line), key=lambda name: name.startswith("CPU "))
    return heads, [[line.get(head) for head in heads] for line in lines]


def _lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the Markdown of a table; a column of numbers stands to the right."""
    body = [[text(value).replace("|", "\\|") for value in row] for row in rows]
    right = [all(not row[column] or _NUMBERS.fullmatch(row[column]) for row in body) for column in range(len(heads))]
    return [f"| {' | '.join(line)} |" for line in (heads, ["---:" if one else "---" for one in right], *body)]
