"""A limit on read capacity units per second, shared by the threads that read."""

import time
from collections.abc import Callable
from threading import Condition, Event
from typing import NamedTuple

__all__ = ["Budget", "Permit", "RateLimit"]

_PAGE_SECONDS = 0.25
_AHEAD_SECONDS = 0.75
"""How early requests may be sent. Small ones would else come one by one, each after the answer to the one before."""
_LARGEST_PAGE_UNITS = 257.0
_LARGEST_ITEM_UNITS = 100.0
_SAVED_SECONDS = 1.0
"""For how long units that were not consumed may be consumed later, beyond the rate."""
_LONGEST_WAIT = 0.1
"""How often a thread that waits looks whether it is to stop."""


class Permit(NamedTuple):
    """What one request may read: at most `items` items, for about `units` read capacity units."""

    items: int
    units: float


class Budget:
    """The arithmetic of the limit; `now` is a time in seconds, from any clock.

    What was consumed is paid for by time, at `rcu` units per second; requests that are unanswered count with what they
    may read.

    Attributes:
        paid: when everything will be paid for.
    """

    def __init__(self, rcu: float, now: float) -> None:
        self._rcu = rcu
        self._item_units = _LARGEST_ITEM_UNITS
        self.paid = now

    @property
    def next_request(self) -> float:
        """When the next request may be sent."""
        return self.paid - _AHEAD_SECONDS

    def permit(self, now: float) -> Permit:
        """Return what a request that is sent now may read: what may be consumed in a quarter of a second."""
        units = min(self._rcu * _PAGE_SECONDS, _LARGEST_PAGE_UNITS)
        self.paid = max(self.paid, now - _SAVED_SECONDS) + units / self._rcu
        return Permit(max(1, int(units / self._item_units)), units)

    def answered(self, permit: Permit, units: float, items: int) -> None:
        """Replace what a request might have read by what it did: `units` for `items` items."""
        self.paid += (units - permit.units) / self._rcu
        if items:
            self._item_units = units / items


class RateLimit:
    """Delays requests, and their answers, so that together they consume `rcu` read capacity units per second.

    Thread-safe.
    """

    def __init__(self, rcu: float) -> None:
        self._budget = Budget(rcu, time.monotonic())
        self._changed = Condition()

    def acquire(self, stop: Event) -> Permit:
        """Wait until the next request may be sent, or `stop` is set; return what it may read."""
        with self._changed:
            self._wait(lambda: self._budget.next_request, stop)
            return self._budget.permit(time.monotonic())

    def report_consumed(self, permit: Permit, units: float, items: int, stop: Event) -> None:
        """Report what a request consumed and how many items it returned; wait until that is paid for, or `stop` is set.

        Waiting afterwards keeps the rate also where each table has a few pages only.
        """
        with self._changed:
            self._budget.answered(permit, units, items)
            self._changed.notify_all()
            # Requests that are sent meanwhile make this wait no longer.
            latest = self._budget.paid
            self._wait(lambda: min(self._budget.paid, latest), stop)

    def _wait(self, until: Callable[[], float], stop: Event) -> None:
        while not stop.is_set() and (rest := until() - time.monotonic()) > 0:
            self._changed.wait(min(rest, _LONGEST_WAIT))
