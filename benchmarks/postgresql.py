"""PostgreSQL, one thread: the floor, this library and the baseline, on loopback and over a network of 1 ms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.baseline import Baseline, BaselineError, Worker, baseline, upgrade
from benchmarks.floor import PostgresFloor, record
from benchmarks.interleave import Contender, Times, interleave, runner
from benchmarks.machine import own_processors, share_processor
from benchmarks.results import Section
from benchmarks.servers import CALLS, NETWORK_SECONDS, PostgresServer, network, use
from testbed.operations.calls import load_classes
from testbed.operations.timed import Operation

__all__ = ["measure"]

_READ_OVER, _WRITE_OVER, _CPU_RATIO = 12, 15, 1.4
_BASELINE_READS, _BASELINE_NETWORK_READS, _BASELINE_NETWORK_INDEXED = 2.5, 3.5, 6.0
_NETWORK_RATIO = 1.10


def measure(
    server: PostgresServer, python: Path | None, rounds: int, operations: list[Operation], missing: list[str]
) -> Iterator[Section]:
    """Yield the section on loopback, then that over a network."""
    near = Section("postgresql", "PostgreSQL on loopback, one thread")
    near.notes.append("Client and server share one processor, where the system has a say in it.")
    far = Section("network", f"PostgreSQL over a network of {NETWORK_SECONDS * 1000:g} ms, one thread")
    far.notes.append("A relay on loopback holds back each direction by half of that.")
    classes = load_classes("postgresql")
    recordings = {operation.name: record(operation, classes, operation.count) for operation in operations}
    with ExitStack() as stack:
        port = stack.enter_context(network(*server.address))
        keeper = PostgresFloor(stack.enter_context(server.connect()))
        floor = PostgresFloor(stack.enter_context(server.connect(port)))
        other = _baseline(stack, server, python, port, missing := missing.copy())

        def contenders(
            operation: Operation, count: int, floor: PostgresFloor, process: Worker | None
        ) -> dict[str, Contender]:
            stored, calls = recordings[operation.name]
            keeper.replay(stored)
            ready = bool if operation.repeats else partial(keeper.replay, stored)
            found = {
                "floor": runner(ready, partial(floor.calls, calls[:count])),
                "ours": runner(ready, partial(operation.calls, classes, count)),
            }
            run = other and process and other.contender(operation, count, process)
            return {**found, "baseline": run} if run else found

        use(server.environment)
        with own_processors():
            for operation in operations:
                found = contenders(operation, operation.count, keeper, other.near if other else None)
                classes.DbActor().get(actor_id="nobody")  # connects
                share_processor(*server.sessions(), *([other.near.pid] if other else []), os.getpid())
                _judge_loopback(near, operation, interleave(found, rounds))
        use({**server.environment, "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)})
        for operation in operations:
            found = contenders(operation, min(CALLS, operation.count), floor, other.far if other else None)
            _judge_network(far, operation, interleave(found, max(3, rounds // 2)))
        use(server.environment)
        for section in (near, far):
            section.notes += [*missing, *(other.notes() if other else ())]
            yield section


def _baseline(
    stack: ExitStack, server: PostgresServer, python: Path | None, port: int, missing: list[str]
) -> Baseline | None:
    """Return the baseline on a database of its own, near and behind a port; or None."""
    environment = stack.enter_context(server.database())
    try:
        if python is not None:
            upgrade(python, environment)
    except BaselineError as error:
        missing.append(f"The baseline is left out: {error}")
        return None
    far = {**environment, "PG_DB_PORT": str(port)}
    return stack.enter_context(baseline(python, "postgresql", environment, far))


def _judge_loopback(section: Section, operation: Operation, times: Times) -> None:
    row = section.add_row(times.row(operation))
    if row.kind in ("read", "write"):
        most = _READ_OVER if row.kind == "read" else _WRITE_OVER
        section.judge(row.operation, "ours − floor, µs", times.over(), most=most)
    if row.kind == "read":
        section.judge(row.operation, "processor time, ours / floor", row.cpu, most=_CPU_RATIO)
        section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_READS)


def _judge_network(section: Section, operation: Operation, times: Times) -> None:
    row = section.add_row(times.row(operation))
    section.judge(row.operation, "ours / floor", row.ratio, most=_NETWORK_RATIO)
    if row.kind == "read":
        section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_NETWORK_READS)
    elif row.operation == "indexed property set":
        section.judge(row.operation, "baseline / ours", row.baseline_ratio, least=_BASELINE_NETWORK_INDEXED)
