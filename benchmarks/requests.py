"""Requests to DynamoDB and round trips to PostgreSQL of each operation, beside what the contract allows."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.results import Section, Sizes
from testbed.operations.calls import load_classes
from testbed.operations.counted import COUNTED
from testbed.provisioning import tables_of, use
from testbed.recorder import recorded_requests, recorded_trips

# A statement that has run five times is prepared, which must not cost a round trip either.
_ROUNDS = {"dynamodb": 2, "postgresql": 8}


def measure(_: Sizes) -> Iterator[Section]:
    """Count what each operation sends."""
    section = Section("requests", "Requests and round trips per operation")
    with tables_of("dynamodb"), recorded_requests() as requests:
        dynamodb = _counts("dynamodb", requests)
    with tables_of("postgresql"), recorded_trips() as trips:
        postgresql = _counts("postgresql", trips)
    for one in COUNTED:
        row = {"operation": one.name, "dynamodb": dynamodb[one.name], "dynamodb limit": one.requests}
        section.rows.append({**row, "postgresql": postgresql[one.name], "postgresql limit": one.trips})
    for database in _ROUNDS:
        over = sum(row[database] > row[f"{database} limit"] for row in section.rows)
        section.judge(f"{len(COUNTED)} operations on {database}", "over the contract's limit", over, most=0)
    yield section


def _counts(database: str, taken: Callable[[], Sequence[Any]]) -> dict[str, int]:
    """Return the most that any round of each operation sent."""
    counts = {}
    for legacy in (False, True):
        if legacy:
            use({"USE_PROPERTY_LOOKUP_TABLE": "no", "AWS_DB_PREFIX": f"{os.environ.get('AWS_DB_PREFIX')}legacy"})
        db = load_classes(database, lookup=not legacy)
        for operation in COUNTED:
            if operation.legacy == legacy:
                counts[operation.name] = max(len(operation.sent(db, taken)) for _ in range(_ROUNDS[database]))
    return counts
