"""What runs found: on the terminal, as JSON, and as `performance.md`, whose text is `benchmarks/performance.md.in`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plots import PLOTS, draw
from benchmarks.results import Figure, Section, Verdict, read_sections, write_sections

__all__ = ["print_verdicts", "rendered", "update_report", "write_pages"]

_TEXT = Path(__file__).parent / "performance.md.in"
_PART = re.compile(r"<!-- (machine|plot|targets|missed|notes|times|table)(?: ([\w ]+?))?(?:: ([^>]+?))? -->")
_NUMBERS = re.compile(r"([≤≥–, -]*\d[\d,.]*)*")
_TYPICAL = (
    "actor get",
    "property get",
    "property set",
    "reverse look-up, hit",
    "trust get by token",
    "actor with 1,000 rows deleted",
)


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
    draw(docs / "performance", read_sections(docs / "performance"))


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


def _targets(sections: Sequence[Section]) -> list[str]:
    """Return a row for each measure and target; the operations that it holds for are counted."""
    rows: list[list[Any]] = []
    for section in sections:
        groups: dict[tuple[str, str], list[Verdict]] = {}
        for verdict in section.verdicts:
            groups.setdefault((verdict.measure, verdict.target), []).append(verdict)
        for (measure, target), found in groups.items():
            values = sorted(verdict.figure.median for verdict in found)
            counts = [len(found), sum(verdict.met for verdict in found)]
            rows.append([section.name, measure, target, *counts, values[0], values[-1]])
    total = [sum(row[column] for row in rows) for column in (3, 4)]
    return _lines(["section", "measure", "target", "targets", "met", "least", "most"], [*rows, ["all", "", "", *total]])


def _plot(sections: Sequence[Section], text: Sequence[str]) -> list[str]:
    return [f"![{text[0]}](performance/{PLOTS[section.name][0]}.svg)" for section in sections]


def _missed(sections: Sequence[Section]) -> list[str]:
    rows = [
        [section.name, verdict.subject, verdict.measure, verdict.target, verdict.figure, _spread(verdict.figure)]
        for section in sections
        for verdict in section.verdicts
        if not verdict.met
    ]
    return _lines(["section", "what", "measure", "target", "median", "half lie between"], rows) if rows else ["None."]


def _notes(sections: Sequence[Section]) -> list[str]:
    quick = " A quick run, for a look only." if any(section.settings.get("quick") for section in sections) else ""
    return [" ".join(note for section in sections for note in section.notes) + quick]


def _times(sections: Sequence[Section]) -> list[str]:
    rows = [row for section in sections for row in section.rows if row.operation in _TYPICAL]
    names = list(dict.fromkeys(name for row in rows for name in row.times))
    values = [
        [
            row.operation,
            *(row.times.get(name) for name in names),
            _spread(row.times["ours"]),
            row.ratio,
            row.baseline_ratio,
        ]
        for row in rows
    ]
    return _lines(["µs a call", *names, "half of ours lie between", "ours / floor", "baseline / ours"], values)


def _table(sections: Sequence[Section], only: Sequence[str] = ()) -> list[str]:
    """Return the section's other figures; with `only` the rows that have one of these texts."""
    rows = [
        row
        for section in sections
        for row in section.table
        if not only or {str(value) for value in row.values()} & {*only}
    ]
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
