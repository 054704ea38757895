"""Medians with their spread, and figures with their targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["Figure", "Verdict", "figure", "ratios"]


@dataclass(frozen=True)
class Figure:
    """The median of the rounds, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float


def figure(values: Sequence[float]) -> Figure:
    """Return the median and the quartiles of at least one value."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high)


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Return what the ratio of two contenders was, round by round."""
    return figure([one / other for one, other in zip(numerators, denominators, strict=True)])


@dataclass(frozen=True)
class Verdict:
    """A figure and its target: at least `least`, at most `most`."""

    section: str
    subject: str
    measure: str
    figure: Figure
    least: float | None = None
    most: float | None = None

    @property
    def target(self) -> str:
        """The bound as text."""
        return f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"

    @property
    def met(self) -> bool:
        """Whether the median is within its bounds."""
        value = self.figure.median
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def asdict(self) -> dict[str, Any]:
        """Return what the JSON file says of it."""
        return {**asdict(self), "met": self.met}

    @classmethod
    def fromdict(cls, values: dict[str, Any]) -> Self:
        """Return what `asdict` described."""
        bounds = {name: values[name] for name in ("least", "most")}
        return cls(values["section"], values["subject"], values["measure"], Figure(**values["figure"]), **bounds)
