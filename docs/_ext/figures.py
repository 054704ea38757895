"""Tables of the figures of `make bench-all`, as the pages of the site ask for them."""

import json
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FILE", "table"]

FILE = Path(__file__).parents[1] / "performance" / "bench.json"

_SECTIONS = {"postgresql": "PostgreSQL, loopback", "network": "PostgreSQL, network", "dynamodb": "DynamoDB Local"}


def table(operations: Iterable[str]) -> str:
    """Return a Markdown table of the median microseconds that a call takes on each database."""
    results = json.loads(FILE.read_text())
    medians = [{row["µs a call"]: row["ours"][0] for row in results[name]["rows"]} for name in _SECTIONS]
    lines = [f"| operation | {' | '.join(_SECTIONS.values())} |", f"|---|{'---:|' * len(_SECTIONS)}"]
    for operation in operations:
        lines.append(f"| {operation} | {' | '.join(f'{of[operation]:,.0f}' for of in medians)} |")
    return "\n".join(lines)
