"""Contenders that take turns, so that a busy moment strikes all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.results import Figure, Row, figure, ratios
from testbed.operations.calls import Call, timed
from testbed.operations.timed import Operation

__all__ = ["Contender", "Times", "interleave", "runner"]

Contender = Callable[[], tuple[float, float]]
"""Runs one round and returns the seconds, and the seconds of processor time, that a call took."""


@dataclass(frozen=True)
class Times:
    """What each contender took in each round, in seconds a call."""

    wall: Mapping[str, list[float]]
    cpu: Mapping[str, list[float]]

    def ratio(self, one: str, other: str) -> Figure:
        """Return what a contender took in relation to another."""
        return ratios(self.wall[one], self.wall[other])

    def over(self) -> Figure:
        """Return by how many microseconds a call takes longer than the floor's."""
        return figure([(one - least) * 1e6 for one, least in zip(self.wall["ours"], self.wall["floor"], strict=True)])

    def row(self, operation: Operation) -> Row:
        """Return how `floor`, `ours` and other contenders compare."""
        return Row(
            operation.name,
            operation.kind,
            {name: figure([seconds * 1e6 for seconds in each]) for name, each in self.wall.items()},
            self.ratio("ours", "floor"),
            ratios(self.cpu["ours"], self.cpu["floor"]),
            self.ratio("baseline", "ours") if "baseline" in self.wall else None,
        )


def interleave(contenders: Mapping[str, Contender], rounds: int) -> Times:
    """Let contenders take turns, each round in another order; one round before that warms them up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1, rounds):
        for name in names:
            took = contenders[name]()
            if number >= 0:
                found[name].append(took)
        names = [*names[1:], names[0]] if number % 2 else names[::-1]
    wall, cpu = ({name: [took[part] for took in each] for name, each in found.items()} for part in (0, 1))
    return Times(wall, cpu)


def runner(ready: Callable[[], object], calls: Callable[[], Sequence[Call]]) -> Contender:
    """Return a contender that calls `ready` before each round, and `calls` after it."""

    def run() -> tuple[float, float]:
        ready()
        return timed(calls())

    return run
