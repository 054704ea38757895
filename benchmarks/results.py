"""What every measurement takes and yields: sizes; sections of rows, and of figures with targets; and their file."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe_machine, note
from testbed.operations.operation import Operation
from testbed.operations.timed import TIMED


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: how often each contender takes its turn.
        crowd_seconds: how long many threads work in each round.
        actors: how many a large database has.
        exported: the rows that are exported beside an earlier commit.
        migrated, table_rows: the rows of a migration, and the most of them that DynamoDB Local gets.
        followed, load_seconds: the rows of a live migration, and how long an application writes meanwhile.
        operations: those that are timed.
    """

    rounds: int = 15
    crowd_seconds: float = 0.5
    actors: int = 1_000_000
    exported: int = 50_000
    migrated: int = 1_000_000
    table_rows: int = 200_000
    followed: int = 100_000
    load_seconds: float = 30
    operations: tuple[Operation, ...] = TIMED


QUICK = Sizes(3, 0.2, actors=10_000, exported=5_000, migrated=20_000, followed=5_000, load_seconds=5)
"""For a look, not for figures."""


class Figure(NamedTuple):
    """The median of the rounds, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> str:
        """The quartiles as text."""
        return f"{text(self.low)} – {text(self.high)}"


def figure(values: Sequence[float]) -> Figure:
    """Return the median and the quartiles of at least one value."""
    if len(values) == 1:
        return Figure(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """Return what the ratio of two contenders was, round by round."""
    return figure([one / other for one, other in zip(numerators, denominators, strict=True)])


def text(value: Any) -> str:
    """Return a value of a row as text: a number, or the median of a figure, with as many digits as it is worth."""
    if value is None or isinstance(value, str):
        return value or ""
    value = value.median if isinstance(value, Figure) else value
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def operands(measure: str) -> tuple[str, str, str, str]:
    """Return what a measure compares, as `processor time, ours / floor` or `ours − floor, µs`.

    These are "CPU " for processor time, else ""; one contender; "/" or "−"; and the other contender.
    """
    compared = measure.removeprefix("processor time, ")
    sign = "−" if "−" in compared else "/"
    one, _, other = compared.removesuffix(", µs").removesuffix(" actors").partition(f" {sign} ")
    return ("" if compared == measure else "CPU "), one, sign, other


@dataclass
class Target:
    """A measure that is to be at least `least` and at most `most`, and its figure for each subject."""

    measure: str
    least: float | None
    most: float | None
    figures: dict[str, Figure] = field(default_factory=dict)

    @property
    def bounds(self) -> str:
        """The bounds as text."""
        bounds = ((self.least, "≥"), (self.most, "≤"))
        return ", ".join(f"{sign} {bound:g}" for bound, sign in bounds if bound is not None)

    def is_met(self, subject: str) -> bool:
        """Tell whether the median of this subject is within the bounds."""
        value = self.figures[subject].median
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def missed(self) -> dict[str, Figure]:
        """Return the figures of the subjects that miss the target."""
        return {subject: found for subject, found in self.figures.items() if not self.is_met(subject)}


@dataclass
class Section:
    """One part of the report.

    Attributes:
        rows: what was measured, a dict of texts, numbers and figures each; the first value says of what. Names that
            begin with "CPU " are processor time, which the page leaves out.
        notes: sentences on how it was measured, or what was left out.
        machine: where and when it was measured.
        settings: how much was measured.
    """

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=describe_machine)
    settings: dict[str, Any] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, and print it on stderr."""
        self.rows.append(row)
        texts = [value if isinstance(value, str) else f"{name} {text(value)}" for name, value in row.items()]
        note(", ".join(texts))

    def judge(
        self,
        subject: str,
        measure: str,
        found: Figure | float | None,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """Compare a figure, if there is one, with its target."""
        if found is None:
            return
        target = next(
            (one for one in self.targets if (one.measure, one.least, one.most) == (measure, least, most)), None
        )
        if target is None:
            target = Target(measure, least, most)
            self.targets.append(target)
        target.figures[subject] = found if isinstance(found, Figure) else figure([found])


def read_sections(directory: Path) -> list[Section]:
    """Return the sections that the JSON file in this directory has."""
    path = directory / "bench.json"
    content = json.loads(path.read_text(), object_hook=_with_figures) if path.exists() else {}
    return [Section(**{**one, "targets": [Target(**target) for target in one["targets"]]}) for one in content.values()]


def _with_figures(values: dict[str, Any]) -> dict[str, Any]:
    """Return an object with figures instead of lists of numbers."""
    lists = {name: one for name, one in values.items() if isinstance(one, list) and one}
    return values | {name: Figure(*one) for name, one in lists.items() if isinstance(one[0], int | float)}


def write_sections(directory: Path, sections: Iterable[Section]) -> None:
    """Write these sections into the JSON file, beside those of earlier runs: an object a line, four digits a number."""
    measured = {section.name: asdict(section) for section in [*read_sections(directory), *sections]}
    rounded = json.loads(json.dumps(measured), parse_float=lambda digits: float(f"{float(digits):.4g}"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bench.json").write_text(json.dumps(rounded, ensure_ascii=False).replace(' {"', '\n{"') + "\n")
