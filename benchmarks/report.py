"""What a run found: on the terminal, as JSON and as `performance.md`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.figures import Verdict
from benchmarks.machine import describe_machine
from benchmarks.results import Section

__all__ = ["print_verdicts", "write_report"]


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Print a line for each target."""
    print(f"{'section':<11} {'what':<38} {'measure':<30} {'figure':>9} {'half lie between':>19} {'target':>8}")
    for verdict in verdicts:
        found = verdict.figure
        spread = f"{found.low:.2f} and {found.high:.2f}"
        mark = "" if verdict.met else "  MISSED"
        print(
            f"{verdict.section:<11} {verdict.subject:<38} {verdict.measure:<30} {found.median:>9.2f} {spread:>19} "
            f"{target_of(verdict):>8}{mark}"
        )


def target_of(verdict: Verdict) -> str:
    """Return a target as text."""
    return f"≤ {verdict.most:g}" if verdict.most is not None else f"≥ {verdict.least:g}"


def write_report(docs: Path, sections: list[Section], settings: dict[str, Any]) -> None:
    """Write the JSON file."""
    directory = docs / "performance"
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": describe_machine(),
        "settings": settings,
        "sections": {section.name: section.asdict() for section in sections},
    }
    (directory / "bench.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
