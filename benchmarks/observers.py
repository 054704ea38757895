"""What observers cost: processor time of a read of an actor, on both backends.

AGAINST=PATH also compares this tree, without an observer, with another one, such as a clone of an earlier revision.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from prometheus_client import CollectorRegistry

from actingweb import otel, prometheus
from actingweb.db import get_actor, load_backend
from benchmarks.contenders import figure_of, interleave
from benchmarks.programs import read_cpu
from benchmarks.results import Section, Sizes, ratio
from testbed.provisioning import BACKENDS, tables_of

_MOST = 15.0
_KINDS = {"no observer": None, "Prometheus": None, "OpenTelemetry": ALWAYS_OFF, "OpenTelemetry, traced": ALWAYS_ON}


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure both backends; OpenTelemetry has its SDK with an in-memory reader of metrics, and exports no span."""
    section = Section("observers", "What observers cost, processor time in µs")
    for backend in BACKENDS:
        with tables_of(backend):
            _measure(section, backend, sizes.rounds)
    yield section


def _measure(section: Section, backend: str, rounds: int) -> None:
    os.environ["DATABASE_BACKEND"] = backend
    get_actor(load_backend()).create("a", creator="c", passphrase="p")
    times = interleave({kind: partial(_observed, kind) for kind in _KINDS}, rounds)
    took = {kind: min(each) for kind, each in times.items()}
    plain = took["no observer"]
    for kind, least in took.items():
        section.add({"observer": f"{backend}: {kind}", "read": least, "more": least - plain})
    for kind in ("Prometheus", "OpenTelemetry"):
        section.judge(f"{backend}: {kind}", "observed − not, µs", took[kind] - plain, most=_MOST)
    if other := os.environ.get("AGAINST"):
        trees = Path(__file__).parents[1], other
        alone = interleave({str(tree): partial(figure_of, tree, "read_cpu") for tree in trees}, 9)
        section.judge(backend, "processor time, this tree / AGAINST", ratio(*alone.values()), most=1.01)


def _observed(kind: str) -> float:
    """Return the microseconds that a read takes with an observer of this kind."""
    sampler = _KINDS[kind]
    tracers = TracerProvider(sampler=sampler or ALWAYS_OFF, shutdown_on_exit=False)
    if sampler is not None:
        meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        otel.instrument(tracer_provider=tracers, meter_provider=meters)
    elif kind == "Prometheus":
        prometheus.instrument(CollectorRegistry())
    try:
        with tracers.get_tracer("application").start_as_current_span("request"):
            return read_cpu(40)
    finally:
        otel.uninstrument()
        prometheus.uninstrument()
