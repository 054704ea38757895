"""DynamoDB Local: what each operation sends, and its time beside floor, SDK and baseline; decoding, threads, export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from actingweb.db.dynamodb.items import decode
from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.dynamodb.stored_types import reader_of
from actingweb.db.dynamodb.wire.messages import decoded, encoded
from benchmarks.baseline import Baseline, baseline, worker
from benchmarks.floor import BotocoreFloor, DynamoDBFloor, record
from benchmarks.interleave import Times, interleave, runner
from benchmarks.machine import own_processors, pin
from benchmarks.migration_data import fill_tables
from benchmarks.results import Section, ratios
from benchmarks.servers import dynamodb_server, use
from testbed.operations.calls import Classes, load_classes
from testbed.operations.timed import Operation, row_by_row
from testbed.recorder import Request

__all__ = ["measure"]

_RATIO, _CPU_RATIO, _BOTOCORE_RATIO, _DECODING_RATIO, _BATCH_RATIO = 1.3, 1.5, 0.4, 1.5, 5.0
_BASELINE_RATIO, _BASELINE_RATIO_OF_MANY, _CROWD_RATIO, _EXPORT_RATIO = 2.5, 1.5, 2.5, 1.5
_THREADS, _CROWDED = 16, ("property get", "property set")
_SLOWER = 10
"""A request takes about so many times as long as a round trip to PostgreSQL."""
_BEFORE = "367b952"
"""The last commit whose requests were sent by botocore's client."""
_BEFORE_BASELINE = ("indexed property set", "subscription create", "subscription suspend", "attribute compare-and-swap")
"""Operations of which we or the baseline send several requests, and which are to be faster than the baseline's."""


