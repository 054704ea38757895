"""Requests to DynamoDB and round trips to PostgreSQL of each operation, beside what the contract allows.

`make bench-requests` prints them and ends with 1 if a limit is exceeded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from benchmarks.results import Section, figure
from benchmarks.servers import dynamodb_in_use, postgres_server, use
from testbed.operations.calls import load_classes
from testbed.operations.counted import COUNTED
from testbed.recorder import recorded_requests, recorded_trips

__all__ = ["main", "measure"]

# A statement that has run five times is prepared, which must not cost a round trip either.
_ROUNDS = {"dynamodb": 2, "postgresql": 8}


def _counts(database: str, taken: Callable[[], Sequence[object]]) -> dict[str, int]:
    """Return the most that any round of each operation sent."""
    counts = {}
    for legacy in (False, True):
        if legacy:
            use({"USE_PROPERTY_LOOKUP_TABLE": "no", "AWS_DB_PREFIX": f"{os.environ.get('AWS_DB_PREFIX')}legacy"})
        db = load_classes(database, lookup=not legacy)
        for operation in COUNTED:
            if operation.legacy == legacy:
                counts[operation.name] = max(operation.count(db, taken) for _ in range(_ROUNDS[database]))
    return counts


def measure() -> Section:
    """Count what each operation sends."""
    section = Section("requests", "Requests and round trips per operation")
    with dynamodb_in_use("requests"), recorded_requests() as requests:
        dynamodb = _counts("dynamodb", requests)
    with postgres_server(), recorded_trips() as trips:
        postgresql = _counts("postgresql", trips)
    for one in COUNTED:
        row = {"operation": one.name, "dynamodb": dynamodb[one.name], "dynamodb limit": one.dynamodb}
        section.table.append({**row, "postgresql": postgresql[one.name], "postgresql limit": one.postgresql})
    for database in _ROUNDS:
        over = sum(row[database] > row[f"{database} limit"] for row in section.table)
        section.judge(f"{len(COUNTED)} operations on {database}", "over the contract's limit", figure([over]), most=0)
    return section


def main() -> int:
    """Print the table and return the exit status."""
    section = measure()
    print(f"{'operation':<50} {'DynamoDB':>10} {'limit':>6} {'PostgreSQL':>11} {'limit':>6}")
    for operation, requests, most, trips, most_trips in (row.values() for row in section.table):
        mark = "  EXCEEDED" if requests > most or trips > most_trips else ""
        print(f"{operation:<50} {requests:>10} {most:>6} {trips:>11} {most_trips:>6}{mark}")
    exceeded = sum(int(verdict.figure.median) for verdict in section.verdicts)
    print(f"{len(COUNTED)} operations, {exceeded} limits exceeded")
    return int(exceeded > 0)
