"""What observers that keep metrics share: the counters of events, with the names that OpenTelemetry gives them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from actingweb.db.observe import Observer, Server

__all__ = ["EVENTS", "SECONDS", "CountingObserver", "EventMetric"]

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
