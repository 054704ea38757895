"""Typical operations on both backends: `make bench-latency` prints the table of the guide to the migration.

DynamoDB Local tells what the library and the protocol cost, not what AWS does.
"""

from __future__ import annotations

import statistics

from benchmarks.servers import dynamodb_in_use, postgres_server
from benchmarks.worker import rate
from testbed.operations.calls import Actor, do, load_classes, timed

__all__ = ["main"]

_ACTOR = Actor("actor-0", "c@example.com")
_ROUNDS, _ROWS, _BATCH, _THREADS = 15, 1000, 50, 8
_READS = {
    "One actor": do("DbActor.get", "{id}"),
    "One property": do("DbProperty.get", "{id}", "email"),
    "Actor by e-mail address": do("DbProperty.get_actor_id_from_property", "email", "{address}"),
    "Trust by peer": do("DbTrust.get", "{id}", "peer"),
    "Trust by token": do("DbTrust.get", "{id}", token="token"),
    f"{_BATCH} properties of an actor": do("DbProperty.get_prefix", "{id}", "list:"),
    f"All of {_ROWS:,} actors": do("DbActorList.fetch"),
}
_STORE = (
    *(do("DbActor.create", f"actor-{number}", "{address}", "p") for number in range(_ROWS)),
    *(do("DbProperty.set", "{id}", f"list:{number:03}", "v" * 200) for number in range(_BATCH)),
    do("DbProperty.set", "{id}", "email", "{address}"),
    do("DbTrust.create", "{id}", "peer", relationship="friend", secret="token"),
)


def _measured(database: str) -> dict[str, str]:
    """Return what each operation takes: of reads the median, of writes the rate."""
    db = load_classes(database)
    for prepare in _STORE:
        prepare(db, _ACTOR)()
    results = {}
    for name, prepare in _READS.items():
        calls = [prepare(db, _ACTOR)] * (1 if name.startswith("All") else 20)
        took = [timed(calls)[0] for _ in range(_ROUNDS)]
        results[name] = f"{1000 * statistics.median(took):.2f} ms"
    writes = [do("DbProperty.set", f"actor-{thread}", "n", "value")(db, _ACTOR) for thread in range(_THREADS)]
    return {**results, f"Property writes by {_THREADS} threads": f"{rate([[one] for one in writes], 2.0):,.0f}/s"}


def main() -> int:
    """Print the table."""
    with dynamodb_in_use("latency"):
        dynamodb = _measured("dynamodb")
    with postgres_server():
        postgresql = _measured("postgresql")
    print("| operation | DynamoDB Local | PostgreSQL |\n|---|---|---|")
    for name, value in dynamodb.items():
        print(f"| {name} | {value} | {postgresql[name]} |")
    return 0
