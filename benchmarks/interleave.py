"""Contenders that take turns, so that a busy moment strikes all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.results import Row, figure, ratios
from testbed.operations.calls import Call, timed
from testbed.operations.timed import Operation

__all__ = ["Contender", "Times", "floor_and_ours", "interleave", "row_of"]

Contender = Callable[[], tuple[float, float]]
"""Runs one round and returns the seconds, and the seconds of processor time, that a call took."""


@dataclass
class Times:
    """What one contender took in each round, in seconds a call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def interleave(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Times]:
    """Let contenders take turns, each round in another order; one round before that warms them up."""
    times = {name: Times() for name in contenders}
    names = list(contenders)
    for number in range(-1, rounds):
        for name in names:
            wall, cpu = contenders[name]()
            if number >= 0:
                times[name].wall.append(wall)
                times[name].cpu.append(cpu)
        names = [*names[1:], names[0]] if number % 2 else names[::-1]
    return times


def floor_and_ours(
    floor: Sequence[Call], ours: Callable[[], Sequence[Call]], ready: Callable[[], object]
) -> dict[str, Contender]:
    """Return the two contenders. `ready` is called before each round, `ours` after it."""

    def contender(calls: Callable[[], Sequence[Call]]) -> tuple[float, float]:
        ready()
        return timed(calls())

    return {"floor": lambda: contender(lambda: floor), "ours": lambda: contender(ours)}


def row_of(operation: Operation, times: Mapping[str, Times]) -> Row:
    """Return how the contenders `floor`, `ours` and, if it took part, `baseline` compare."""
    micros = {name: [seconds * 1e6 for seconds in one.wall] for name, one in times.items()}
    floor, ours, baseline = micros["floor"], micros["ours"], micros.get("baseline")
    return Row(
        operation.name,
        operation.kind,
        figure(floor),
        figure(ours),
        figure([one - least for one, least in zip(ours, floor, strict=True)]),
        ratios(ours, floor),
        ratios(times["ours"].cpu, times["floor"].cpu),
        figure(baseline) if baseline else None,
        ratios(baseline, ours) if baseline else None,
    )
