"""Tables of the figures of `make bench-all`, as the pages of the site ask for them."""

import json
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FILE", "table"]

FILE = Path(__file__).parents[1] / "performance" / "bench.json"

_SECTIONS = ("postgresql", "network", "dynamodb")


def table(operations: Iterable[str]) -> str:
    """Return a Markdown table: microseconds of a call on each database, and the capacity units that it takes."""
    results = json.loads(FILE.read_text())
    times = [{row["operation"]: row["times"]["ours"][0] for row in results[name]["rows"]} for name in _SECTIONS]
    units = {row["operation"]: row["capacity"] for row in results["dynamodb"]["table"]}
    lines = [
        "| operation | PostgreSQL, loopback | PostgreSQL, network | DynamoDB Local | DynamoDB, units |",
        "|---|---:|---:|---:|---:|",
    ]
    for operation in operations:
        cells = [f"{of[operation]:,.0f}" for of in times] + [f"{units[operation]:,g}"]
        lines.append(f"| {operation} | {' | '.join(cells)} |")
    return "\n".join(lines)
