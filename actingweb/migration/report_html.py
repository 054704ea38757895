"""A report as one HTML page to hand to whoever has to approve: no script, nothing to load, no stored value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from html import escape
from pathlib import Path
from string import Template

from actingweb.db.version import __version__
from actingweb.migration.errors import UsageError
from actingweb.migration.private_files import open_private

__all__ = ["Level", "ReportPage", "ReportTable", "is_html", "require_html", "write_page"]


class Level(StrEnum):
    """How a verdict or a finding is judged."""

    OK = "ok"
    WARNING = "warning"
    STOP = "stops you"


Cell = str | int | Level | None
"""Text, a number, a judgement, or None for an empty cell."""


@dataclass(frozen=True)
class ReportTable:
    """A table of the page; every row has a cell for each heading."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class ReportPage:
    """What the page says. The caller passes no stored value and no secret.

    Attributes:
        title: the command and what it looked at.
        level, verdict: the judgement, and the sentence that explains it.
        facts: where, with which options and which versions, as label and text; time and version of the tool are added.
        notes: sentences below the tables.
    """

    title: str
    level: Level
    verdict: str
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[ReportTable] = ()
    notes: Sequence[str] = ()
    written_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def html(self) -> str:
        """Return the page."""
        facts = [("written", f"{self.written_at:%Y-%m-%d %H:%M:%S} UTC"), *self.facts, ("tool", _TOOL)]
        return _PAGE.substitute(
            title=escape(self.title),
            level=_class_of(self.level),
            judgement=escape(self.level),
            verdict=escape(self.verdict),
            facts="".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>\n" for label, text in facts),
            tables="".join(map(_table, self.tables)),
            notes="".join(f"<p>{escape(note)}</p>\n" for note in self.notes),
        )


def is_html(path: Path) -> bool:
    """Tell whether a report is to be a page, by its name."""
    return path.suffix.lower() in (".html", ".htm")


def require_html(path: Path | None) -> None:
    """Raise `UsageError` if a page is wanted under a name that no browser opens as one."""
    if path is not None and not is_html(path):
        raise UsageError(f"--report: the page has to be NAME.html, not {path}")


def write_page(path: Path, page: ReportPage) -> None:
    """Write a page, which only its owner may read. Raise `OSError`."""
    with open_private(path) as file:
        file.write(page.html().encode())


def _table(table: ReportTable) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in table.headings)
    rows = "".join(f"<tr>{_cells(row)}</tr>\n" for row in table.rows)
    return (
        f"<h2>{escape(table.title)}</h2>\n<div class=scroll><table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _cells(row: Iterable[Cell]) -> str:
    return "".join(map(_cell, row))


def _cell(value: Cell) -> str:
    if isinstance(value, Level):
        return f"<td><span class={_class_of(value)}>{escape(value)}</span></td>"
    if isinstance(value, int):
        return f"<td class=number>{value:,}</td>"
    return f"<td>{escape(value or '')}</td>"


def _class_of(level: Level) -> str:
    return level.name.lower()


_TOOL = f"actingweb-db {__version__}"
_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5b626b; --page: #fff; --line: #d6dae0; --band: #f5f6f8;
  --ok: #0a6b35; --warning: #8a5300; --stop: #b3201c; }
@media (prefers-color-scheme: dark) { :root { --text: #e7e9ec; --soft: #a3abb5; --page: #15171a; --line: #3a4048;
  --band: #1e2125; --ok: #5fd08c; --warning: #f0b355; --stop: #ff8a80; } }
@media print { :root { color-scheme: light; --text: #000; --soft: #444; --page: #fff; --line: #bbb; --band: #fff;
  --ok: #0a6b35; --warning: #8a5300; --stop: #b3201c; }
  body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--page); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.verdict { border: 1px solid var(--line); border-left: .4rem solid; padding: .6rem 1rem; font-size: 1.1rem; }
.verdict b, .ok, .warning, .stop { font-weight: 600; }
.ok { color: var(--ok); } .warning { color: var(--warning); } .stop { color: var(--stop); }
.verdict span { color: var(--text); font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--band); } .number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="verdict $level"><b>$judgement</b> <span>$verdict</span></p>
<dl>
$facts</dl>
$tables$notes</body>
</html>
""")
