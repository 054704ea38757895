"""DynamoDB Local: each operation beside the floor, the SDK and the baseline; decoding, many threads, and an export."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from actingweb.db.dynamodb.items import decode
from actingweb.db.dynamodb.layouts import required_layouts
from actingweb.db.dynamodb.stored_types import reader_of
from actingweb.db.dynamodb.wire.messages import decoded, encoded
from benchmarks.contenders import (
    BOTOCORE,
    FLOOR,
    Targets,
    Times,
    Worker,
    baseline_python,
    compare,
    crowd_rates,
    figure_of,
    interleave,
)
from benchmarks.floor import fetch, record
from benchmarks.machine import own_processors, pin
from benchmarks.migration_data import fill_tables
from benchmarks.results import Section, Sizes, ratio
from testbed.operations.calls import load_classes, timed
from testbed.operations.operation import Operation
from testbed.provisioning import dynamodb_server, new_tables

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
        baseline, ours = (stack.enter_context(new_tables(server)).environment for _ in range(2))
        workers = {
            "floor": stack.enter_context(Worker("dynamodb", ours, FLOOR)),
            "botocore": stack.enter_context(Worker("dynamodb", ours, BOTOCORE)),
            "ours": stack.enter_context(Worker("dynamodb", ours)),
        }
        if (python := baseline_python(section)) is not None:
            workers["baseline"] = stack.enter_context(Worker("dynamodb", baseline, python=python))
        # A request takes ten times as long as a round trip to PostgreSQL.
        few, rounds = (lambda operation: max(1, operation.count // 10)), max(3, sizes.rounds // 2)
        for operation, times in compare(section, sizes.operations, workers, rounds, calls=few):
            times.report(section, operation, _targets(operation))
        if python is not None:
            _compare_crowds(section, {name: workers[name] for name in ("ours", "baseline")}, sizes)
        _compare_decoding(section, sizes)
        stack.enter_context(new_tables(server))
        _compare_exports(section, sizes)
        yield section


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
    """Compare how answers for whole rows become records with the least that it takes."""
    classes = load_classes("dynamodb", cascades=False)
    for operation in sizes.operations:
        if operation.kind == "rows" and operation.repeats:
            (requests,) = record(operation, classes, 1)
            answers = [_Answer(*request) for request in requests if "ProjectionExpression" not in request[1]]
            if not answers:
                continue
            ways = {"ours": [one.decode for one in answers], "floor": [one.decode_least for one in answers]}
            contenders = {name: partial(timed, way * 100) for name, way in ways.items()}
            times = Times(interleave(contenders, max(3, sizes.rounds // 2)))
            section.judge(operation.name, "decoding, ours / floor", times.compared("ours / floor"), most=_DECODING)


class _Answer:
    """The answer to a request, and two ways to make records of its rows."""

    def __init__(self, name: str, request: Mapping[str, Any]) -> None:
        (self._record,) = {
            one.record for one in required_layouts(True) if request["TableName"].endswith(f"_{one.suffix}")
        }
        self._columns = [(column, *reader_of(self._record, column)) for column in self._record.fields]
        self._text = fetch(name, encoded(request))

    def decode(self) -> None:
        """Make them as this library does."""
        for item in decoded(self._text)["Items"]:
            decode(self._record, item)

    def decode_least(self) -> None:
        """Make them by `json.loads` and the reader of each column."""
        columns = self._columns
        for item in json.loads(self._text)["Items"]:
            self._record.make([read(item[name][kind]) if name in item else None for name, kind, read in columns])


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
        trees = {"ours": own, "before": Path(before)}
        contenders = {name: partial(figure_of, tree, "export_rate") for name, tree in trees.items()}
        rates = interleave(contenders, max(3, sizes.rounds // 4))
    faster = ratio(rates["ours"], rates["before"])
    section.judge(f"export of {sizes.exported:,} rows", "rows / s of processor, ours / before", faster, least=_EXPORT)
