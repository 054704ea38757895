"""How much a run measures."""

from dataclasses import dataclass

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
