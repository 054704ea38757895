"""Streams: shards that split and close, iterators that expire, records that are trimmed."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any, NamedTuple

from tests.live.histories.fake.expressions import Item
from tests.live.histories.fake.faults import ServiceError, invalid, no_stream
from tests.live.histories.fake.whims import Whims

__all__ = ["PARTITIONS", "Shard", "Stream", "StreamService"]

Json = dict[str, Any]

PARTITIONS = 1 << 16
"""Into how many parts the space of hash keys is divided; a shard has some neighbours of them."""
_FIRST_SEQUENCE_NUMBER = 99_999_999_999_999_999_980
"""So that the order of the numbers is not that of their texts."""
_DESCRIBED_AT_ONCE = 100
_RECORDS_AT_ONCE = 1000
_IMAGES = {"KEYS_ONLY": (), "NEW_IMAGE": ("new",), "OLD_IMAGE": ("old",), "NEW_AND_OLD_IMAGES": ("new", "old")}


class Record(NamedTuple):
    """One change of an item; an image is None if there was no item, or is none."""

    sequence: int
    keys: Item
    old: Item | None
    new: Item | None

    @property
    def event(self) -> str:
        """What happened to the item."""
        return "INSERT" if self.old is None else "REMOVE" if self.new is None else "MODIFY"

    def described(self, view: str) -> Json:
        """Return the record as GetRecords does."""
        images: Json = {}
        for image in _IMAGES[view]:
            if getattr(self, image) is not None:
                images[f"{image.title()}Image"] = getattr(self, image)
        facts = {
            "ApproximateCreationDateTime": int(time.time()),
            "Keys": self.keys,
            **images,
            "SequenceNumber": str(self.sequence),
            "SizeBytes": len(json.dumps([self.keys, images])),
            "StreamViewType": view,
        }
        return {
            "eventID": f"{self.sequence:032x}",
            "eventName": self.event,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-west-1",
            "dynamodb": facts,
        }


@dataclass(eq=False)
class Shard:
    """A shard, for the keys of the parts from `low` to below `high`.

    Attributes:
        start: the sequence number that is before all of its records.
        end: the last number of a closed shard.
        seen: how many records readers can see.
        trimmed: how many records are gone, from the first.
        hidden: how often the stream must be described until the description has the shard.
        lag: how many requests for records it answers until readers see new ones.
    """

    id: str
    parent: str | None
    low: int
    high: int
    start: int
    records: list[Record] = field(default_factory=list)
    end: int | None = None
    seen: int = 0
    trimmed: int = 0
    hidden: int = 0
    lag: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether new records can come."""
        return self.end is None

    def described(self) -> Json:
        """Return the shard as DescribeStream does."""
        numbers = {"StartingSequenceNumber": str(self.start)}
        if self.end is not None:
            numbers["EndingSequenceNumber"] = str(self.end)
        parent = {} if self.parent is None else {"ParentShardId": self.parent}
        return {"ShardId": self.id, "SequenceNumberRange": numbers, **parent}

    def index_after(self, sequence: int) -> int:
        """Return the index of the first record after a sequence number. Raise `ServiceError` if that was trimmed."""
        if self.trimmed and sequence <= self.records[self.trimmed - 1].sequence:
            raise _trimmed()
        return next((i for i, record in enumerate(self.records) if record.sequence > sequence), len(self.records))


