"""A limit on read capacity units per second, shared by the threads that read."""

import time
from threading import Event, Lock
from typing import NamedTuple

__all__ = ["Permit", "RateLimit"]

_PAGE_SECONDS = 0.25
_LARGEST_PAGE_UNITS = 257.0
_LARGEST_ITEM_UNITS = 100.0


class Permit(NamedTuple):
    """What one request may read: at most `items` items, for about `units` read capacity units."""

    items: int
    units: float


class RateLimit:
    """Delays requests so that together they consume about `rcu` read capacity units per second. Thread-safe.

    One request reads what may be consumed in a quarter of a second, estimated from the latest response.
    """

    def __init__(self, rcu: float) -> None:
        self._rcu = rcu
        self._lock = Lock()
        self._item_units = _LARGEST_ITEM_UNITS
        self._next = time.monotonic()

    def acquire(self, stop: Event) -> Permit:
        """Wait until the next request may be sent, or `stop` is set; return what it may read."""
        units = min(self._rcu * _PAGE_SECONDS, _LARGEST_PAGE_UNITS)
        with self._lock:
            permit = Permit(max(1, int(units / self._item_units)), units)
            start = max(self._next, time.monotonic())
            self._next = start + units / self._rcu
        stop.wait(max(0.0, start - time.monotonic()))
        return permit

    def report_consumed(self, permit: Permit, units: float, items: int) -> None:
        """Report how many units a request consumed, and how many items it returned."""
        with self._lock:
            self._next += (units - permit.units) / self._rcu
            if items:
                self._item_units = units / items
