"""The rules of the engine, each broken on purpose: histories have to find it.

A mutant replaces a method or the text of a statement. `KINDS` of `run.py` names the histories that find it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from actingweb.migration.live import (
    backward,
    dirty,
    forward,
    lookup_repair,
    reader,
    share,
    streams,
    triggers,
    way_back,
    worker,
)
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side
from actingweb.migration.target.lookups import LookUps
from tests.live.histories.both import BothHistory
from tests.live.histories.forward import ForwardHistory
from tests.live.histories.history import Step
from tests.live.histories.rows import ATTRIBUTES

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """A broken rule.

    Attributes:
        kind: the histories that find it.
        seed: one of them.
        broken: what replaces what.
    """

    name: str
    kind: str
    seed: int
    broken: Callable[[ExitStack], None]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Break the rule during the block."""
        with ExitStack() as stack:
            self.broken(stack)
            yield


def _edit(stack: ExitStack, module: Any, name: str, old: str | bytes, new: str | bytes) -> None:
    """Replace a part of a text."""
    text = getattr(module, name)
    assert old in text, f"{module.__name__}.{name} has no {old!r}"
    stack.enter_context(patch.object(module, name, text.replace(old, new)))


def _position_before_keys(stack: ExitStack) -> None:
    """A reader stores the position, and the keys in a transaction of their own."""
    late = threading.local()
    mark, store = dirty.mark, reader.ShardReader._store

    def mark_later(state: Any, connection: Any, keys: Any) -> int:
        late.keys = list(keys)
        return len(late.keys)

    def store_first(self: Any, connection: Any, shard: Any, batch: Any) -> None:
        store(self, connection, shard, batch)
        with self.transaction(connection):
            mark(self.state, connection, late.keys)

    stack.enter_context(patch.object(reader, "mark", mark_later))
    stack.enter_context(patch.object(reader.ShardReader, "_store", store_first))


def _no_lock(stack: ExitStack) -> None:
    """An applier reads and deletes marks that it has not locked."""
    for name in ("_LOCK_FRESH", "_LOCK_REJECTS"):
        _edit(stack, dirty, name, "FOR UPDATE SKIP LOCKED", "")


def _during_the_scan(stack: ExitStack) -> None:
    """Appliers begin before the scan has ended.

    By chance it seldom matters, so the rows of a page are deleted before it is loaded, and are not written again.
    """
    scanner, write = ForwardHistory._scanner, ForwardHistory.write
    deleted: set[ForwardHistory] = set()

    def slow_scanner(self: ForwardHistory, holder: str) -> Step:
        step: Any = scanner(self, holder)
        read = step.__self__._read

        def read_before_deletions(segment: Any) -> Any:
            page = read(segment)
            if segment.mapping is ATTRIBUTES and page.documents:
                deleted.add(self)
                for item in self.source.items()[ATTRIBUTES]:
                    self.source.delete_key(ATTRIBUTES, item)
                self.scheduler.switch(rest=100)
            return page

        step.__self__._read = read_before_deletions
        made: Step = step
        return made

    def write_before(self: ForwardHistory) -> None:
        if self not in deleted:
            write(self)

    stack.enter_context(patch.object(ForwardHistory, "_scanner", slow_scanner))
    stack.enter_context(patch.object(ForwardHistory, "write", write_before))
    _edit(stack, forward, "_TABLES", "scanned AND", "")


def _latest(stack: ExitStack) -> None:
    """Shards are read from their present end."""

    def latest(requests: Any, arn: str, shard: str, position: str | None) -> str:
        if position is not None:
            return first(requests, arn, shard, position)
        request = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "LATEST"}
        iterator: str = requests.streams_call("GetShardIterator", request)["ShardIterator"]
        return iterator

    first = streams.first_iterator
    stack.enter_context(patch.object(reader, "first_iterator", latest))


