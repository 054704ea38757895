"""What observers cost: processor time of a read of an actor, on both backends, beside OpenTelemetry's SDK alone.

AGAINST=PATH also compares this tree, without an observer, with another one, such as a clone of an earlier revision.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import thread_time
from timeit import repeat

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from prometheus_client import CollectorRegistry

from actingweb import otel, prometheus
from actingweb.db import get_actor, load_backend
from benchmarks.contenders import figure_of, interleave
from benchmarks.results import Section, Sizes, figure, ratio
from testbed.provisioning import BACKENDS, tables_of

_KINDS = ("no observer", "Prometheus", "OpenTelemetry", "SDK alone", "OpenTelemetry with spans", "SDK alone with spans")
_FACTS = dict.fromkeys(("db.system.name", "db.operation.name", "db.collection.name", "server.address", "port"), "a")


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure both backends; the SDK has an in-memory reader of metrics and exports no span."""
    section = Section("observers", "What observers cost, processor time in µs")
    for backend in BACKENDS:
        with tables_of(backend):
            _measure(section, backend, sizes.rounds)
    yield section


def _measure(section: Section, backend: str, rounds: int) -> None:
    os.environ["DATABASE_BACKEND"] = backend
    get_actor(load_backend()).create("a", creator="c", passphrase="p")
    took = interleave({kind: partial(_read, kind) for kind in _KINDS}, rounds)
    plain = took["no observer"]
    for kind, times in took.items():
        section.add({"observer": f"{backend}: {kind}", "read": min(times), "more": min(times) - min(plain)})
        more = figure([one - other for one, other in zip(times, plain, strict=True)])
        section.judge(f"{backend}: {kind}", "observed − not, µs", more, most=None if "SDK" in kind else 15.0)
    if other := os.environ.get("AGAINST"):
        alone = interleave({tree: partial(figure_of, Path(tree), "read_cpu") for tree in (os.getcwd(), other)}, 9)
        section.judge(backend, "processor time, this tree / AGAINST", ratio(*alone.values()), most=1.01)


def _read(kind: str) -> float:
    """Return the least that a read takes with an observer, or with functions of the SDK that record the same."""
    tracers = TracerProvider(sampler=ALWAYS_ON if "spans" in kind else ALWAYS_OFF, shutdown_on_exit=False)
    meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    span, record = tracers.get_tracer("a").start_as_current_span, meters.get_meter("a").create_histogram("a").record
    config = load_backend()

    def recorded() -> None:
        get_actor(config).get("a")
        record(0.001, _FACTS)

    def traced() -> None:
        with span("call", attributes={"db.system.name": "a"}), span("request", attributes=_FACTS):
            recorded()

    if kind == "Prometheus":
        prometheus.instrument(CollectorRegistry())
    elif "OpenTelemetry" in kind:
        otel.instrument(tracer_provider=tracers, meter_provider=meters)
    with span("application"):
        work = {"SDK alone": recorded, "SDK alone with spans": traced}.get(kind, lambda: get_actor(config).get("a"))
        took = min(repeat(work, "import gc; gc.enable()", thread_time, 36, 16)) / 16 * 1e6
    otel.uninstrument()
    prometheus.uninstrument()
    return took
