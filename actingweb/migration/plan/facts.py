"""What the plan learns about each table, and what it will take to read it."""

from dataclasses import dataclass, field

__all__ = ["TableFacts", "duration"]


@dataclass
class TableFacts:
    """A table of the source.

    Attributes:
        exists: whether the source has it; a table that does not exist yet is created on first use.
        rows, size: number and bytes of the items, as DynamoDB reports them (every six hours), or as counted if the
            sample contains the whole table.
        sampled: the number of items in the sample.
        units: the read capacity units that the sample consumed.
        whole: whether the sample contains the whole table.
        rejects: how many items of the sample PostgreSQL cannot hold, by reason.
        unknown: how many items of the sample have an attribute that the layout does not know, by attribute.
        orphans: how many items of the sample belong to an actor that does not exist.
        shared: how many values of indexed properties in the sample have several holders.
    """

    exists: bool
    rows: int = 0
    size: int = 0
    sampled: int = 0
    units: float = 0.0
    whole: bool = False
    rejects: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    orphans: int = 0
    shared: int = 0

    @property
    def read_units(self) -> float:
        """The read capacity units of one whole, strongly consistent scan."""
        if self.whole or not self.sampled:
            return self.units
        # Pages are full: what an item costs is what the sample's items cost, but for the rounding of its few pages.
        return max(self.size / 4096, self.rows / self.sampled * self.units)


def duration(seconds: float) -> str:
    """Return a duration in words for people, such as `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
