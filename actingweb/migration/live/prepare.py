"""The preparation of a live migration from DynamoDB: streams on, shards stored, before the first page is scanned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.state import State

__all__ = ["Preparation", "prepare"]


@dataclass(frozen=True)
class Preparation:
    """How to prepare.

    Attributes:
        prefix: of the DynamoDB tables, see `DynamoDBSource`.
        region, endpoint: where the tables are; None as in the settings.
        indexed_properties: the properties whose values have look-up rows even if nobody claims them.
        segments: of each scan.
        enable_streams: whether streams that are off may be switched on; otherwise they are an error.
        by: who does it, for the audit trail.
    """

    prefix: str
    region: str | None
    endpoint: str | None
    indexed_properties: Sequence[str]
    segments: int
    enable_streams: bool
    by: str


def prepare(state: State, requests: Requests, options: Preparation, progress: Callable[[str], None]) -> None:
    """Create the state of a migration from DynamoDB and store all shards of the streams; repeat it after a failure.

    `progress` is called with lines for the user. Raise `UsageError`, `SourceError` or `TargetError`. Nothing but the
    state is written in PostgreSQL, and in DynamoDB nothing but the setting of a stream, if that is allowed.
    """
    raise NotImplementedError
