"""Memory: what many calls through a pool of connections leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.figures import figure
from benchmarks.places import PostgresPlaces, dynamodb_in_use, use
from benchmarks.results import Section

__all__ = ["measure"]

_TRACED_MIB, _RESIDENT_MIB = 1.0, 5.0
_SLOWER = 10
"""DynamoDB Local takes about so many times as long."""


def measure(places: PostgresPlaces, calls: int) -> Section:
    """Make so many calls by ten threads, fewer on DynamoDB."""
    section = Section("memory", "Memory after many calls")
    section.notes.append(
        "Ten threads on ten connections, all operations that leave as many rows as they find. Growth is from the end "
        "of the first fifth of the calls to the end of the last; traced is what Python allocated and still holds."
    )
    use(places.environment)
    _judge(section, "postgresql", _samples("postgresql", calls))
    with dynamodb_in_use("memory"):
        _judge(section, "dynamodb", _samples("dynamodb", calls // _SLOWER))
    return section


def _samples(database: str, calls: int) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.memory_steps", database, str(calls)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=os.environ)
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def _judge(section: Section, database: str, samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        row = {name: value if name == "calls" else round(value, 2) for name, value in sample.items()}
        section.table.append({"database": database, **row})
    first, last = samples[0], samples[-1]
    for measure, most in (("traced MiB", _TRACED_MIB), ("resident MiB", _RESIDENT_MIB)):
        subject = f"{database}, {last['calls']:,} calls"
        section.judge(subject, f"growth, {measure}", figure([last[measure] - first[measure]]), most=most)
