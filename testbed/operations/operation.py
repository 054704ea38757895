"""An operation of the table: a call of a public method, the rows that it needs, what it may send, how it is timed."""

import hashlib
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from .calls import Actor, Call, Prepare

__all__ = ["ACTORS", "Operation", "PopulationOperation", "drawn", "population_actor"]

ACTORS = "BENCH_ACTORS"
"""The variable with the number of actors of the population."""

_random = random.Random()


@dataclass(frozen=True)
class Operation:
    """An operation, with actors of its own.

    Attributes:
        rows: calls that store the rows which a call needs, whether or not an earlier call has changed them.
        requests: requests to DynamoDB, at most.
        trips: round trips to PostgreSQL, at most.
        legacy: whether it runs in legacy mode, without the look-up table.
        kind: "read" or "write" for one row, "rows" for many rows; of those that are timed.
        count: the most calls of a timed round, on DynamoDB a tenth of it; 0 for an operation that is not timed.
        repeats: whether the calls do not change the rows that they need, so that `store` is called only once.
        creates: whether the calls create rows, which `rows` then delete.
        shared: whether all calls of a round use the same actor.
    """

    name: str
    call: Prepare
    rows: tuple[Prepare, ...] = ()
    requests: int = 1
    trips: int = 1
    legacy: bool = False
    kind: str = ""
    count: int = 0
    repeats: bool = True
    creates: bool = False
    shared: bool = False

    def store(self, db: Any, count: int) -> None:
        """Store the rows that `count` calls need."""
        for actor in self._actors(count):
            self._create(db, actor)

    def calls(self, db: Any, count: int) -> list[Call]:
        """Return `count` calls."""
        calls = [self.call(db, actor) for actor in self._actors(count)]
        return calls * count if self.shared else calls

    def make(self, db: Any, actor: Actor) -> None:
        """Store the rows of an actor that exists."""
        for prepare in self.rows:
            prepare(db, actor)()

    def sent(self, db: Any, taken: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """Return the requests or round trips of one call. `taken` returns those that were sent since its last call."""
        for _ in range(2):
            # What the first call sends is not returned: it opens connections, checks tables, finds legacy ones missing.
            actor_id = f"a{uuid4().hex}"
            actor = Actor(actor_id, actor_id)
            self._create(db, actor)
            call = self.call(db, actor)
            taken()
            call()
        return taken()

    def _create(self, db: Any, actor: Actor) -> None:
        db.DbActor().create(actor_id=actor.id, creator=actor.address, passphrase="a passphrase")
        self.make(db, actor)

    def _actors(self, count: int) -> list[Actor]:
        ids = [_uuid(f"{self.name} {number}") for number in range(1 if self.shared else count)]
        return [Actor(actor_id, f"{actor_id}@example.com") for actor_id in ids]


class PopulationOperation(Operation):
    """An operation on actors of the population, which have the rows that repeatable calls need."""

    def store(self, db: Any, count: int) -> None:
        if self.repeats:
            return
        if self.creates:
            for actor in _draws.get(self.name, ()):
                self.make(db, actor)
        _draws[self.name] = drawn(count)
        if not self.creates:
            for actor in _draws[self.name]:
                self.make(db, actor)

    def calls(self, db: Any, count: int) -> list[Call]:
        return [self.call(db, actor) for actor in (drawn(count) if self.repeats else _draws[self.name])]


_draws: dict[str, list[Actor]] = {}
"""The actors of the calls of this round, by the name of the operation."""


def population_actor(number: int) -> Actor:
    """Return an actor of the population."""
    return Actor(_uuid(str(number)), f"user{number}@example.com")


def drawn(count: int) -> list[Actor]:
    """Return `count` different actors of the population, drawn at random."""
    return [population_actor(number) for number in _random.sample(range(int(os.environ[ACTORS])), count)]


def _uuid(text: str) -> str:
    digits = hashlib.md5(text.encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
