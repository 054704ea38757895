"""What happens around the engine by chance: whims of the service, and events that no request causes."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.live.histories.fake.faults import ServiceError
from tests.live.histories.fake.service import FakeDynamoDB
from tests.live.histories.fake.streams import Shard, Stream
from tests.live.histories.fake.tables import Table
from tests.live.histories.fake.whims import Whims

__all__ = ["Positions", "SeededWhims", "Weather"]

_THROTTLES = ("ProvisionedThroughputExceededException", "ThrottlingException")
_STREAMS = ("DescribeStream", "GetRecords", "GetShardIterator")
_FAULTS_IN_A_ROW = 3


class SeededWhims(Whims):
    """Whims by chance.

    Attributes:
        calm: whether the service is on its best day from now on.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.calm = False
        self._trouble = random.choice([0, 0.03, 0.15])
        self._slowness = random.choice([0, 0.5, 0.9])
        self._in_a_row = 0

    def _happens(self, probability: float) -> bool:
        return not self.calm and self.random.random() < probability

    def fault(self, operation: str) -> ServiceError | None:
        if self._in_a_row >= _FAULTS_IN_A_ROW or not self._happens(self._trouble):
            self._in_a_row = 0
            return None
        self._in_a_row += 1
        if self.random.random() < 0.3:
            return ServiceError("InternalServerError", "on purpose", 500)
        code = "LimitExceededException" if operation in _STREAMS else self.random.choice(_THROTTLES)
        return ServiceError(code, "on purpose")

    def loses_answer(self, operation: str) -> bool:
        return self._happens(self._trouble / 3)

    def page(self, size: int) -> int:
        return size if self.calm else self.random.randint(1, size)

    def processed(self, size: int) -> int:
        return self.random.randint(1, size) if self._happens(0.2) else size

    def released(self, waiting: int) -> int:
        return self.random.randint(0, waiting) if self._happens(self._slowness) else waiting

    def is_empty(self) -> bool:
        return self._happens(0.1)

    def repeated(self) -> int:
        return self.random.randint(0, 2) if self._happens(0.2) else 0

    def polls(self) -> int:
        return 0 if self.calm else self.random.randint(0, 2)


class Positions(Protocol):
    """What the engine has stored."""

    def knows(self, stream: Stream) -> bool:
        """Tell whether a stream is the one that is followed for its table."""

    def position(self, shard: Shard) -> int | None:
        """Return the last sequence number of a shard whose key is marked, None if it is not known or read yet."""

    def is_finished(self, shard: Shard) -> bool:
        """Tell whether a shard was read to its end."""


@dataclass
class Weather:
    """Events that befall the streams.

    Attributes:
        gaps: whether records may be lost before they are read.
        interrupted: the tables whose streams were switched off.
        trimmed: the shards whose last records were removed, with their tables.
    """

    random: Random
    fake: FakeDynamoDB
    positions: Positions
    gaps: bool
    interrupted: set[str] = field(default_factory=set)
    trimmed: list[tuple[str, Shard]] = field(default_factory=list)

    def strike(self) -> None:
        """Let something happen."""
        tables = [table for table in self.fake.tables.values() if table.stream is not None]
        table = self.random.choice(tables) if tables else None
        stream = None if table is None else table.stream
        if table is not None and stream is not None:
            events = [self._split, self._split, self._expire, self._remove, self._trim, self._delay]
            self.random.choice([*events, self._toggle])(table, stream)

    def clear_up(self) -> None:
        """Let all shards be known, and switch streams on again."""
        for table in self.fake.tables.values():
            if table.stream is not None:
                table.polls = table.stream.polls = 0
                for shard in table.stream.shards.values():
                    shard.hidden = shard.lag = 0
                if not table.stream.enabled:
                    self._toggle(table, table.stream)

    def _split(self, table: Table, stream: Stream) -> None:
        if stream.open_shards:
            shard = self.random.choice(stream.open_shards)
            stream.split(shard, self.random.randint(1, 2), self.random.choice([0, 0, 1, 4]))

    def _delay(self, table: Table, stream: Stream) -> None:
        self.delay(stream)

    def delay(self, stream: Stream) -> None:
        """Let readers see new records of one shard later than those of the others."""
        if stream.open_shards:
            self.random.choice(stream.open_shards).lag = self.random.randint(5, 40)

    def _expire(self, table: Table, stream: Stream) -> None:
        self.fake.streams.expire_iterators()

    def _remove(self, table: Table, stream: Stream) -> None:
        """Remove a closed shard, as it happens a day after it was closed."""
        closed = [shard for shard in stream.shards.values() if not shard.is_open and not shard.hidden]
        read = [shard for shard in closed if self.positions.is_finished(shard)]
        if read:
            stream.remove(self.random.choice(read))
        elif closed and self.gaps:
            shard = self.random.choice(closed)
            self._lose(table, stream, shard)
            stream.remove(shard)

    def _trim(self, table: Table, stream: Stream) -> None:
        shard = self.random.choice(list(stream.shards.values()))
        position = self.positions.position(shard)
        read = sum(record.sequence <= (position or 0) for record in shard.records)
        if position is not None and self.gaps:
            self._lose(table, stream, shard)
            stream.trim(shard, len(shard.records))
        elif read:
            # The record at the position stays: a position that was trimmed itself is as good as a gap.
            stream.trim(shard, read - 1)

    def _lose(self, table: Table, stream: Stream, shard: Shard) -> None:
        """Take note if a shard has records that were not read; before its stream is known, the scan sees them."""
        position = self.positions.position(shard) or 0
        if shard.records and shard.records[-1].sequence > position and self.positions.knows(stream):
            self.trimmed.append((table.name, shard))

    def lost(self) -> set[str]:
        """Return the tables of which changes were lost: a reader may have had some in its hands."""
        unread = {
            name for name, shard in self.trimmed if shard.records[-1].sequence > (self.positions.position(shard) or 0)
        }
        return self.interrupted | unread

    def _toggle(self, table: Table, stream: Stream) -> None:
        if stream.enabled and self.gaps and not table.polls:
            stream.disable()
            if self.positions.knows(stream):
                self.interrupted.add(table.name)
        elif not stream.enabled:
            definition = table.definition["KeySchema"]
            table.stream = self.fake.streams.create(table.name, table.arn, definition, stream.view)
            table.stream.polls = 0
