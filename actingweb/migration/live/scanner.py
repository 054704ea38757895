"""The scan of the tables: each page is loaded with its checkpoint in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["Scanner"]


@dataclass
class Scanner:
    """Scans the segments that no other process scans, the table of the actors first.

    Attributes:
        connect: opens a connection; one is kept, and replaced if it fails.
        holder: the name under which leases are taken, which no other process uses.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    holder: str

    def step(self) -> bool:
        """Load one page of one segment, or finish a table whose segments are loaded; tell whether there was one.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the leases back and close the connection."""
        raise NotImplementedError