def _smallest_id(stack: ExitStack) -> None:
    """The smallest id gets a value, whoever claims it."""
    text = lookup_repair._DECIDE
    start, end = text.index("CASE"), text.index("END AS actor_id")
    chosen = "CASE WHEN property_name = ANY(%(indexed)s) THEN {first_holder} "
    stack.enter_context(patch.object(lookup_repair, "_DECIDE", text[:start] + chosen + text[end:]))
    stack.enter_context(patch.object(LookUps, "insert_claimed", lambda *_: 0))


def _one_marker(stack: ExitStack) -> None:
    """The marker of one shard stands for all shards of its table."""
    seen = "NOT EXISTS (SELECT FROM {state}.shards AS other WHERE other.table_name = shard.table_name"
    seen += " AND starts_with(other.marker, %(marker)s))"
    _edit(stack, share, "_UNREAD_SHARDS", "WHERE NOT finished", f"WHERE {seen} AND NOT finished")


def _late_triggers(stack: ExitStack) -> None:
    """The triggers are installed when the first actors have moved already."""
    moved, install = BothHistory.moved, triggers.install_triggers

    def then_install(self: BothHistory, ownership: Ownership) -> None:
        moved(self, ownership)
        for _ in range(5):
            self.scheduler.switch(rest=20)
        connection = self.target.connect()
        install(self.state, connection)
        connection.close()

    stack.enter_context(patch.object(way_back, "install_triggers", lambda *_: None))
    stack.enter_context(patch.object(share, "triggers_installed", lambda *_: True))
    stack.enter_context(patch.object(BothHistory, "moved", then_install))


def _mark_per_key(stack: ExitStack) -> None:
    """A trigger adds no mark for a key that has one."""
    for row in ("old", "new"):
        plain = f"VALUES ({{name}}, {{{row}}})"
        there = f"SELECT FROM {{state}}.{{keys}} WHERE (table_name, hash, range) = ({{name}}, {{{row}}})"
        _edit(stack, triggers, "_ROW_FUNCTION", plain, f"SELECT {{name}}, {{{row}}} WHERE NOT EXISTS ({there})")


def _no_owners(stack: ExitStack) -> None:
    """Both sides apply the changes of all actors."""
    stack.enter_context(patch.object(forward._Batch, "_is_foreign", lambda *_: False))
    everything = Ownership(EVERYTHING, None, Side.POSTGRESQL)
    stack.enter_context(patch.object(backward, "read_ownership", lambda *_: everything))


def _synced_writes_fire(stack: ExitStack) -> None:
    """The writes of the appliers leave marks for the way back."""
    _edit(stack, worker, "_SESSION", b"sync = 'on'", b"sync = 'off'")


def _given_up_in_silence(stack: ExitStack) -> None:
    """Nobody is told which values properties give up in PostgreSQL."""
    _edit(stack, triggers, "_GIVEN_UP", "old.value <> ''", "false")


def _writes_forgotten(stack: ExitStack) -> None:
    """An applier that has lost its session does not mark again what it wrote without locks."""
    stack.enter_context(patch.object(backward.BackwardApplier, "_mark_again", lambda *_: None))


MUTANTS = [
    Mutant("position before keys", "forward", 33, _position_before_keys),
    Mutant("no lock", "forward", 71, _no_lock),
    Mutant("during the scan", "forward", 10, _during_the_scan),
    Mutant("latest", "forward", 29, _latest),
    Mutant("smallest id", "forward", 6, _smallest_id),
    Mutant("one marker", "both", 0, _one_marker),
    Mutant("late triggers", "both", 0, _late_triggers),
    Mutant("mark per key", "backward", 0, _mark_per_key),
    Mutant("no owners", "both", 2, _no_owners),
    Mutant("synced writes fire", "both", 1, _synced_writes_fire),
    Mutant("given up in silence", "both", 1, _given_up_in_silence),
    Mutant("writes forgotten", "backward", 33, _writes_forgotten),
]
