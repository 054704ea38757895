"""OpenTelemetry: spans and metrics of the storage layer, by the stable conventions for database clients.

    from actingweb.otel import instrument

    instrument()

A span of each public call, such as `DbProperty.set`, has a span of each request that it makes. No value, no key and no
parameter is in a span or a metric. docs/monitoring.md describes each attribute and metric.
"""

from collections import deque
from collections.abc import Iterable
from functools import cache, partial

from opentelemetry import metrics, trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider, set_span_in_context
from opentelemetry.util.types import AttributeValue

from actingweb.db import __version__
from actingweb.db.metrics import EVENTS, SECONDS, CountingObserver
from actingweb.db.observe import Call, Request, Server, add_observer, remove_observer
from actingweb.db.settings import get_settings
from actingweb.db.statistics import SYSTEMS, pool_states

__all__ = ["OpenTelemetryObserver", "instrument", "uninstrument"]

Attributes = dict[str, AttributeValue]

_NAME = "actingweb.db"
_SCHEMA = "https://opentelemetry.io/schemas/1.30.0"
_TOGETHER = 16
"""So many durations are recorded at once: right after a request, the SDK's code and data are in no processor cache."""

_instrumented: list["OpenTelemetryObserver"] = []


def instrument(
    *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> "OpenTelemetryObserver":
    """Make spans and metrics from now on, with these providers or the global ones. Further calls change nothing.

    Raise `ConfigurationError` for a bad setting.
    """
    if not _instrumented:
        _instrumented.append(OpenTelemetryObserver(tracer_provider, meter_provider))
        add_observer(_instrumented[0])
    return _instrumented[0]


def uninstrument() -> None:
    """Make no more spans and metrics."""
    while _instrumented:
        remove_observer(_instrumented.pop())


class OpenTelemetryObserver(CountingObserver):
    """Makes a span of each call and request, and metrics of requests, connections and faults."""

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        self._pending: deque[tuple[float, Attributes, Context]] = deque()
        self._dropped: Context | None = None
        """The last context whose span was not recorded: the next call is often made in the same one."""
        # Bound here, because each request uses them.
        self._start_span = trace.get_tracer(_NAME, __version__, tracer_provider, _SCHEMA).start_span
        meter = metrics.get_meter(_NAME, __version__, meter_provider, _SCHEMA)
        self._record = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of database client operations.",
            explicit_bucket_boundaries_advisory=SECONDS,
        ).record
        self._waits = meter.create_histogram(
            "db.client.connection.wait_time",
            "s",
            "The time it took to obtain an open connection, of the calls that had to wait.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        count = meter.create_counter
        self._errors = count("actingweb.db.errors", "{call}", "Public calls that raised.")
        self._counters = {event: count(metric.name, metric.unit, metric.text) for event, metric in EVENTS.items()}
        self._begin(get_settings().database_backend)
        gauge = meter.create_observable_up_down_counter
        gauge("db.client.connection.count", [self._record_pending, _count], "{connection}", "Connections, by state.")
        for metric, name, unit, text in _FIGURES:
            gauge(f"db.client.connection.{metric}", [partial(_figure, name)], unit, text)

    def _begin(self, backend: str) -> None:
        """Add nothing to each counter whose attributes are known before, so that the first event is an increase."""
        for event, metric in EVENTS.items():
            if not metric.has_error:
                self._counters[event].add(0, _of_event(event, backend, None))

    def call_began(self, call: Call) -> None:
        """Begin its span, unless the application's own span is not recorded."""
        context = get_current()
        if context is self._dropped:
            return
        if _is_dropped(trace.get_current_span(context)):
            self._dropped = context
        else:
            span = self._start_span(call.name, attributes=_of_backend(call.backend))
            if span.is_recording():
                call.kept[self] = span

    def call_ended(self, call: Call) -> None:
        """End its span."""
        span: Span | None = call.kept.get(self)
        if call.error is not None:
            facts = {**_of_backend(call.backend), "error.type": call.error, "actingweb.db.call": call.name}
            self._errors.add(1, facts)
            if span is not None:
                _fail(span, call.error, call.reason)
        if span is not None:
            span.end()

    def request_began(self, request: Request) -> None:
        """Begin its span, if that of its call is recorded."""
        parent: Span | None = trace.get_current_span() if request.call is None else request.call.kept.get(self)
        if parent is None or _is_dropped(parent):
            return
        facts = _of_request(request.server, request.operation, request.collection, request.summary)[1]
        request.kept[self] = self._start_span(request.summary, set_span_in_context(parent), SpanKind.CLIENT, facts)

    def request_ended(self, request: Request) -> None:
        """Record how long it took, and end its span."""
        facts = _of_request(request.server, request.operation, request.collection, request.summary)[0]
        if request.error is not None:
            facts = {**facts, "error.type": request.error}
        # With the context, so that exemplars name the trace.
        self._pending.append((request.seconds or 0.0, facts, get_current()))
        if len(self._pending) >= _TOGETHER:
            self._record_pending()
        span: Span | None = request.kept.get(self)
        if span is None:
            return
        if request.attempt > 1:
            span.set_attribute("actingweb.db.attempt", request.attempt)
        if request.code is not None:
            span.set_attribute("db.response.status_code", request.code)
        if request.error is not None:
            _fail(span, request.error, None)
        span.end()

    def _record_pending(self, _: CallbackOptions | None = None) -> Iterable[Observation]:
        """Hand the durations of requests to the SDK, which calls this before it collects; return no observation."""
        while True:
            try:
                pending = self._pending.popleft()
            except IndexError:
                return ()
            self._record(*pending)

    def count(self, event: str, backend: str, error: str | None = None) -> None:
        """Count an event."""
        self._counters[event].add(1, _of_event(event, backend, error))

    def connection_waited(self, backend: str, seconds: float) -> None:
        """Record for how long."""
        self._waits.record(seconds, _of_pool(backend))


_FIGURES = (
    ("idle.min", "min", "{connection}", "The number of idle connections that are kept."),
    ("max", "max", "{connection}", "The most connections that there may be."),
    ("pending_requests", "waiting", "{request}", "Calls that wait for a connection."),
)


def _is_dropped(span: Span) -> bool:
    """Tell whether a span is not recorded, so that its children would not be. Of a remote one, the sampler says it."""
    if span.is_recording():
        return False
    context = span.get_span_context()
    return context.is_valid and not context.is_remote


def _fail(span: Span, error: str, reason: str | None) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR, reason)


