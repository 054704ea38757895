"""Tells what the connections of this process do: `actingweb.db.stats`, and what observers that keep metrics share."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

from actingweb.db.events import counted
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.observe import Observer, Server
from actingweb.db.registry import load_backend

__all__ = ["EVENTS", "SECONDS", "SYSTEMS", "CountingObserver", "EventMetric", "pool_states", "stats"]

_COUNTERS = (
    *("opened", "closed", "lost", "failed", "waited", "timeouts", "retries", "throttles", "slow_calls"),
    *("unknown_outcomes", "lookup_collisions", "standby", "server_changes"),
)

SYSTEMS = {"postgresql": "postgresql", "dynamodb": "aws.dynamodb"}
"""The values of OpenTelemetry's `db.system.name`, by backend."""

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""The bounds of OpenTelemetry's histograms of durations."""


class EventMetric(NamedTuple):
    """How events of one kind are counted.

    Attributes:
        name, unit, text: as OpenTelemetry has them.
        of_pool: whether the name of the pool is an attribute.
        has_error: whether the class name of the `DbError` is an attribute.
    """

    name: str
    unit: str
    text: str
    of_pool: bool = False
    has_error: bool = False


EVENTS: Mapping[str, EventMetric] = {
    "timeouts": EventMetric(
        "db.client.connection.timeouts", "{timeout}", "Calls that found no free connection in time.", of_pool=True
    ),
    "retries": EventMetric("actingweb.db.retries", "{request}", "Requests that were repeated.", has_error=True),
    "throttles": EventMetric("actingweb.db.throttles", "{request}", "Requests refused because there are too many."),
    "unknown_outcomes": EventMetric("actingweb.db.unknown_outcomes", "{call}", "Writes whose answer was lost."),
    "lookup_collisions": EventMetric(
        "actingweb.db.lookup_collisions", "{write}", "Values that another actor has claimed."
    ),
    "opened": EventMetric("actingweb.db.connections.opened", "{connection}", "Connections that were opened."),
    "lost": EventMetric("actingweb.db.connections.lost", "{connection}", "Connections that were lost."),
    "failed": EventMetric("actingweb.db.connections.failed", "{attempt}", "Connections that did not come about."),
    "server_changes": EventMetric(
        "actingweb.db.server_changes", "{change}", "Changes to another server, or to a standby."
    ),
}


class CountingObserver(Observer, ABC):
    """An observer that counts the events of EVENTS."""

    @abstractmethod
    def count(self, event: str, backend: str, error: str | None = None) -> None:
        """Count an event; `error` is the class name of the `DbError`, if EVENTS says that there is one."""

    def connection_opened(self, server: Server) -> None:
        """Count it."""
        self.count("opened", server.backend)

    def connection_lost(self, server: Server) -> None:
        """Count it."""
        self.count("lost", server.backend)

    def connection_failed(self, backend: str, error: str, reason: str) -> None:  # noqa: ARG002 - the error of the call has them
        """Count it."""
        self.count("failed", backend)

    def pool_timed_out(self, backend: str) -> None:
        """Count it."""
        self.count("timeouts", backend)

    def server_changed(self, server: Server, former: Server) -> None:  # noqa: ARG002 - addresses are in the log
        """Count it."""
        self.count("server_changes", server.backend)

    def became_standby(self, server: Server) -> None:
        """Count it."""
        self.count("server_changes", server.backend)

    def retried(self, backend: str, error: str) -> None:
        """Count it."""
        self.count("retries", backend, error)

    def throttled(self, backend: str) -> None:
        """Count it."""
        self.count("throttles", backend)

    def outcome_unknown(self, backend: str) -> None:
        """Count it."""
        self.count("unknown_outcomes", backend)

    def lookup_collided(self, backend: str) -> None:
        """Count it."""
        self.count("lookup_collisions", backend)


def pool_states() -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each built-in backend that this process has loaded, with its connections as `stats` tells them."""
    for backend in SYSTEMS:
        module = sys.modules.get(f"actingweb.db.{backend}")
        if module is not None:
            with suppress(ConfigurationError):
                yield backend, module.pool_state()


def stats(config: Any = None) -> dict[str, Any]:
    """Tell what the connections of this process do now, and what has happened, as a dict that `json.dumps` takes.

    It makes no connection and no table and sends no request, so it takes microseconds. The counters begin with the
    process, also with one that was forked; Prometheus and OpenTelemetry read them as they are.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.

    Returns:
        `backend`; the connections: `size`, of which `idle` and `used`, `max`, `min`, and
        `waiting`, the calls that wait for one; and the counters `opened`, `closed`, `lost`, `failed`, `waited`,
        `timeouts`, `retries`, `throttles`, `slow_calls`, `unknown_outcomes`, `lookup_collisions`, `standby` and
        `server_changes`. docs/monitoring.md describes each.

    Raises:
        ConfigurationError: there is no such backend, or a setting is wrong.
        ImportError: its driver is missing.
    """
    backend = load_backend(None if config is None else config.database).database
    pool: dict[str, Any] = getattr(import_module(f"actingweb.db.{backend}"), "pool_state", dict)()
    return {"backend": backend} | pool | dict.fromkeys(_COUNTERS, 0) | counted(backend)
