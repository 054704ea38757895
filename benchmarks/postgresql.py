"""PostgreSQL: the floor, this library and the baseline, on loopback, over a network of 1 ms, and by many threads."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from benchmarks.contenders import (
    FLOOR,
    TIMED,
    Targets,
    Worker,
    baseline_python,
    calls_far,
    compare,
    crowd_rates,
    upgrade_baseline,
)
from benchmarks.results import Section, Sizes, figure, ratio
from benchmarks.servers import NETWORK_SECONDS, database, network, share_processor
from testbed.operations.timed import TIMED as TIMED_OPERATIONS
from testbed.provisioning import new_schema, postgres_server

_THREADS, _CROWD, _CONNECTIONS = (1, 4, 16), 64, 10
_BY_THREADS = ("property get", "property set")
_NEAR: dict[str, Targets] = {
    "read": {
        "ours − floor, µs": {"most": 12},
        "processor time, ours / floor": {"most": 1.4},
        "baseline / ours": {"least": 2.5},
    },
    "write": {"ours − floor, µs": {"most": 15}},
    "rows": {},
}
"""The targets on loopback, by the kind of the operation."""
_FAR: Targets = {"ours / floor": {"most": 1.1}}
_FAR_BASELINE: dict[str, Targets] = {
    "read": {"baseline / ours": {"least": 3.5}},
    "indexed property set": {"baseline / ours": {"least": 6.0}},
}
_THROUGHPUT, _WORST = 0.85, 3.0


def measure(sizes: Sizes) -> Iterator[Section]:
    """Yield the sections on loopback, over a network, and on many threads."""
    near = Section("postgresql", "PostgreSQL on loopback, one thread")
    near.notes.append("Client and server share one processor, where the system has a say in it.")
    far = Section("network", f"PostgreSQL over a network of {NETWORK_SECONDS * 1000:g} ms, one thread")
    far.notes.append("A relay on loopback holds back each direction by half of that.")
    with postgres_server() as server, ExitStack() as stack:
        ours = stack.enter_context(new_schema(server)).environment
        settings = {"floor": ours, "ours": ours}
        if (python := baseline_python(near)) is not None:
            settings["baseline"] = stack.enter_context(database(server))
            upgrade_baseline(python, settings["baseline"])

        def start(name: str, relay: Mapping[str, str], keeper: Worker | None = None) -> Worker:
            table, other = (FLOOR if name == "floor" else TIMED), (python if name == "baseline" else None)
            one = Worker("postgresql", {**settings[name], **relay}, table, python=other, keeper=keeper)
            return stack.enter_context(one)

        here = {name: start(name, {}) for name in settings}
        relay = stack.enter_context(network(server))
        there = {name: start(name, relay, here[name]) for name in settings}
        share = partial(share_processor, server, here.values())
        for operation, times in compare(near, sizes.operations, here, sizes.rounds, ready=share):
            times.report(near, operation, _NEAR[operation.kind])
        yield near
        for operation, times in compare(far, sizes.operations, there, max(3, sizes.rounds // 2), calls=calls_far):
            read_or_name = operation.kind if operation.kind == "read" else operation.name
            times.report(far, operation, {**_FAR, **_FAR_BASELINE.get(read_or_name, {})})
        yield far
        yield _measure_threads(ours, sizes)


def _measure_threads(environment: Mapping[str, str], sizes: Sizes) -> Section:
    """Measure throughput beside the floor, and what 64 threads wait for 10 connections."""
    section = Section("threads", "PostgreSQL, many threads")
    section.notes.append("Threads share Python's interpreter lock, the floor's as well as ours.")
    rounds, seconds = max(3, sizes.rounds // 3), sizes.crowd_seconds
    operations = [operation for operation in TIMED_OPERATIONS if operation.name in _BY_THREADS]
    for threads in _THREADS:
        pool = {"PG_POOL_MIN_SIZE": "1", "PG_POOL_MAX_SIZE": str(threads)}
        with Worker("postgresql", {**environment, **pool}) as ours, Worker("postgresql", environment, FLOOR) as floor:
            for operation in operations:
                rates = crowd_rates({"floor": floor, "ours": ours}, operation, threads, seconds, rounds)
                faster = ratio(rates["ours"], rates["floor"])
                medians = {**{name: median(each) for name, each in rates.items()}, "ours / floor": faster.median}
                section.add({"operation": operation.name, "threads": threads, **medians})
                subject = f"{operation.name}, {threads} threads"
                section.judge(subject, "operations/s, ours / floor", faster, least=_THROUGHPUT)
    with Worker("postgresql", {**environment, "PG_POOL_MAX_SIZE": str(_CONNECTIONS)}) as ours:
        found = [ours.crowd(operations[0], operations[0].count, _CROWD, 2 * seconds) for _ in range(min(5, rounds))]
    subject = f"{_CROWD} threads on {_CONNECTIONS} connections"
    section.judge(subject, "p99 / median of the latency", figure([run["p99 / median"] for run in found]), most=_WORST)
    section.judge(subject, "operations that failed", sum(run["failed"] for run in found), most=0)
    return section
