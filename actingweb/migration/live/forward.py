"""The forward applier, which makes rows of PostgreSQL equal to the items of DynamoDB."""

from collections.abc import Callable
from dataclasses import dataclass

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["ForwardApplier"]


@dataclass
class ForwardApplier:
    """Applies dirty keys. Any number of appliers may run, in any number of processes.

    Attributes:
        connect: opens a connection; one is kept, and replaced if it fails.
        batch: how many keys one step takes at most.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    batch: int = 100

    def step(self) -> int:
        """Apply some keys of one table that are due; return how many were taken, rejects among them.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection."""
        raise NotImplementedError
