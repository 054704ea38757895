"""What observers cost: processor time of a read of an actor, on both backends.

AGAINST=PATH also compares this tree, without an observer, with another one, such as a clone of an earlier revision.
"""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from prometheus_client import CollectorRegistry

from actingweb import otel, prometheus
from actingweb.db import get_actor, load_backend
from benchmarks.results import Section, figure, ratio
from benchmarks.servers import dynamodb_server, postgres_server, schema, tables
from benchmarks.sizes import Sizes

_MOST = 15.0
_KINDS = {"no observer": None, "Prometheus": None, "OpenTelemetry": ALWAYS_OFF, "OpenTelemetry, traced": ALWAYS_ON}


def cpu(slices: int) -> float:
    """Return the microseconds that a read takes: the least of so many averages, since other processes only slow it."""
    from time import thread_time

    from actingweb.db import get_actor, load_backend

    config, times = load_backend(), []
    for _ in range(slices):
        began = thread_time()
        for _ in range(25):
            get_actor(config).get("a")
        times.append((thread_time() - began) / 25 * 1e6)
    return min(times)


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure both backends; OpenTelemetry has its SDK with an in-memory reader of metrics, and exports no span."""
    section = Section("observers", "What observers cost, processor time in µs")
    with postgres_server() as server, schema(server):
        _measure(section, "postgresql", sizes.rounds)
    with dynamodb_server() as other, tables(other):
        _measure(section, "dynamodb", sizes.rounds)
    yield section


def _measure(section: Section, backend: str, rounds: int) -> None:
    os.environ["DATABASE_BACKEND"] = backend
    get_actor(load_backend()).create("a", creator="c", passphrase="p")
    took: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(rounds):
        for kind, sampler in _KINDS.items():
            tracers = TracerProvider(sampler=sampler or ALWAYS_OFF, shutdown_on_exit=False)
            if sampler is not None:
                meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
                otel.instrument(tracer_provider=tracers, meter_provider=meters)
            elif kind == "Prometheus":
                prometheus.instrument(CollectorRegistry())
            with tracers.get_tracer("application").start_as_current_span("request"):
                took[kind].append(cpu(40))
            otel.uninstrument()
            prometheus.uninstrument()
    plain = min(took["no observer"])
    for kind, times in took.items():
        section.add({"observer": f"{backend}: {kind}", "read": min(times), "more": min(times) - plain})
    for kind in ("Prometheus", "OpenTelemetry"):
        section.judge(f"{backend}: {kind}", "observed − not, µs", figure([min(took[kind]) - plain]), most=_MOST)
    if other := os.environ.get("AGAINST"):
        ours, theirs = zip(*([_alone(str(Path(__file__).parents[1])), _alone(other)] for _ in range(9)), strict=True)
        section.judge(backend, "processor time, this tree / AGAINST", ratio(ours, theirs), most=1.01)


def _alone(tree: str) -> float:
    """Return what a process of its own takes with the library of a tree."""
    code = f"import sys; sys.path.insert(0, {tree!r})\n{inspect.getsource(cpu)}\nprint(cpu(400))"
    return float(subprocess.check_output([sys.executable, "-c", code], cwd="/"))
