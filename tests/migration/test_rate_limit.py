"""The limit on read capacity units, with a clock of the test's own."""

import heapq
from collections.abc import Iterator
from itertools import count

import pytest

from actingweb.migration.source.rate_limit import Budget

Table = list[int]
"""The numbers of items of its segments."""


class Simulation:
    """Scans on a server that answers after `latency` seconds, in which time passes only where something waits."""

    def __init__(self, rcu: float, item_units: float, latency: float) -> None:
        self.now = 0.0
        self.budget = Budget(rcu, 0.0)
        self.item_units = item_units
        self.latency = latency
        self.consumed: list[tuple[float, float]] = []
        """When units were consumed, and how many."""

    def run(self, tables: list[Table]) -> None:
        """Read one table after the other, the segments of each at the same time."""
        for table in tables:
            order = count()
            waiting = [(self.now, next(order), self._segment(items)) for items in table]
            while waiting:
                self.now, _, segment = heapq.heappop(waiting)
                until = next(segment, None)
                if until is not None:
                    heapq.heappush(waiting, (until, next(order), segment))

    def _segment(self, items: int) -> Iterator[float]:
        """Read a segment; yield until when to wait, as the threads of the scan do, which look again and again."""
        while True:
            while (next_request := self.budget.next_request) > self.now:
                yield min(next_request, self.now + 0.001)
            permit = self.budget.permit(self.now)
            yield self.now + self.latency
            read = min(permit.items, items)
            units = max(0.5, read * self.item_units)
            self.consumed.append((self.now, units))
            self.budget.answered(permit, units, read)
            latest = self.budget.paid
            while (paid := min(self.budget.paid, latest)) > self.now:
                yield min(paid, self.now + 0.001)
            items -= read
            if items == 0:
                return

    @property
    def units(self) -> float:
        """How many units were consumed."""
        return sum(units for _, units in self.consumed)


SMALL = [[10, 12, 8, 11], *([[0, 0, 0, 0]] * 8)]
FEW_LARGE = [[3, 2, 4, 3], [1, 0, 2, 1]]
MANY = [[2000, 1900, 2100, 2050], [40, 50, 45, 38], [0, 0, 0, 0]]


@pytest.mark.parametrize("latency", [0.0005, 0.003])
@pytest.mark.parametrize("rcu", [20.0, 100.0, 400.0])
@pytest.mark.parametrize(
    ("tables", "item_units"), [(SMALL, 3.0), (FEW_LARGE, 100.0), (MANY, 0.5)], ids=["small", "large items", "many"]
)
def test_the_rate_is_kept_within_a_tenth(tables: list[Table], item_units: float, rcu: float, latency: float) -> None:
    simulation = Simulation(rcu, item_units, latency)
    simulation.run(tables)
    assert simulation.units / rcu == pytest.approx(simulation.now, rel=0.1)


@pytest.mark.parametrize("segments", [1, 4, 16])
def test_no_second_takes_much_more_than_its_share(segments: int) -> None:
    """Also of a server that was slow at first."""
    simulation = Simulation(100.0, 0.5, 0.002)
    simulation.now = 30.0
    simulation.run([[400] * segments])
    for start, _ in simulation.consumed:
        during = sum(units for when, units in simulation.consumed if start <= when < start + 1)
        # What is due, what a second left over, and what may be sent early.
        assert during <= 100 + 100 + 100


def test_a_request_that_reads_little_makes_room_for_the_next() -> None:
    budget = Budget(100.0, 0.0)
    first = budget.permit(0.0)
    assert (budget.paid, budget.next_request) == (0.25, -0.5)
    budget.answered(first, 0.5, 0)
    assert budget.paid == pytest.approx(0.005)


def test_the_size_of_the_items_that_were_read_decides_how_many_are_asked_for() -> None:
    budget = Budget(100.0, 0.0)
    assert budget.permit(0.0).items == 1
    budget.answered(budget.permit(0.0), 5.0, 10)
    assert budget.permit(0.0).items == 50
