"""Streams of tables: their shards, and the records of a shard.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from actingweb.migration.errors import SourceError
from actingweb.migration.live.dynamodb import Requests

__all__ = ["EXPIRED", "TRIMMED", "Records", "Shard", "Stream", "all_shards", "first_iterator", "records"]

EXPIRED = "ExpiredIteratorException"
"""The code of a request with an iterator that is older than 15 minutes."""

TRIMMED = "TrimmedDataAccessException"
"""The code of a request for records that are older than 24 hours."""

RECORDS_AT_ONCE = 1000

_ATTEMPTS = 10
_PAUSE = 1.0


class Shard(NamedTuple):
    """A shard.

    Attributes:
        parent_id: the shard that this one continues; it may be deleted already.
        closed: whether no records will be added.
    """

    id: str
    parent_id: str | None
    closed: bool


class Stream(NamedTuple):
    """A stream as it was described: `status` is ENABLED, ENABLING, DISABLED or DISABLING."""

    status: str
    shards: list[Shard]

    @property
    def unfinished(self) -> list[str]:
        """The closed shards whose children are not described yet. A stream that is switched off has such shards."""
        parents = {shard.parent_id for shard in self.shards}
        return [shard.id for shard in self.shards if shard.closed and shard.id not in parents]

    @property
    def consistent(self) -> bool:
        """Whether the description has all shards that there were when it was made."""
        return not any(map(self.awaits, self.unfinished))

    def awaits(self, shard_id: str) -> bool:
        """Tell whether shards that continue this closed one are still to be described."""
        return self.status not in ("DISABLED", "DISABLING") and shard_id in self.unfinished


class Records(NamedTuple):
    """A batch of records; `following` is the iterator behind it, None at the end of a closed shard."""

    records: list[dict[str, Any]]
    following: str | None


def describe_stream(requests: Requests, arn: str) -> Stream:
    """Return a stream with all pages of its shards. Raise `SourceError`."""
    shards: list[Shard] = []
    request = {"StreamArn": arn}
    while True:
        page = _part(requests.streams_call("DescribeStream", request), "StreamDescription", dict)
        shards += map(_shard, page.get("Shards", ()))
        last = page.get("LastEvaluatedShardId")
        if last is None:
            return Stream(str(page.get("StreamStatus")), shards)
        request = {"StreamArn": arn, "ExclusiveStartShardId": last}


def all_shards(requests: Requests, arn: str, sleep: Callable[[float], object] = time.sleep) -> list[Shard]:
    """Return all shards of a stream: describe it again while the description is not consistent. Raise `SourceError`.

    While a shard splits, a description can have the closed parent without its children. Those that are not listed
    after some attempts can be found later, as a shard that is new is always read from its beginning.
    """
    for attempt in range(_ATTEMPTS):
        stream = describe_stream(requests, arn)
        if stream.consistent:
            break
        sleep(min(_PAUSE, 0.05 * 2**attempt))
    return stream.shards


def first_iterator(requests: Requests, arn: str, shard_id: str, position: str | None) -> str:
    """Return the iterator behind a sequence number, or before all records that still are there if it is None.

    Raise a `RequestError` whose code is `TRIMMED` if records behind the position are gone, or another `SourceError`.
    """
    request = {"StreamArn": arn, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
    if position is not None:
        request |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position}
    iterator: str = _part(requests.streams_call("GetShardIterator", request), "ShardIterator", str)
    return iterator


def records(requests: Requests, iterator: str, limit: int = RECORDS_AT_ONCE) -> Records:
    """Return the next records, which may be none also before the end.

    Raise a `RequestError` whose code is `EXPIRED` or `TRIMMED`, or another `SourceError`.
    """
    answer = requests.streams_call("GetRecords", {"ShardIterator": iterator, "Limit": limit})
    return Records(_part(answer, "Records", list), answer.get("NextShardIterator"))


def _shard(described: dict[str, Any]) -> Shard:
    closed = "EndingSequenceNumber" in described.get("SequenceNumberRange", {})
    return Shard(described["ShardId"], described.get("ParentShardId"), closed)


def _part(answer: dict[str, Any], name: str, kind: type) -> Any:
    found = answer.get(name)
    if not isinstance(found, kind):
        raise SourceError(f"DynamoDB Streams gave an answer without {name}")
    return found