def measure(python: Path | None, rounds: int, operations: list[Operation], missing: list[str], rows: int) -> Section:
    """Measure one thread, then many, then an export of so many rows, client and server on a processor each."""
    section = Section("dynamodb", "DynamoDB Local")
    section.notes += [
        "DynamoDB Local shows what library and protocol cost, not what AWS does.",
        "DynamoDB does not say what a refused transaction consumes: a first request that is refused counts as 0.",
    ]
    with own_processors() as processors, ExitStack() as stack:
        pin(processors[-1:])
        tables = stack.enter_context(dynamodb_server())
        pin(processors[:1])
        if len(processors) > 1 and not os.environ.get("AWS_DB_HOST"):
            section.notes.append("Client and server each have a processor of their own.")
        environment = stack.enter_context(tables("ours"))
        use(environment)
        classes = load_classes("dynamodb", cascades=False)
        other = stack.enter_context(baseline(python, "dynamodb", stack.enter_context(tables("baseline"))))
        for operation in operations:
            _measure(section, operation, classes, environment, other, rounds)
        _compare_batches(section, classes, operations, rounds)
        if other is not None:
            crowd = [operation for operation in operations if operation.name in _CROWDED]
            _compare_crowds(section, crowd, environment, other, rounds)
            section.notes += other.notes()
        section.notes += missing
        _export(section, stack.enter_context(tables("export")), rows, max(3, rounds // 2))
    return section


def _measure(
    section: Section,
    operation: Operation,
    classes: Classes,
    environment: dict[str, str],
    other: Baseline | None,
    rounds: int,
) -> None:
    count = max(1, operation.count // _SLOWER)
    recorded = record(operation, classes, count).calls
    operation.store(classes, count)
    floor = DynamoDBFloor(environment)
    units = floor.capacity(recorded[0])
    operation.store(classes, count)
    ready = bool if operation.repeats else partial(operation.store, classes, count)
    contenders = {
        "floor": runner(ready, partial(floor.calls, recorded)),
        "botocore": runner(ready, partial(BotocoreFloor(environment).calls, recorded)),
        "ours": runner(ready, partial(operation.calls, classes, count)),
    }
    if other is not None and (run := other.contender(operation, count, other.near)) is not None:
        contenders["baseline"] = run
    # The operation on a thousand rows takes a minute.
    times = interleave(contenders, rounds if operation.count > 1 else max(3, rounds // 3))
    requests = sum(map(len, recorded)) / count
    section.add_row(times.row(operation))
    section.table.append({"operation": operation.name, "requests": requests, "capacity": units})
    _judge(section, operation, times, requests)
    whole_rows = not any("ProjectionExpression" in request for _, request in recorded[0])
    if operation.kind == "rows" and operation.repeats and whole_rows:
        _judge_decoding(section, operation, recorded[0], floor, rounds)


def _judge(section: Section, operation: Operation, times: Times, requests: float) -> None:
    row, alone = section.rows[-1], requests == 1
    if alone and operation.kind != "rows":
        section.judge(operation.name, "ours / floor", row.ratio, most=_RATIO)
        section.judge(operation.name, "processor time, ours / floor", row.cpu, most=_CPU_RATIO)
        section.judge(operation.name, "ours / botocore", times.ratio("ours", "botocore"), most=_BOTOCORE_RATIO)
        cpu = ratios(times.cpu["ours"], times.cpu["botocore"])
        section.judge(operation.name, "processor time, ours / botocore", cpu, most=_BOTOCORE_RATIO)
    if alone or operation.name in _BEFORE_BASELINE:
        least = _BASELINE_RATIO if alone else _BASELINE_RATIO_OF_MANY
        section.judge(operation.name, "baseline / ours", row.baseline_ratio, least=least)


def _judge_decoding(
    section: Section, operation: Operation, requests: list[Request], floor: DynamoDBFloor, rounds: int
) -> None:
    """Compare how answers become records with the least that makes them: `json.loads`, and each column read."""
    answers = []
    for name, request in requests:
        (record,) = {one.record for one in required_layouts(True) if request["TableName"].endswith(f"_{one.suffix}")}
        columns = [(column, *reader_of(record, column)) for column in record.fields]
        answers.append((record, columns, floor.fetch(name, encoded(request))))

    def ours() -> None:
        for record, _, text in answers:
            for item in decoded(text)["Items"]:
                decode(record, item)

    def least() -> None:
        for record, columns, text in answers:
            for item in json.loads(text)["Items"]:
                record.make([read(item[name][stored]) if name in item else None for name, stored, read in columns])

    contenders = {"ours": runner(bool, lambda: [ours] * 100), "floor": runner(bool, lambda: [least] * 100)}
    times = interleave(contenders, rounds)
    section.judge(operation.name, "decoding, ours / floor", times.ratio("ours", "floor"), most=_DECODING_RATIO)


def _compare_batches(section: Section, classes: Classes, operations: list[Operation], rounds: int) -> None:
    """Compare deletes of many rows with the same, row by row."""
    for operation, single in row_by_row():
        if operation in operations:
            ways = {"many": operation, "single": single}
            contenders = {
                name: runner(partial(one.store, classes, 1), partial(one.calls, classes, 1))
                for name, one in ways.items()
            }
            faster = interleave(contenders, rounds).ratio("single", "many")
            section.judge(operation.name, "row by row / at once", faster, least=_BATCH_RATIO)


def _compare_crowds(
    section: Section, operations: list[Operation], environment: dict[str, str], other: Baseline, rounds: int
) -> None:
    """Compare the throughput of many threads, each contender in a process of its own."""
    with worker(sys.executable, environment, "dynamodb") as ours:
        for operation in operations:
            for process in (ours, other.near):
                process.store(operation.name, operation.count)
            found = [
                [process.rate(operation.name, operation.count, _THREADS, 0.5) for process in (ours, other.near)]
                for _ in range(-1, rounds)
            ]
            faster = ratios(*zip(*found[1:], strict=True))
            subject = f"{operation.name}, {_THREADS} threads"
            section.judge(subject, "operations/s, ours / baseline", faster, least=_CROWD_RATIO)


def _export(section: Section, environment: dict[str, str], rows: int, rounds: int) -> None:
    """Compare the rows that an export reads in a second of processor time with those of one by botocore's client."""
    use(environment)
    fill_tables(rows, 200)
    own = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as before:
        archive = subprocess.run(["git", "archive", _BEFORE, "actingweb"], cwd=own, stdout=subprocess.PIPE, check=False)
        if archive.returncode != 0:
            section.notes.append("The export is left out: this tree has no history.")
            return
        subprocess.run(["tar", "-x", "-C", before], input=archive.stdout, check=True)
        rates = [[_exported(own), _exported(Path(before))] for _ in range(rounds)]
    faster = ratios(*zip(*rates, strict=True))
    section.judge(f"export of {rows:,} rows", "rows / s of processor, ours / before", faster, least=_EXPORT_RATIO)


def _exported(tree: Path) -> float:
    command = [sys.executable, "-P", str(Path(__file__).with_name("exporter.py"))]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
