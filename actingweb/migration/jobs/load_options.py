"""What the jobs that load rows are told, and what they return."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

from actingweb.migration.errors import UsageError
from actingweb.migration.target.progress import Counts

__all__ = ["LoadOptions", "LoadSummary", "OnCounts"]

OnCounts = Callable[[str, Counts], None]
"""Called before the first batch and after each, in any thread, with the table and its counts.

The counts include those of interrupted runs.
"""


@dataclass(frozen=True)
class LoadOptions:
    """How to load.

    Attributes:
        rejects: the directory of the reject files.
        indexed_properties: the properties whose values get look-up rows.
        skip_duplicates: keep existing rows that have the same key; otherwise such a row stops the load.
        max_rejects: how many rejects a table may have; None for no limit.
        restart: forget an unfinished load, and delete the rows that it has loaded unless duplicates are skipped.
    """

    rejects: Path
    indexed_properties: tuple[str, ...]
    skip_duplicates: bool = False
    max_rejects: int | None = None
    restart: bool = False

    def check_rejects(self) -> None:
        """Raise `UsageError` unless reject files can be written."""
        existing = (path for path in (self.rejects, *self.rejects.parents) if path.exists())
        try:
            TemporaryFile(dir=next(existing, self.rejects)).close()
        except OSError as error:
            raise UsageError(
                f"rejected rows could not be written to {self.rejects} ({error.strerror}): name another directory with "
                "--rejects-dir"
            ) from None


@dataclass
class LoadSummary:
    """What a load did, including the runs that it continued.

    Attributes:
        counts: by table.
        unknown: the number of rows of this run with an attribute that the layout does not know, by table and attribute.
        missing: the optional tables that the source does not have.
        notes: what the user should know about the source.
        look_ups: the number of look-up rows that were created; None if they are left alone, because the properties are.
        unclaimed: how many of them are for values without a claim, and name the smallest id.
        without_claims: whether the source has no claims.
        other_names: some of the properties, other than the indexed ones, whose values are claimed.
    """

    counts: dict[str, Counts] = field(default_factory=dict)
    unknown: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    look_ups: int | None = None
    unclaimed: int = 0
    without_claims: bool = False
    other_names: list[str] = field(default_factory=list)

    def add_look_ups(self, claimed: int, unclaimed: int) -> None:
        """Set the numbers of look-up rows that were created."""
        self.look_ups, self.unclaimed = claimed + unclaimed, unclaimed

    @property
    def rejected(self) -> int:
        """The number of rejected rows."""
        return sum(counts.rejected for counts in self.counts.values())
