"""What runs found: on the terminal, as JSON, as `performance.md` and its plots.

`python -m benchmarks.report [DOCS]` makes the page and the plots again from the JSON files, without measuring.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.figures import Verdict
from benchmarks.page import page
from benchmarks.plots import draw
from benchmarks.results import SECTIONS, Section

__all__ = ["print_verdicts", "read_sections", "rendered", "update_report", "write_pages"]

_DOCS = Path(__file__).parent.parent / "docs"


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Print a line for each target."""
    print(f"{'section':<11} {'what':<38} {'measure':<30} {'figure':>9} {'half lie between':>19} {'target':>8}")
    for verdict in verdicts:
        found = verdict.figure
        spread = f"{found.low:.2f} and {found.high:.2f}"
        mark = "" if verdict.met else "  MISSED"
        print(
            f"{verdict.section:<11} {verdict.subject:<38} {verdict.measure:<30} {found.median:>9.2f} {spread:>19} "
            f"{verdict.target:>8}{mark}"
        )


def update_report(docs: Path, sections: Iterable[Section]) -> None:
    """Write these sections into the JSON file, beside those of earlier runs, and make the page and plots anew."""
    measured = {section.name: section for section in [*read_sections(docs), *sections]}
    content = {name: measured[name].asdict() for name in SECTIONS if name in measured}
    directory = docs / "performance"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text(json.dumps({"sections": content}, indent=1, ensure_ascii=False) + "\n")
    write_pages(docs)


def read_sections(docs: Path) -> list[Section]:
    """Return the sections that the JSON file has."""
    content = _json(docs / "performance" / "bench.json") or {"sections": {}}
    return [Section.fromdict(section) for section in content["sections"].values()]


def rendered(docs: Path) -> str:
    """Return the page that the JSON files give, with what a person wrote about missed targets at its end."""
    measured = page(read_sections(docs), _json(docs / "performance" / "migration.json"))
    missed = docs / "performance" / "missed.md"
    return f"{measured.rstrip()}\n\n{missed.read_text()}" if missed.exists() else measured


def write_pages(docs: Path) -> None:
    """Write the page and the plots that the JSON files give."""
    (docs / "performance.md").write_text(rendered(docs))
    draw(docs / "performance", read_sections(docs), _json(docs / "performance" / "migration.json"))


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]) if len(sys.argv) > 1 else _DOCS)
