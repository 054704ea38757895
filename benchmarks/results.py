"""What the sections of the benchmark found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from benchmarks.driver.workload import Operation
from benchmarks.figures import Figure, Verdict, figure, ratios
from benchmarks.machine import describe_machine
from benchmarks.rounds import Times

__all__ = ["SECTIONS", "Row", "Section", "row_of"]

SECTIONS = (
    "postgresql",
    "network",
    "threads",
    "cold start",
    "memory",
    "dynamodb",
    "requests",
    "growth",
    "growth network",
    "bulk",
)
"""The names of all sections, in the order of a run."""

_MICROSECONDS = 1e6


@dataclass(frozen=True)
class Row:
    """One operation: microseconds a call of each contender, and what they are to one another.

    Attributes:
        over: ours less the floor, in microseconds.
        ratio: ours to the floor.
        cpu: the same of the client's processor time.
        peer_ratio: the peer to ours.
    """

    operation: str
    kind: str
    floor: Figure
    ours: Figure
    over: Figure
    ratio: Figure
    cpu: Figure
    peer: Figure | None = None
    peer_ratio: Figure | None = None

    @classmethod
    def fromdict(cls, values: dict[str, Any]) -> Self:
        """Return what `asdict` described."""
        figures = {name: Figure(**value) for name, value in values.items() if isinstance(value, dict)}
        return cls(**{**values, **figures})


def row_of(operation: Operation, times: Mapping[str, Times]) -> Row:
    """Return what the contenders' times say."""
    floor, ours, peer = times["floor"], times["ours"], times.get("peer")
    over = [(one - least) * _MICROSECONDS for one, least in zip(ours.wall, floor.wall, strict=True)]
    return Row(
        operation.name,
        operation.kind,
        _microseconds(floor),
        _microseconds(ours),
        figure(over),
        ratios(ours.wall, floor.wall),
        ratios(ours.cpu, floor.cpu),
        _microseconds(peer) if peer else None,
        ratios(peer.wall, ours.wall) if peer else None,
    )


def _microseconds(times: Times) -> Figure:
    return figure([seconds * _MICROSECONDS for seconds in times.wall])


@dataclass
class Section:
    """One part of the report.

    Attributes:
        notes: sentences on how it was measured, or what was left out.
        table: other figures, a row each.
        machine: where and when it was measured.
        settings: how much was measured.
    """

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=describe_machine)
    settings: dict[str, Any] = field(default_factory=dict)

    def judge(
        self, subject: str, measure: str, found: Figure, *, least: float | None = None, most: float | None = None
    ) -> None:
        """Compare a figure with its target."""
        self.verdicts.append(Verdict(self.name, subject, measure, found, least, most))

    def asdict(self) -> dict[str, Any]:
        """Return what the JSON file says of it."""
        verdicts = [verdict.asdict() for verdict in self.verdicts]
        return {**asdict(self), "verdicts": verdicts}

    @classmethod
    def fromdict(cls, values: dict[str, Any]) -> Self:
        """Return what `asdict` described."""
        rows = [Row.fromdict(row) for row in values["rows"]]
        verdicts = [Verdict.fromdict(verdict) for verdict in values["verdicts"]]
        return cls(**{**values, "rows": rows, "verdicts": verdicts})
