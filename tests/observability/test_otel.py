"""OpenTelemetry by its SDK, and Prometheus by a registry, on real databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, use_span
from prometheus_client import CollectorRegistry

from actingweb import otel, prometheus
from actingweb.db import get_actor, get_property, get_trust
from actingweb.db.exceptions import ConfigurationError, DbConnectionError, DbInputError
from actingweb.db.postgresql.connection import get_connection
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.conftest import SetEnv
from tests.contract.support.calls import ready

pytestmark = pytest.mark.backends("dynamodb", "postgresql")

CANARY = "canary-value"


class Sdk:
    """The parts of the SDK that keep spans and metrics in memory."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(sampler=sampler)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])
        otel.instrument(tracer_provider=self.tracers, meter_provider=self.meters)

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended."""
        return list(self._exporter.get_finished_spans())

    def metrics(self) -> dict[str, list[Any]]:
        """Return the points of each metric by its name."""
        data = self._reader.get_metrics_data()
        resources = data.resource_metrics if data else []
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def close(self) -> None:
        """Stop."""
        otel.uninstrument()
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def sdk(backend: Backend) -> Iterator[Sdk]:
    """Instrument the layer."""
    made = Sdk()
    yield made
    made.close()


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_call_is_a_span_and_its_request_another(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    get_actor(backend).get(actor_id)
    request, call = sdk.spans()[-2:]
    postgresql = backend.database == "postgresql"
    table = "actors" if postgresql else f"{os.environ['AWS_DB_PREFIX']}_actors"
    operation = "SELECT" if postgresql else "GetItem"
    system = "postgresql" if postgresql else "aws.dynamodb"
    assert (call.name, call.kind, facts(call)) == ("DbActor.get", SpanKind.INTERNAL, {"db.system.name": system})
    assert request.parent is not None
    assert call.context is not None
    assert (request.parent.span_id, request.kind) == (call.context.span_id, SpanKind.CLIENT)
    assert request.name == f"{operation} {table}"
    found = facts(request)
    port = found.pop("server.port")
    address, namespace = found.pop("server.address"), found.pop("db.namespace", None)
    assert isinstance(port, int)
    assert address
    assert bool(namespace) == postgresql
    assert found == {
        "db.system.name": system,
        "db.operation.name": operation,
        "db.collection.name": table,
        "db.query.summary": request.name,
    }
    assert {span.status.status_code for span in (request, call)} == {StatusCode.UNSET}


def test_three_calls_are_three_spans(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    before = len(sdk.spans())
    get_actor(backend).get(actor_id)
    get_property(backend).get(actor_id, "n")
    get_trust(backend).get(actor_id, "p")
    calls = [span.name for span in sdk.spans()[before:] if span.kind == SpanKind.INTERNAL]
    assert calls == ["DbActor.get", "DbProperty.get", "DbTrust.get"]


def test_calls_belong_to_the_applications_span(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    with sdk.tracers.get_tracer("application").start_as_current_span("GET /") as outer:
        get_actor(backend).get(actor_id)
    call = next(span for span in sdk.spans() if span.name == "DbActor.get")
    assert call.parent is not None
    assert call.parent.span_id == outer.get_span_context().span_id


def test_a_fault_is_an_error_with_its_class(
    backend: Backend, actor_id: str, proxy: TcpProxy, set_env: SetEnv, sdk: Sdk
) -> None:
    set_env(AWS_DB_MAX_ATTEMPTS="1")
    get_actor(backend).get(actor_id)
    proxy.stop()
    with pytest.raises(DbConnectionError) as raised:
        get_actor(backend).get(actor_id)
    call = sdk.spans()[-1]
    assert facts(call)["error.type"] == "DbConnectionError"
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, raised.value.reason)
    (errors,) = sdk.metrics()["actingweb.db.errors"]
    assert (errors.value, errors.attributes["actingweb.db.call"]) == (1, "DbActor.get")


def test_the_metrics(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    for _ in range(3):
        get_actor(backend).get(actor_id)
    found = sdk.metrics()
    operation = "SELECT" if backend.database == "postgresql" else "GetItem"
    durations = [
        point for point in found["db.client.operation.duration"] if point.attributes["db.operation.name"] == operation
    ]
    actors = [point for point in durations if point.attributes["db.collection.name"].endswith("actors")]
    assert sum(point.count for point in actors) == 3
    assert actors[0].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
    states = {
        point.attributes["db.client.connection.state"]: point.value
        for point in found["db.client.connection.count"]
        if point.attributes["db.client.connection.pool.name"] == backend.database
    }
    assert states["used"] == 0
    assert states["idle"] >= 1
    assert {f"db.client.connection.{name}" for name in ("idle.min", "max", "pending_requests")} <= found.keys()
    zeros = ("retries", "throttles", "unknown_outcomes", "lookup_collisions", "connections.lost")
    assert [point.value for name in zeros[1:] for point in found[f"actingweb.db.{name}"]] == [0] * len(zeros[1:])


@pytest.mark.backends("postgresql")
def test_a_connection_in_use_is_counted(backend: Backend, sdk: Sdk) -> None:
    with get_connection():
        points = sdk.metrics()["db.client.connection.count"]
    used = [point.value for point in points if point.attributes["db.client.connection.state"] == "used"]
    assert max(used) == 1


def test_what_happens_is_counted(backend: Backend, actor_id: str, proxy: TcpProxy, sdk: Sdk) -> None:
    get_actor(backend).get(actor_id)
    proxy.losses = 1
    get_actor(backend).get(actor_id)
    found = sdk.metrics()
    (retries,) = found["actingweb.db.retries"]
    assert (retries.value, retries.attributes["error.type"]) == (1, "DbConnectionError")
    assert sum(point.value for point in found["actingweb.db.connections.lost"]) == 1
    failed = next(span for span in sdk.spans() if "error.type" in facts(span))
    repeated = next(span for span in sdk.spans() if "actingweb.db.attempt" in facts(span))
    assert (failed.parent, facts(repeated)["actingweb.db.attempt"]) == (repeated.parent, 2)


@pytest.mark.parametrize("in_a_trace", [False, True])
def test_a_call_that_is_not_sampled_has_metrics_only(in_a_trace: bool, backend: Backend, actor_id: str) -> None:
    sdk = Sdk(ALWAYS_OFF)
    try:
        with sdk.tracers.get_tracer("application").start_as_current_span("GET /") if in_a_trace else nullcontext():
            get_actor(backend).get(actor_id)
        assert sdk.spans() == []
        assert sdk.metrics()["db.client.operation.duration"]
    finally:
        sdk.close()


@pytest.mark.parametrize("sampled", [False, True])
def test_the_sampler_says_whether_children_of_a_remote_span_are_kept(
    sampled: bool, backend: Backend, actor_id: str, sdk: Sdk
) -> None:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    remote = NonRecordingSpan(SpanContext(1, 2, is_remote=True, trace_flags=flags))
    with use_span(remote):
        get_actor(backend).get(actor_id)
    assert len(sdk.spans()) == (2 if sampled else 0)
    assert {span.context.trace_id for span in sdk.spans() if span.context} == ({1} if sampled else set())


def test_traces_that_are_sampled_and_others_may_alternate(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    local, remote = (SpanContext(number, 2, is_remote=number == 2) for number in (1, 2))
    with use_span(NonRecordingSpan(local)):
        get_actor(backend).get(actor_id)
        with sdk.tracers.get_tracer("application").start_as_current_span("sampled", Context()):
            get_actor(backend).get(actor_id)
        get_actor(backend).get(actor_id)
    get_actor(backend).get(actor_id)
    with use_span(NonRecordingSpan(local)), use_span(NonRecordingSpan(remote)):
        get_actor(backend).get(actor_id)
    # A call and its request, in the application's span and by themselves.
    assert [span.parent is not None for span in sdk.spans()] == [True, True, False, True, False]


def test_no_duration_is_missed_when_the_sdk_collects_meanwhile(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    """Durations are recorded several at once, in whichever thread made the last request or collects."""
    before = recorded(sdk)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(get_actor(backend).get, actor_id) for _ in range(101)]
        while not all(call.done() for call in calls):
            assert recorded(sdk) - before <= len(calls)
    assert recorded(sdk) - before == len(calls)
    get_actor(backend).get(actor_id)
    otel.uninstrument()
    assert recorded(sdk) - before == len(calls) + 1


def recorded(sdk: Sdk) -> int:
    """Return how many reads of actors the metric has."""
    points = sdk.metrics().get("db.client.operation.duration", [])
    names = ("SELECT", "GetItem")
    return sum(point.count for point in points if point.attributes["db.operation.name"] in names)


def test_an_exemplar_names_the_trace_of_its_request(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    sdk.metrics()
    with sdk.tracers.get_tracer("application").start_as_current_span("GET /") as outer:
        get_actor(backend).get(actor_id)
    exemplars = [one for point in sdk.metrics()["db.client.operation.duration"] for one in point.exemplars]
    assert {one.trace_id for one in exemplars} == {outer.get_span_context().trace_id}


def test_no_value_and_no_key_is_in_it(backend: Backend, actor_id: str, sdk: Sdk) -> None:
    registry = CollectorRegistry()
    prometheus.instrument(registry)
    try:
        for call in ready(backend, actor_id).values():
            call()
        get_property(backend).set(actor_id, "email", CANARY)
        with pytest.raises(DbInputError):
            get_property(backend).set(actor_id, "n", f"{CANARY}\x00")
        told = [span.to_json() for span in sdk.spans()]
        told += [str(point.attributes) for points in sdk.metrics().values() for point in points]
        told += [str(sample) for family in registry.collect() for sample in family.samples]
    finally:
        prometheus.uninstrument()
    assert len(told) > 50
    assert [text for text in told if CANARY in text or actor_id in text] == []


def test_the_metrics_of_prometheus(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    registry = CollectorRegistry()
    prometheus.instrument(registry)
    try:
        get_actor(backend).get(actor_id)
        proxy.losses = 1
        get_actor(backend).get(actor_id)
        samples = [sample for family in registry.collect() for sample in family.samples]
    finally:
        prometheus.uninstrument()
    system = "postgresql" if backend.database == "postgresql" else "aws.dynamodb"
    values = {
        (sample.name, sample.labels.get("error_type", "")): sample.value
        for sample in samples
        if sample.labels.get("db_system_name") == system
    }
    assert values["actingweb_db_retries_total", "DbConnectionError"] == 1
    assert values["actingweb_db_connections_lost_total", ""] == 1
    assert values["actingweb_db_throttles_total", ""] == 0
    assert values["db_client_operation_duration_seconds_count", "DbConnectionError"] >= 1
    assert list(registry.collect()) == []


@pytest.mark.backends("memory")
def test_metrics_that_could_not_be_made_leave_their_names_free(backend: Backend, set_env: SetEnv) -> None:
    registry = CollectorRegistry()
    set_env(DB_SLOW_CALL_SECONDS="soon")
    with pytest.raises(ConfigurationError, match="DB_SLOW_CALL_SECONDS"):
        prometheus.instrument(registry)
    assert list(registry.collect()) == []
    set_env(DB_SLOW_CALL_SECONDS="1")
    prometheus.instrument(registry)
    prometheus.uninstrument()


PROGRAM = """
import sys
import actingweb.db as db
config = db.load_backend()
db.get_actor(config).get("a")
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "prometheus_client")
             or name in ("actingweb.otel", "actingweb.prometheus")))
"""


def test_nothing_of_it_is_imported_unless_it_is_asked_for(backend: Backend) -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert told == "[]\n"


FIRST = """
from prometheus_client import REGISTRY
from actingweb.prometheus import instrument
instrument()
import actingweb.db as db
config = db.load_backend()
db.get_actor(config).get("a")
print(REGISTRY.get_sample_value("actingweb_db_connections_opened_total", {"db_system_name": SYSTEM}))
print(sum(sample.value for family in REGISTRY.collect() for sample in family.samples
          if sample.name == "db_client_operation_duration_seconds_count" and sample.labels["db_collection_name"]))
"""


def test_it_may_be_switched_on_before_the_backend_is_loaded(backend: Backend) -> None:
    system = "postgresql" if backend.database == "postgresql" else "aws.dynamodb"
    program = FIRST.replace("SYSTEM", repr(system))
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    opened, requests = map(float, told.split())
    assert opened == 1
    assert requests >= 1
