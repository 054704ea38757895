"""DynamoDB Local: each operation beside the floor, the SDK and the baseline; decoding, many threads, and an export."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from actingweb.db.dynamodb.items import decode
from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.dynamodb.stored_types import reader_of
from actingweb.db.dynamodb.wire.messages import decoded, encoded
from actingweb.db.records import Record
from benchmarks.contenders import (
    BOTOCORE,
    FLOOR,
    Targets,
    Worker,
    baseline_python,
    compare,
    crowd_rates,
    interleave,
    worker,
)
from benchmarks.floor import fetch, record
from benchmarks.machine import own_processors, pin
from benchmarks.migration_data import fill_tables
from benchmarks.results import Section, ratio
from benchmarks.servers import dynamodb_server, tables
from benchmarks.sizes import Sizes
from testbed.operations.calls import Classes, load_classes, timed
from testbed.operations.operation import Operation

_ONE_REQUEST = {
    "ours / floor": {"most": 1.3},
    "processor time, ours / floor": {"most": 1.5},
    "ours / botocore": {"most": 0.4},
    "processor time, ours / botocore": {"most": 0.4},
}
"""The targets of reads and writes of one row by one request."""
_BASELINE = {"baseline / ours": {"least": 2.5}}
"""The target of every operation of one request."""
_BASELINE_OF_MANY = {"baseline / ours": {"least": 1.5}}
_MANY = ("indexed property set", "subscription create", "subscription suspend", "attribute compare-and-swap")
"""Operations of which we or the baseline send several requests, and which are to be faster than the baseline's."""
_DECODING, _EXPORT, _CROWD = 1.5, 1.5, 2.5
_THREADS, _BY_THREADS = 16, ("property get", "property set")
_BEFORE = "367b952"
"""The last commit whose requests were sent by botocore's client."""


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure one thread, then many, then decoding and an export, client and server on a processor each."""
    section = Section("dynamodb", "DynamoDB Local")
    section.notes.append("DynamoDB Local shows what library and protocol cost, not what AWS does.")
    with own_processors() as processors, ExitStack() as stack:
        pin(processors[-1:])
        server = stack.enter_context(dynamodb_server())
        pin(processors[:1])
        if len(processors) > 1 and not os.environ.get("AWS_DB_HOST"):
            section.notes.append("Client and server each have a processor of their own.")
        baseline, ours = (stack.enter_context(tables(server, name)).environment for name in ("baseline", "ours"))
        workers = {
            "floor": stack.enter_context(worker("dynamodb", ours, FLOOR)),
            "botocore": stack.enter_context(worker("dynamodb", ours, BOTOCORE)),
            "ours": stack.enter_context(worker("dynamodb", ours)),
        }
        if (python := baseline_python(section)) is not None:
            workers["baseline"] = stack.enter_context(worker("dynamodb", baseline, python=python))
        rounds = max(3, sizes.rounds // 2)
        for operation, times in compare(section, sizes.operations, workers, rounds, calls=_calls):
            times.report(section, operation, _targets(operation))
        if python is not None:
            _compare_crowds(section, {name: workers[name] for name in ("ours", "baseline")}, sizes)
        _compare_decoding(section, sizes)
        stack.enter_context(tables(server, "export"))
        _compare_exports(section, sizes)
        yield section


def _calls(operation: Operation) -> int:
    """Return how many calls a round has: a request takes ten times as long as a round trip to PostgreSQL."""
    return max(1, operation.count // 10)


def _targets(operation: Operation) -> Targets:
    if operation.requests == 1:
        return _BASELINE if operation.kind == "rows" else {**_BASELINE, **_ONE_REQUEST}
    return _BASELINE_OF_MANY if operation.name in _MANY else {}


def _compare_crowds(section: Section, workers: Mapping[str, Worker], sizes: Sizes) -> None:
    """Compare the throughput of many threads."""
    for operation in sizes.operations:
        if operation.name in _BY_THREADS:
            rates = crowd_rates(workers, operation, _THREADS, sizes.crowd_seconds, max(3, sizes.rounds // 2))
            faster = ratio(rates["ours"], rates["baseline"])
            subject = f"{operation.name}, {_THREADS} threads"
            section.judge(subject, "operations/s, ours / baseline", faster, least=_CROWD)


def _compare_decoding(section: Section, sizes: Sizes) -> None:
    """Compare how answers become records with the least that makes them: `json.loads`, and each column read."""
    classes = load_classes("dynamodb", cascades=False)
    for operation in sizes.operations:
        if operation.kind == "rows" and operation.repeats:
            answers = _answers(operation, classes)
            ways = {"ours": partial(_decode, answers), "floor": partial(_decode_least, answers)}
            contenders = {name: partial(timed, [way] * 100) for name, way in ways.items()}
            times = interleave(contenders, max(3, sizes.rounds // 2))
            section.judge(operation.name, "decoding, ours / floor", times.compared("ours / floor"), most=_DECODING)


class _Answer(NamedTuple):
    """The text of an answer, the record of its rows, and each column with the type and the reader of its attribute."""

    record: type[Record]
    columns: list[tuple[str, str, Callable[[Any], Any]]]
    text: bytes


def _answers(operation: Operation, classes: Classes) -> list[_Answer]:
    """Return the answers to an operation's requests for whole rows."""
    answers = []
    (requests,) = record(operation, classes, 1)
    for name, request in requests:
        if "ProjectionExpression" not in request:
            (kind,) = {one.record for one in required_layouts(True) if request["TableName"].endswith(f"_{one.suffix}")}
            columns = [(column, *reader_of(kind, column)) for column in kind.fields]
            answers.append(_Answer(kind, columns, fetch(name, encoded(request))))
    return answers


def _decode(answers: list[_Answer]) -> None:
    """Make records as this library does."""
    for answer in answers:
        for item in decoded(answer.text)["Items"]:
            decode(answer.record, item)


def _decode_least(answers: list[_Answer]) -> None:
    """Make records in the least that it takes."""
    for kind_of_row, columns, text in answers:
        for item in json.loads(text)["Items"]:
            kind_of_row.make([read(item[name][kind]) if name in item else None for name, kind, read in columns])


def _compare_exports(section: Section, sizes: Sizes) -> None:
    """Compare the rows that an export reads in a second of processor time with those of one by botocore's client."""
    fill_tables(sizes.exported, 200)
    own = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory() as before:
        archive = subprocess.run(["git", "archive", _BEFORE, "actingweb"], cwd=own, stdout=subprocess.PIPE, check=False)
        if archive.returncode != 0:
            section.notes.append("The export is left out: this tree has no history.")
            return
        subprocess.run(["tar", "-x", "-C", before], input=archive.stdout, check=True)
        rates = [[_exported(own), _exported(Path(before))] for _ in range(max(3, sizes.rounds // 4))]
    faster = ratio(*zip(*rates, strict=True))
    section.judge(f"export of {sizes.exported:,} rows", "rows / s of processor, ours / before", faster, least=_EXPORT)


def _exported(tree: Path) -> float:
    command = [sys.executable, "-P", str(Path(__file__).with_name("exporter.py"))]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