@dataclass(eq=False)
class Stream:
    """A stream of one table.

    Attributes:
        polls: how often it must be described until it is as `enabled` says.
    """

    arn: str
    label: str
    table: str
    keys: list[Json]
    view: str
    numbers: Iterator[int]
    polls: int = 0
    enabled: bool = True
    shards: dict[str, Shard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._add(None, 0, PARTITIONS)

    @property
    def status(self) -> str:
        """The state, in DynamoDB's words."""
        return ("ENABL" if self.enabled else "DISABL") + ("ING" if self.polls else "ED")

    @property
    def open_shards(self) -> list[Shard]:
        """The shards that take new records."""
        return [shard for shard in self.shards.values() if shard.is_open]

    def append(self, part: int, keys: Item, old: Item | None, new: Item | None) -> None:
        """Store the record of a change of an item in this part of the key space."""
        if not self.enabled or self.polls:
            return
        shard = next(shard for shard in self.open_shards if shard.low <= part < shard.high)
        shard.records.append(Record(next(self.numbers), keys, old, new))

    def split(self, shard: Shard, pieces: int, hidden: int = 0) -> None:
        """Close a shard and go on in `pieces` new ones, which the next `hidden` descriptions do not have yet."""
        shard.end = next(self.numbers)
        width = (shard.high - shard.low) // pieces
        edges = [*(shard.low + piece * width for piece in range(pieces)), shard.high]
        for low, high in pairwise(edges):
            self._add(shard.id, low, high).hidden = hidden

    def listed(self) -> list[Shard]:
        """Return the shards that a description has, and bring the others nearer."""
        found = [shard for shard in self.shards.values() if not shard.hidden]
        for shard in self.shards.values():
            shard.hidden = max(0, shard.hidden - 1)
        return found

    def trim(self, shard: Shard, records: int) -> None:
        """Remove the first records of a shard."""
        shard.trimmed = max(shard.trimmed, min(records, len(shard.records)))
        shard.seen = max(shard.seen, shard.trimmed)

    def remove(self, shard: Shard) -> None:
        """Remove a closed shard with all of its records."""
        del self.shards[shard.id]

    def disable(self) -> None:
        """Take no more records; what is in the stream can still be read."""
        self.enabled = False
        for shard in self.open_shards:
            shard.end = next(self.numbers)

    def _add(self, parent: str | None, low: int, high: int) -> Shard:
        number = next(self.numbers)
        shard = Shard(f"shardId-{number:021d}-{len(self.shards):08x}", parent, low, high, number)
        self.shards[shard.id] = shard
        return shard


def _trimmed() -> ServiceError:
    return ServiceError(
        "TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard."
    )


class StreamService:
    """The streams of all tables and the requests to them."""

    def __init__(self, whims: Whims) -> None:
        self.whims = whims
        self.streams: dict[str, Stream] = {}
        self._numbers = count(_FIRST_SEQUENCE_NUMBER, 7)
        self._labels = count(1)
        # Iterators made before the last expiry are expired.
        self._generation = 0

    def create(self, table: str, arn: str, keys: list[Json], view: str) -> Stream:
        """Return a new stream of a table."""
        label = f"2026-01-01T00:00:{next(self._labels):06.3f}"
        stream = Stream(f"{arn}/stream/{label}", label, table, keys, view, self._numbers, self.whims.polls())
        self.streams[stream.arn] = stream
        return stream

    def expire_iterators(self) -> None:
        """Let all iterators expire that were given out."""
        self._generation += 1

    def describe(self, request: Json) -> Json:
        """Answer DescribeStream."""
        stream = self._stream(request)
        status = stream.status
        stream.polls = max(0, stream.polls - 1)
        shards = stream.listed()
        after = request.get("ExclusiveStartShardId")
        if after is not None:
            shards = [shard for shard in shards if shard.id > after]
        page = shards[: self.whims.page(min(request.get("Limit", _DESCRIBED_AT_ONCE), max(len(shards), 1)))]
        description = {
            "StreamArn": stream.arn,
            "StreamLabel": stream.label,
            "StreamStatus": status,
            "StreamViewType": stream.view,
            "CreationRequestDateTime": 1767225600.0,
            "TableName": stream.table,
            "KeySchema": stream.keys,
            "Shards": [shard.described() for shard in page],
        }
        if len(page) < len(shards):
            description["LastEvaluatedShardId"] = page[-1].id
        return {"StreamDescription": description}

    def list_streams(self, request: Json) -> Json:
        """Answer ListStreams."""
        wanted = request.get("TableName")
        found = [stream for stream in self.streams.values() if wanted in (None, stream.table)]
        return {"Streams": [{"StreamArn": one.arn, "TableName": one.table, "StreamLabel": one.label} for one in found]}

    def shard_iterator(self, request: Json) -> Json:
        """Answer GetShardIterator."""
        stream = self._stream(request)
        shard = self._shard(stream, request["ShardId"])
        index = _index(shard, request["ShardIteratorType"], request.get("SequenceNumber"))
        return {"ShardIterator": self._iterator(stream, shard, index)}

    def records(self, request: Json) -> Json:
        """Answer GetRecords."""
        stream, shard, index = self._resolved(request["ShardIterator"])
        if index < shard.trimmed:
            raise _trimmed()
        if shard.lag:
            shard.lag -= 1
        else:
            shard.seen += self.whims.released(len(shard.records) - shard.seen)
        batch = shard.records[index : max(index, shard.seen)]
        if batch:
            limit = min(request.get("Limit", _RECORDS_AT_ONCE), len(batch))
            batch = [] if self.whims.is_empty() else batch[: self.whims.page(limit)]
        following = index + len(batch)
        answer: Json = {"Records": [record.described(stream.view) for record in batch]}
        if shard.is_open or following < len(shard.records):
            again = min(self.whims.repeated(), len(batch), following - shard.trimmed)
            answer["NextShardIterator"] = self._iterator(stream, shard, following - again)
        return answer

    def _stream(self, request: Json) -> Stream:
        stream = self.streams.get(request["StreamArn"])
        if stream is None:
            raise no_stream(f"Stream: {request['StreamArn']}")
        return stream

    def _shard(self, stream: Stream, shard_id: str) -> Shard:
        shard = stream.shards.get(shard_id)
        if shard is None:
            raise no_stream(f"Shard: {shard_id} in Stream: {stream.arn}")
        return shard

    def _iterator(self, stream: Stream, shard: Shard, index: int) -> str:
        place = json.dumps([stream.arn, shard.id, index, self._generation])
        return f"{stream.arn}|1|{urlsafe_b64encode(place.encode()).decode()}"

    def _resolved(self, iterator: str) -> tuple[Stream, Shard, int]:
        try:
            arn, shard_id, index, generation = json.loads(urlsafe_b64decode(iterator.rpartition("|")[2]))
        except ValueError:
            raise invalid("Invalid ShardIterator") from None
        if generation != self._generation:
            raise ServiceError("ExpiredIteratorException", "The provided iterator has expired.")
        stream = self._stream({"StreamArn": arn})
        return stream, self._shard(stream, shard_id), index


def _index(shard: Shard, kind: str, sequence: str | None) -> int:
    if kind == "TRIM_HORIZON":
        return shard.trimmed
    if kind == "LATEST":
        return len(shard.records)
    if sequence is None:
        raise invalid("SequenceNumber is required")
    number = int(sequence)
    if number < shard.start or (shard.end is not None and number > shard.end):
        raise invalid("Invalid SequenceNumber")
    return shard.index_after(number if kind == "AFTER_SEQUENCE_NUMBER" else number - 1)
