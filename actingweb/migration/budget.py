"""A budget of read capacity units, shared by the threads that read."""

import time
from threading import Event, Lock
from typing import NamedTuple

__all__ = ["Budget", "Claim"]

_PAGE_SECONDS = 0.25
_LARGEST_PAGE_UNITS = 257.0
_LARGEST_ITEM_UNITS = 100.0


class Claim(NamedTuple):
    """What one request may take: so many items, for about so many units."""

    items: int
    units: float


class Budget:
    """Spaces requests so that together they consume `rcu` units a second. Thread-safe.

    One request takes what may be consumed in a quarter of a second, going by the price of the items so far.
    """

    def __init__(self, rcu: float) -> None:
        self._rcu = rcu
        self._lock = Lock()
        self._item_units = _LARGEST_ITEM_UNITS
        self._next = time.monotonic()

    def claim(self, stop: Event) -> Claim:
        """Return what the next request may take, once it may be sent or `stop` is set."""
        units = min(self._rcu * _PAGE_SECONDS, _LARGEST_PAGE_UNITS)
        with self._lock:
            claim = Claim(max(1, int(units / self._item_units)), units)
            start = max(self._next, time.monotonic())
            self._next = start + units / self._rcu
        stop.wait(max(0.0, start - time.monotonic()))
        return claim

    def settle(self, claim: Claim, units: float, items: int) -> None:
        """Say what a request consumed, and for how many items."""
        with self._lock:
            self._next += (units - claim.units) / self._rcu
            if items:
                self._item_units = units / items
