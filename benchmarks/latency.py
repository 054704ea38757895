"""Typical operations on both backends: `make bench-latency` prints the table of the guide to the migration.

DynamoDB Local tells what the library and the protocol cost, not what AWS does.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from testbed.operations.calls import Actor, Classes, do, load_classes
from testbed.own_schemas import dynamodb_in_use, postgres_server

__all__ = ["print_latency"]

_ACTOR = Actor("actor-0", "c@example.com")
_ROWS, _BATCH, _THREADS = 1000, 50, 8
_ALL = f"All of {_ROWS:,} actors"
_READS = {
    "One actor": do("DbActor.get", "{id}"),
    "One property": do("DbProperty.get", "{id}", "email"),
    "Actor by e-mail address": do("DbProperty.get_actor_id_from_property", "email", "{address}"),
    "Trust by peer": do("DbTrust.get", "{id}", "peer"),
    "Trust by token": do("DbTrust.get", "{id}", token="token"),
    f"{_BATCH} properties of an actor": do("DbProperty.get_prefix", "{id}", "list:"),
    _ALL: do("DbActorList.fetch"),
}
_STORE = (
    *(do("DbActor.create", f"actor-{number}", "{address}", "p") for number in range(_ROWS)),
    *(do("DbProperty.set", "{id}", f"list:{number:03}", "v" * 200) for number in range(_BATCH)),
    do("DbProperty.set", "{id}", "email", "{address}"),
    do("DbTrust.create", "{id}", "peer", relationship="friend", secret="token"),
)


def _write_many(db: Classes, rounds: int, thread: int) -> None:
    for number in range(rounds):
        do("DbProperty.set", f"actor-{thread}", "n", str(number))(db, _ACTOR)()


def _measured(database: str, rounds: int) -> dict[str, str]:
    """Return what each operation takes: of reads the median, of writes the rate."""
    db = load_classes(database)
    for prepare in _STORE:
        prepare(db, _ACTOR)()
    results = {}
    for name, prepare in _READS.items():
        read = prepare(db, _ACTOR)
        read()
        times = [_seconds(read) for _ in range(max(1, rounds // 30) if name == _ALL else rounds)]
        results[name] = f"{1000 * statistics.median(times):.2f} ms"
    with ThreadPoolExecutor(_THREADS) as threads:
        seconds = _seconds(lambda: list(threads.map(partial(_write_many, db, rounds), range(_THREADS))))
    return {**results, f"Property writes by {_THREADS} threads": f"{_THREADS * rounds / seconds:,.0f}/s"}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def print_latency(rounds: int) -> None:
    """Print the table."""
    with dynamodb_in_use("latency"):
        dynamodb = _measured("dynamodb", rounds)
    with postgres_server():
        postgresql = _measured("postgresql", rounds)
    print("| operation | DynamoDB Local | PostgreSQL |\n|---|---|---|")
    for name, value in dynamodb.items():
        print(f"| {name} | {value} | {postgresql[name]} |")