@cache
def _of_backend(backend: str) -> Attributes:
    return {"db.system.name": SYSTEMS.get(backend, backend)}


@cache
def _of_pool(backend: str) -> Attributes:
    return {**_of_backend(backend), "db.client.connection.pool.name": backend}


@cache
def _of_event(event: str, backend: str, error: str | None) -> Attributes:
    facts = _of_pool(backend) if EVENTS[event].of_pool else _of_backend(backend)
    return facts if error is None else {**facts, "error.type": error}


@cache
def _of_request(server: Server, operation: str, collection: str | None, summary: str) -> tuple[Attributes, Attributes]:
    """Return the attributes of the metric, and those of the span."""
    facts: dict[str, AttributeValue | None] = {
        "db.namespace": server.namespace,
        "db.operation.name": operation,
        "db.collection.name": collection,
        "server.address": server.address,
        "server.port": server.port,
    }
    of_metric = _of_backend(server.backend) | {name: value for name, value in facts.items() if value is not None}
    return of_metric, {**of_metric, "db.query.summary": summary}


def _count(_: CallbackOptions) -> Iterable[Observation]:
    for backend, state in pool_states():
        for name in ("idle", "used"):
            yield Observation(state[name], {**_of_pool(backend), "db.client.connection.state": name})


def _figure(name: str, _: CallbackOptions) -> Iterable[Observation]:
    for backend, state in pool_states():
        yield Observation(state[name], _of_pool(backend))
