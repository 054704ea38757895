"""Tells what the connections of this process do: `actingweb.db.stats`."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from actingweb.db.events import counted
from actingweb.db.exceptions import ConfigurationError
from actingweb.db.registry import load_backend

__all__ = ["SYSTEMS", "pool_states", "stats"]

_COUNTERS = (
    *("opened", "closed", "lost", "failed", "waited", "timeouts", "retries", "throttles", "slow_calls"),
    *("unknown_outcomes", "lookup_collisions", "standby", "server_changes"),
)

SYSTEMS = {"postgresql": "postgresql", "dynamodb": "aws.dynamodb"}
"""The values of OpenTelemetry's `db.system.name`, by backend."""


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
