"""DynamoDB: requests and capacity per operation, and latency beside the floor and the peer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.driver.workload import OPERATIONS as WORKLOAD
from benchmarks.driver.workload import Call, Classes, Operation, load_classes, row_by_row
from benchmarks.figures import figure, ratios
from benchmarks.floor_dynamodb import Request, calls_of, capacity_of, make_client
from benchmarks.operations import OPERATIONS as COUNTED
from benchmarks.peer import PeerError, Worker, worker
from benchmarks.places import dynamodb_places, use
from benchmarks.requests import LIMITS, counted_dynamodb, counted_postgresql, measured
from benchmarks.results import Row, Section, row_of
from benchmarks.rounds import Contender, alternate, timed
from testbed.dynamodb_proxy import SpoilingProxy, spoiling_proxy

__all__ = ["count_requests", "measure"]

_RATIO, _PEER_RATIO, _BATCH_RATIO = 1.10, 1.5, 5.0
_SLOWER = 10
"""A request takes about so many times as long as a round trip to PostgreSQL."""
_BEFORE_PEER = frozenset(
    {
        "reverse look-up, miss",
        "indexed property set",
        "subscription create",
        "subscription suspend",
        "property compare-and-swap",
        "attribute compare-and-swap",
    }
)
_LARGE = "actor with 1,000 rows deleted"


def count_requests() -> Section:
    """Count what each operation sends, beside what the contract allows."""
    section = Section("requests", "Requests and round trips per operation")
    counts: dict[str, dict[str, int]] = {}
    before = dict(os.environ)
    for database, counting in (("dynamodb", counted_dynamodb), ("postgresql", counted_postgresql)):
        with counting() as counter:
            counts[database] = measured(database, counter)
        os.environ.clear()
        use(before)
    over = dict.fromkeys(LIMITS, 0)
    for operation in COUNTED:
        row: dict[str, Any] = {"operation": operation.name}
        for database, limit in LIMITS.items():
            row[database], row[f"{database} limit"] = counts[database][operation.name], limit(operation)
            over[database] += counts[database][operation.name] > limit(operation)
        section.table.append(row)
    for database, count in over.items():
        section.judge(f"{len(COUNTED)} operations on {database}", "over the contract's limit", figure([count]), most=0)
    return section


@dataclass(frozen=True)
class _Recording:
    calls: list[list[Request]]
    capacity: float
    """Units that the first call consumes."""


@dataclass
class _Peer:
    process: Worker
    missing: dict[str, str] = field(default_factory=dict)


def measure(python: Path | None, rounds: int, only: list[str]) -> Section:
    """Measure latency and capacity."""
    section = Section("dynamodb", "DynamoDB Local, one thread")
    section.notes.append("DynamoDB Local tells what library and protocol cost, not what AWS does.")
    section.notes.append(
        "What a refused transaction consumes is not told: a first request that is refused counts as 0."
    )
    operations = [operation for operation in WORKLOAD if not only or operation.name in only]
    with ExitStack() as stack:
        tables = stack.enter_context(dynamodb_places())
        environment = stack.enter_context(tables("ours"))
        use(environment)
        classes = load_classes("dynamodb", cascades=False)
        client = make_client(environment)
        recordings = _record(environment, operations, classes, client)
        peer = _peer(stack, tables, python)
        for operation in operations:
            recording = recordings[operation.name]
            few = max(3, rounds // 3) if operation.name == _LARGE else rounds
            row = _row(operation, classes, calls_of(client, recording.calls), peer, few)
            requests = sum(map(len, recording.calls)) / len(recording.calls)
            section.rows.append(row)
            section.table.append({"operation": operation.name, "requests": requests, "capacity": recording.capacity})
            _judge(section, row, requests)
            print(
                f"  {row.operation:<36} {row.floor.median:>9.0f} {row.ours.median:>9.0f} µs",
                file=sys.stderr,
                flush=True,
            )
        if not only:
            _compare_batches(section, classes, max(3, rounds // 2))
        if peer is not None:
            section.notes += [f"The peer did not do “{name}”: {why}" for name, why in peer.missing.items()]
    return section


def _count(operation: Operation) -> int:
    return max(1, operation.count // _SLOWER)


def _peer(
    stack: ExitStack, tables: Callable[[str], AbstractContextManager[dict[str, str]]], python: Path | None
) -> _Peer | None:
    if python is None:
        return None
    return _Peer(stack.enter_context(worker(python, stack.enter_context(tables("peer")), "dynamodb")))


def _record(
    environment: dict[str, str], operations: list[Operation], classes: Classes, client: Any
) -> dict[str, _Recording]:
    with spoiling_proxy(environment["AWS_DB_HOST"]) as proxy:
        use({"AWS_DB_HOST": proxy.url})
        try:
            return {operation.name: _recording(operation, classes, client, proxy) for operation in operations}
        finally:
            use(environment)


def _recording(operation: Operation, classes: Classes, client: Any, proxy: SpoilingProxy) -> _Recording:
    count = _count(operation)
    for number in range(2):
        operation.store(classes, count)
        made = operation.calls(classes, count)
        calls: list[list[Request]] = []
        for call in made:
            before = len(proxy.seen)
            call()
            calls.append([(seen.operation, seen.body) for seen in proxy.seen[before:]])
            if number == 0:
                break  # unmeasured: tables are made, absent fallbacks found out
    operation.store(classes, count)
    return _Recording(calls, capacity_of(client, calls[0]))


def _row(operation: Operation, classes: Classes, floor: list[Call], peer: _Peer | None, rounds: int) -> Row:
    count = _count(operation)

    def ready() -> None:
        if not operation.once:
            operation.store(classes, count)

    def run_floor() -> tuple[float, float]:
        ready()
        return timed(floor)

    def run_ours() -> tuple[float, float]:
        ready()
        return timed(operation.calls(classes, count))

    operation.store(classes, count)
    contenders: dict[str, Contender] = {"floor": run_floor, "ours": run_ours}
    if peer is not None and (theirs := _peer_contender(peer, operation, count)) is not None:
        contenders["peer"] = theirs
    return row_of(operation, alternate(contenders, rounds))


def _peer_contender(peer: _Peer, operation: Operation, count: int) -> Contender | None:
    def run() -> tuple[float, float]:
        if not operation.once:
            peer.process.store(operation.name, count)
        return peer.process.run(operation.name, count)

    try:
        peer.process.store(operation.name, count)
        run()
    except PeerError as error:
        peer.missing[operation.name] = str(error)
        return None
    return run


def _judge(section: Section, row: Row, requests: float) -> None:
    if requests == 1:
        section.judge(row.operation, "ours / floor", row.ratio, most=_RATIO)
    if row.operation in _BEFORE_PEER and row.peer_ratio is not None:
        section.judge(row.operation, "peer / ours", row.peer_ratio, least=_PEER_RATIO)


def _compare_batches(section: Section, classes: Classes, rounds: int) -> None:
    """Compare deletes of many rows with the same, row by row."""
    for operation, single in row_by_row():
        operation.store(classes, 1)

        def run(one: Operation) -> Contender:
            def contender() -> tuple[float, float]:
                one.store(classes, 1)
                return timed(one.calls(classes, 1))

            return contender

        times = alternate({"many": run(operation), "single": run(single)}, rounds)
        faster = ratios(times["single"].wall, times["many"].wall)
        section.judge(operation.name, "row by row / at once", faster, least=_BATCH_RATIO)
