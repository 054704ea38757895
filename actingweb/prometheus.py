"""Prometheus: metrics of the storage layer, with the names that OpenTelemetry's have there.

    from actingweb.prometheus import instrument

    instrument()

The application serves the registry as it serves its other metrics, as by `prometheus_client.start_http_server`. No
label has a value or a key. docs/monitoring.md describes each metric.
"""

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actingweb.db.metrics import EVENTS, SECONDS, CountingObserver, EventMetric
from actingweb.db.observe import Call, Request, add_observer, remove_observer
from actingweb.db.settings import get_settings
from actingweb.db.statistics import SYSTEMS, pool_states

__all__ = ["PrometheusObserver", "instrument", "uninstrument"]

_SYSTEM, _POOL, _ERROR = "db_system_name", "db_client_connection_pool_name", "error_type"
_REQUEST = (_SYSTEM, "db_operation_name", "db_collection_name", "server_address", "server_port", _ERROR)

_instrumented: list["PrometheusObserver"] = []


def instrument(registry: CollectorRegistry = REGISTRY) -> "PrometheusObserver":
    """Keep metrics in a registry from now on. Further calls change nothing.

    Raise `ConfigurationError` for a bad setting; then nothing of it is in the registry.
    """
    if not _instrumented:
        _instrumented.append(PrometheusObserver(registry))
        add_observer(_instrumented[0])
    return _instrumented[0]


def uninstrument() -> None:
    """Keep no more metrics, and take them out of the registry."""
    while _instrumented:
        observer = _instrumented.pop()
        remove_observer(observer)
        observer.unregister()


class PrometheusObserver(CountingObserver):
    """Counts requests, connections and faults.

    Attributes:
        collectors: what the registry has of it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.collectors: list[Collector] = []
        self._registry = registry
        try:
            self._register()
        except BaseException:
            # Otherwise the names are taken, and it cannot be tried again.
            self.unregister()
            raise

    def unregister(self) -> None:
        """Take the metrics out of the registry."""
        while self.collectors:
            self._registry.unregister(self.collectors.pop())

    def _register(self) -> None:
        self._requests = self._histogram("db_client_operation_duration_seconds", "Duration of requests.", *_REQUEST)
        self._waits = self._histogram(
            "db_client_connection_wait_time_seconds", "Of the calls that waited for a connection.", _SYSTEM, _POOL
        )
        self._errors = self._counter(
            "actingweb_db_errors", "Public calls that raised.", _SYSTEM, _ERROR, "actingweb_db_call"
        )
        self._counters = {event: self._counter_of(metric) for event, metric in EVENTS.items()}
        self._children: dict[tuple[object, ...], Histogram] = {}
        self._keep(_Pools())

    def call_ended(self, call: Call) -> None:
        """Count an error."""
        if call.error is not None:
            self._errors.labels(_system(call.backend), call.error, call.name).inc()

    def request_ended(self, request: Request) -> None:
        """Record how long it took."""
        server = request.server
        key = server, request.operation, request.collection, request.error
        child = self._children.get(key)
        if child is None:
            names = _system(server.backend), request.operation, request.collection or "", server.address
            child = self._children[key] = self._requests.labels(*names, server.port or "", request.error or "")
        child.observe(request.seconds or 0.0)

    def count(self, event: str, backend: str, error: str | None = None) -> None:
        """Count an event."""
        pool = [backend] if EVENTS[event].of_pool else []
        self._counters[event].labels(_system(backend), *pool, *([] if error is None else [error])).inc()

    def connection_waited(self, backend: str, seconds: float) -> None:
        """Record for how long."""
        self._waits.labels(_system(backend), backend).observe(seconds)

    def _counter_of(self, metric: EventMetric) -> Counter:
        pool, error = [_POOL] if metric.of_pool else [], [_ERROR] if metric.has_error else []
        return self._counter(metric.name.replace(".", "_"), metric.text, _SYSTEM, *pool, *error)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        made = Counter(name, text, labels, registry=self._registry)
        self.collectors.append(made)
        if _ERROR not in labels:
            # A sample of 0, so that the first event is an increase.
            backend = get_settings().database_backend
            made.labels(_system(backend), *(backend for _ in labels[1:]))
        return made

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        made = Histogram(name, text, labels, registry=self._registry, buckets=SECONDS)
        self.collectors.append(made)
        return made

    def _keep(self, collector: Collector) -> None:
        self._registry.register(collector)
        self.collectors.append(collector)


class _Pools(Collector):
    """Reads the pools once a scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield how many connections there are and may be, and how many calls wait for one."""
        labels, name = [_SYSTEM, _POOL], "db_client_connection_"
        count = GaugeMetricFamily(f"{name}count", "Connections.", labels=[*labels, f"{name}state"])
        least = GaugeMetricFamily(f"{name}idle_min", "Idle connections that are kept.", labels=labels)
        most = GaugeMetricFamily(f"{name}max", "The most connections that there may be.", labels=labels)
        pending = GaugeMetricFamily(f"{name}pending_requests", "Calls that wait for a connection.", labels=labels)
        for backend, state in pool_states():
            pool = [_system(backend), backend]
            count.add_metric([*pool, "idle"], state["idle"])
            count.add_metric([*pool, "used"], state["used"])
            least.add_metric(pool, state["min"])
            most.add_metric(pool, state["max"])
            pending.add_metric(pool, state["waiting"])
        yield from (count, least, most, pending)


def _system(backend: str) -> str:
    return SYSTEMS.get(backend, backend)
