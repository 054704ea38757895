"""What the sections of the benchmark found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.driver.workload import Operation
from benchmarks.figures import Figure, Verdict, figure, ratios
from benchmarks.rounds import Times

__all__ = ["Row", "Section", "row_of"]

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
    """

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)

    def judge(
        self, subject: str, measure: str, found: Figure, *, least: float | None = None, most: float | None = None
    ) -> None:
        """Compare a figure with its target."""
        self.verdicts.append(Verdict(self.name, subject, measure, found, least, most))

    def asdict(self) -> dict[str, Any]:
        """Return what the JSON file says of it."""
        verdicts = [verdict.asdict() for verdict in self.verdicts]
        return {**asdict(self), "verdicts": verdicts}
