"""Contenders that take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.driver.workload import Call

__all__ = ["Contender", "Times", "alternate", "timed"]

Contender = Callable[[], tuple[float, float]]
"""Runs one round and returns the seconds, and the seconds of processor time, that a call took."""


@dataclass
class Times:
    """What one contender took in each round, in seconds a call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def alternate(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Times]:
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


def timed(calls: Sequence[Call]) -> tuple[float, float]:
    """Make the calls and return what one took."""
    gc.collect()
    gc.disable()
    began, cpu = time.perf_counter(), time.thread_time()
    for call in calls:
        call()
    wall, cpu = time.perf_counter() - began, time.thread_time() - cpu
    gc.enable()
    return wall / len(calls), cpu / len(calls)
