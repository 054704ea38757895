"""The status of a live migration as metrics for Prometheus."""

from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actingweb.migration.errors import MigrationError
from actingweb.migration.live.state import FLIPPED, PREPARED, ROLLED_BACK, SYNCING
from actingweb.migration.live.status import Status, TableStatus

__all__ = ["CONTENT_TYPE_LATEST", "StatusCollector", "exposition"]

_PREFIX = "actingweb_migration_"
_PHASES = (PREPARED, SYNCING, FLIPPED, ROLLED_BACK)

_Figure = Callable[[TableStatus], float | None]

_COUNTERS: dict[str, tuple[str, _Figure]] = {
    "rows_scanned": ("Items that the scan has read.", lambda table: table.read),
    "rows_written": ("Rows that the scan has written.", lambda table: table.written),
    "conflicts": ("Writes that reached the side that does not own the actor.", lambda table: table.conflicts),
}
_GAUGES: dict[str, tuple[str, _Figure]] = {
    "table_present": ("1 if the table exists in DynamoDB, else 0.", lambda table: table.present),
    "table_scanned": ("1 if the scan of the table is done, else 0.", lambda table: table.scanned),
    "estimated_rows": ("How many items DynamoDB reports.", lambda table: table.estimated_rows),
    "lag_seconds": ("For how long the oldest pending change has been waiting.", lambda table: table.lag),
    "open_shards": ("Shards of the stream that are being read.", lambda table: table.open_shards),
    "unread_record_age_seconds": (
        "Age of the oldest record that is known and not read; streams keep records for 24 hours.",
        lambda table: table.unread_age,
    ),
    "stream_silence_seconds": ("For how long a shard has not been asked for records.", lambda table: table.silence),
    "gaps": ("Losses of records that no comparison has made up for.", lambda table: table.gaps),
    "unsettled_conflicts": ("Conflicts that nobody has settled.", lambda table: table.unsettled),
    "last_comparison_timestamp_seconds": (
        "When both sides were last compared, in seconds since 1970.",
        lambda table: None if table.compared_at is None else table.compared_at.timestamp(),
    ),
    "last_comparison_differences": (
        "Rows that differed in the last comparison.",
        lambda table: table.compared_differences,
    ),
}
_SIDES: dict[str, tuple[str, _Figure, _Figure]] = {
    "changes_waiting": (
        "Changes that are to be applied to a side.",
        lambda table: table.dirty,
        lambda table: table.marks,
    ),
    "oldest_change_age_seconds": (
        "Age of the oldest change that is to be applied to a side.",
        lambda table: table.dirty_age,
        lambda table: table.mark_age,
    ),
    "rejected_rows": (
        "Rows that a side cannot hold, without those that were accepted by name.",
        lambda table: table.rejects,
        lambda table: table.rejects_back,
    ),
    "accepted_rows": (
        "Rows that a side cannot hold and that were accepted by name.",
        lambda table: table.accepted,
        lambda table: table.accepted_back,
    ),
}
_UP = "1 if the state of the migration could be read, else 0."
_APPLIED = "Changes that were applied to a side."


class StatusCollector(Collector):
    """Reads the status once a scrape; what is not known has no sample."""

    def __init__(self, read: Callable[[], Status]) -> None:
        """`read` may raise `MigrationError`; then `actingweb_migration_up` is 0, and there is no other metric."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the migration and of each table."""
        try:
            status = self._read()
        except MigrationError:
            yield _gauge("up", _UP, 0)
            return
        yield _gauge("up", _UP, 1)
        yield from _of_migration(status)
        yield from _of_tables(status.tables)


def exposition(read: Callable[[], Status]) -> bytes:
    """Return the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(StatusCollector(read))
    return generate_latest(registry)


def _of_migration(status: Status) -> Iterator[Metric]:
    phases = GaugeMetricFamily(f"{_PREFIX}phase", "1 for the phase of the migration, else 0.", labels=["phase"])
    for phase in _PHASES:
        phases.add_metric([phase], phase == status.migration.phase)
    yield phases
    started = status.migration.started_at.timestamp()
    yield _gauge("start_timestamp_seconds", "When the migration was prepared, in seconds since 1970.", started)
    yield _gauge("safe_to_cut_over", "1 if nothing speaks against a cutover, else 0.", status.gate().is_open)
    yield _gauge("sync_processes", "Processes of `migrate sync` that are at work.", status.processes)
    yield _gauge("scanned_ratio", "Share of the rows that have been scanned.", status.scanned)
    yield _gauge("retention_used_ratio", "Age of the oldest unread record, of 24 hours.", status.retention_used)
    yield _gauge("postgresql_owned_ratio", "Share of the actors that PostgreSQL owns.", status.share / 100)


def _of_tables(tables: tuple[TableStatus, ...]) -> Iterator[Metric]:
    for name, (text, figure) in _COUNTERS.items():
        counter = CounterMetricFamily(_PREFIX + name, text, labels=["table"])
        for table in tables:
            _add(counter, [table.name], figure(table))
        yield counter
    applied = CounterMetricFamily(f"{_PREFIX}changes_applied", _APPLIED, labels=["table", "side"])
    for table in tables:
        _add(applied, [table.name, "postgresql"], table.applied)
        _add(applied, [table.name, "dynamodb"], table.applied_back)
    yield applied
    for name, (text, figure) in _GAUGES.items():
        gauge = GaugeMetricFamily(_PREFIX + name, text, labels=["table"])
        for table in tables:
            _add(gauge, [table.name], figure(table))
        yield gauge
    for name, (text, forward, backward) in _SIDES.items():
        gauge = GaugeMetricFamily(_PREFIX + name, text, labels=["table", "side"])
        for table in tables:
            _add(gauge, [table.name, "postgresql"], forward(table))
            _add(gauge, [table.name, "dynamodb"], backward(table))
        yield gauge


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _add(family: CounterMetricFamily | GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)
