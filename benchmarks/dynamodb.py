"""DynamoDB Local, one thread: requests and capacity per operation, and latency beside the floor and the baseline."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.baseline import baseline
from benchmarks.floor import DynamoDBFloor
from benchmarks.interleave import Contender, floor_and_ours, interleave, row_of
from benchmarks.results import Row, Section, ratios
from testbed.machine import note
from testbed.operations.calls import Classes, load_classes, timed
from testbed.operations.timed import Operation, row_by_row
from testbed.own_schemas import dynamodb_server, use
from testbed.recorder import Request, recorded_requests

__all__ = ["measure"]

_RATIO, _BASELINE_RATIO, _BATCH_RATIO = 1.10, 1.5, 5.0
_SLOWER = 10
"""A request takes about so many times as long as a round trip to PostgreSQL."""
_BEFORE_BASELINE = frozenset(
    {
        "reverse look-up, miss",
        "indexed property set",
        "subscription create",
        "subscription suspend",
        "property compare-and-swap",
        "attribute compare-and-swap",
    }
)


def measure(python: Path | None, rounds: int, operations: list[Operation], missing: list[str]) -> Section:
    """Measure latency and capacity, and deletes of many rows beside the same, row by row."""
    section = Section("dynamodb", "DynamoDB Local, one thread")
    section.notes += [
        "DynamoDB Local shows what library and protocol cost, not what AWS does.",
        "DynamoDB does not say what a refused transaction consumes: a first request that is refused counts as 0.",
    ]
    with ExitStack() as stack:
        tables = stack.enter_context(dynamodb_server())
        environment = stack.enter_context(tables("ours"))
        use(environment)
        classes = load_classes("dynamodb", cascades=False)
        floor = DynamoDBFloor(environment)
        other = stack.enter_context(baseline(python, "dynamodb", stack.enter_context(tables("baseline"))))
        for operation in operations:
            count = max(1, operation.count // _SLOWER)
            recorded = _recorded(operation, classes, count)
            units = floor.capacity(recorded[0])
            contenders = _contenders(operation, classes, count, floor, recorded)
            if other is not None and (run := other.contender(operation, count, other.near)) is not None:
                contenders["baseline"] = run
            # The operation on a thousand rows takes a minute.
            row = row_of(operation, interleave(contenders, rounds if operation.count > 1 else max(3, rounds // 3)))
            requests = sum(map(len, recorded)) / count
            section.rows.append(row)
            section.table.append({"operation": operation.name, "requests": requests, "capacity": units})
            _judge(section, row, requests)
            note(f"{row.operation:<36} {row.floor.median:>9.0f} {row.ours.median:>9.0f} µs")
        _compare_batches(section, classes, operations, max(3, rounds // 2))
        section.notes += [*missing, *(other.notes() if other else ())]
    return section


def _recorded(operation: Operation, classes: Classes, count: int) -> list[list[Request]]:
    """Return what each of so many calls sends; the rows that the calls need are left stored."""
    operation.store(classes, count)
    # Unrecorded: tables are made, legacy tables found absent.
    operation.calls(classes, count)[0]()
    operation.store(classes, count)
    recorded = []
    with recorded_requests() as taken:
        for call in operation.calls(classes, count):
            taken()
            call()
            recorded.append(taken())
    operation.store(classes, count)
    return recorded


def _contenders(
    operation: Operation, classes: Classes, count: int, floor: DynamoDBFloor, recorded: list[list[Request]]
) -> dict[str, Contender]:
    operation.store(classes, count)

    def ready() -> None:
        if not operation.repeats:
            operation.store(classes, count)

    return floor_and_ours(floor.calls(recorded), lambda: operation.calls(classes, count), ready)


def _judge(section: Section, row: Row, requests: float) -> None:
    if requests == 1:
        section.judge(row.operation, "ours / floor", row.ratio, most=_RATIO)
    if row.operation in _BEFORE_BASELINE and row.baseline_ratio is not None:
        section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_RATIO)


def _compare_batches(section: Section, classes: Classes, operations: list[Operation], rounds: int) -> None:
    def contender(operation: Operation) -> Contender:
        def run() -> tuple[float, float]:
            operation.store(classes, 1)
            return timed(operation.calls(classes, 1))

        return run

    for operation, single in row_by_row():
        if operation not in operations:
            continue
        times = interleave({"many": contender(operation), "single": contender(single)}, rounds)
        faster = ratios(times["single"].wall, times["many"].wall)
        section.judge(operation.name, "row by row / at once", faster, least=_BATCH_RATIO)
