"""Readers of stream shards, which mark the keys of changed rows."""

from collections.abc import Callable
from dataclasses import dataclass

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["ShardReader"]


@dataclass
class ShardReader:
    """Reads the shards that no other process reads, parents and children at the same time.

    Attributes:
        connect: opens a connection; one is kept, and replaced if it fails.
        holder: the name under which leases are taken, which no other process uses.
    """

    state: State
    requests: Requests
    connect: Callable[[], Connection]
    holder: str

    def step(self) -> int:
        """Read the next batch of one shard, mark its keys and store the position; return how many records it had.

        Raise `SourceError` or `TargetError`; nothing is lost then, and the next step repeats it.
        """
        raise NotImplementedError

    def discover(self) -> int:
        """Describe the streams of all tables once and store new shards; return how many.

        It also looks for tables that were absent, and notices a stream that was switched off or replaced. Raise the
        same as `step`.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the leases back and close the connection."""
        raise NotImplementedError
