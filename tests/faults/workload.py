"""A mixed load of writes, each of which is accounted for afterwards. It runs on every backend.

    with Load(backend, threads=8) as load:
        load.wait_for(100)      # acknowledged writes
        ...                     # faults
    verdict = load.verdict()    # when the database is whole again

Every stored value is unique, so that what is there tells which write put it there.
"""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Generic, TypeVar

from actingweb.db import get_actor, get_property, get_subscription
from actingweb.db.exceptions import DbError, DbOutcomeUnknownError
from actingweb.db.registry import Backend
from tests.support import PATIENCE, new_id

T = TypeVar("T")
A = TypeVar("A")

_PAUSE_AFTER_A_FAULT = 0.005
_START = "start"
_EARLIER_VALUES = 50


@dataclass
class Verdict:
    """What a load did and what became of it.

    Attributes:
        tried: writes.
        acknowledged: writes that the library reported as done.
        unknown: writes that raised `DbOutcomeUnknownError`.
        failed: writes that raised another `DbError`: these must have had no effect.
        lost: acknowledged writes whose effect is missing.
        doubled: writes that took effect twice, and first writes that were told that they came second.
        wrong: values, stored or read, that no acknowledged or unknown write can have put there.
    """

    tried: int = 0
    acknowledged: int = 0
    unknown: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(**{name: value + asdict(other)[name] for name, value in asdict(self).items()})

    @property
    def faultless(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        return not (self.lost or self.doubled or self.wrong)


class Ledger(Generic[T]):
    """What became of the writes of one kind.

    Attributes:
        tried: all of them, each entered before it is sent.
        done: when the acknowledged ones were acknowledged, in that order.
        refused: those that were answered with False, as a lost compare-and-swap is.
        unknown, failed: those that raised `DbOutcomeUnknownError` or another `DbError`.
    """

    def __init__(self) -> None:
        self.tried: set[T] = set()
        self.done: dict[T, float] = {}
        self.refused: set[T] = set()
        self.unknown: set[T] = set()
        self.failed: set[T] = set()

    def enter(self, write: T, call: Callable[[], A]) -> A:
        """Return what `call`, which does `write`, answers. Raise its `DbError`."""
        self.tried.add(write)
        try:
            answer = call()
        except DbOutcomeUnknownError:
            self.unknown.add(write)
            raise
        except DbError:
            self.failed.add(write)
            raise
        if answer:
            self.done[write] = time.monotonic()
        else:
            self.refused.add(write)
        return answer

    def verdict(self, lost: int = 0, doubled: int = 0, wrong: int = 0) -> Verdict:
        """Return the counts of this ledger with what was found."""
        return Verdict(len(self.tried), len(self.done), len(self.unknown), len(self.failed), lost, doubled, wrong)


class Work(ABC):
    """One kind of writes, which several threads can do at the same time."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.ledger: Ledger[str] = Ledger()
        self.strange = 0

    @abstractmethod
    def step(self) -> None:
        """Write once. Raise `DbError`."""

    @abstractmethod
    def verdict(self) -> Verdict:
        """Compare what is stored with the ledger."""


class Chain(Work):
    """Compare-and-swap of one property by all: each value that is stored leads back to the first."""

    def __init__(self, backend: Backend, actor_id: str) -> None:
        super().__init__(backend)
        self._key = (actor_id, "chain")
        self._expected: dict[str, str] = {}
        assert get_property(backend).set(*self._key, _START)

    def step(self) -> None:
        prop = get_property(self.backend)
        value = new_id("")
        present = prop.get(*self._key)
        if present is None or (present != _START and present not in self.ledger.tried):
            self.strange += 1
            return
        self._expected[value] = present
        self.ledger.enter(value, lambda: prop.set_if_value_equals(*self._key, expected=present, value=value))

    def verdict(self) -> Verdict:
        ledger, wrong, stored = self.ledger, self.strange, set[str]()
        value = get_property(self.backend).get(*self._key)
        while value is not None and value != _START:
            wrong += value not in ledger.unknown and value not in ledger.done
            stored.add(value)
            value = self._expected.get(value)
        return ledger.verdict(lost=len(ledger.done.keys() - stored), wrong=wrong + (value is None))


class Counter(Work):
    """Increments of one number by all: none is given out twice, and none is left out."""

    def __init__(self, backend: Backend, actor_id: str) -> None:
        super().__init__(backend)
        self._key = (actor_id, "peer", "counter")
        self._numbers: list[int] = []
        assert get_subscription(backend).create(*self._key)

    def step(self) -> None:
        subscription = get_subscription(self.backend)
        if subscription.get(*self._key) is None:
            self.strange += 1
            return
        number = self.ledger.enter(new_id(""), subscription.increment_seqnr)
        if number is not None:
            self._numbers.append(number)

    def verdict(self) -> Verdict:
        row = get_subscription(self.backend).get(*self._key)
        total = 0 if row is None else row["sequence"]
        done, unknown = len(self._numbers), len(self.ledger.unknown)
        twice = done - len(set(self._numbers))
        highest = max(self._numbers, default=0)
        return self.ledger.verdict(
            lost=max(0, done - total, highest - total),
            doubled=max(0, total - done - unknown) + twice,
            wrong=self.strange + len(self.ledger.refused),
        )


class Creations(Work):
    """New rows, whose keys nobody else uses: nobody can have come first."""

    def step(self) -> None:
        key = new_id("new-")
        self.ledger.enter(key, lambda: self.create(key))

    def verdict(self) -> Verdict:
        ledger, lost, wrong = self.ledger, 0, self.strange
        stored = self.stored()
        for key in ledger.tried | stored.keys():
            value = stored.get(key)
            lost += value is None and key in ledger.done
            wrong += value is not None and (value != self.value_of(key) or key not in ledger.tried - ledger.failed)
        return ledger.verdict(lost=lost, doubled=len(ledger.refused), wrong=wrong)

    @staticmethod
    def value_of(key: str) -> str:
        """Return what the row is created with."""
        return f"{key}@example.com"

    @abstractmethod
    def create(self, key: str) -> bool:
        """Create the row of a key."""

    @abstractmethod
    def stored(self) -> dict[str, str]:
        """Return the values of the rows by their keys."""


class NewActors(Creations):
    """Creates actors."""

    def create(self, key: str) -> bool:
        return get_actor(self.backend).create(actor_id=key, creator=self.value_of(key), passphrase=key)

    def stored(self) -> dict[str, str]:
        rows = ((key, get_actor(self.backend).get(key)) for key in self.ledger.tried)
        return {key: row["creator"] for key, row in rows if row is not None}


class NewProperties(Creations):
    """Creates properties of one actor."""

    def __init__(self, backend: Backend, actor_id: str) -> None:
        super().__init__(backend)
        self._actor_id = actor_id

    def create(self, key: str) -> bool:
        return get_property(self.backend).create_if_not_exists(self._actor_id, key, self.value_of(key))

    def stored(self) -> dict[str, str]:
        return get_property(self.backend).get_prefix(self._actor_id, "new-")


class Settings(Work):
    """Sets of an indexed property by one thread, which reads its own writes."""

    def __init__(self, backend: Backend, actor_id: str) -> None:
        super().__init__(backend)
        self._key = (actor_id, "email")

    def step(self) -> None:
        prop = get_property(self.backend)
        value = f"{new_id('')}@example.com"
        self.ledger.enter(value, lambda: prop.set(*self._key, value))
        self.strange += not self._possible(prop.get(*self._key))

    def verdict(self) -> Verdict:
        prop = get_property(self.backend)
        actor_id, name = self._key
        value = prop.get(*self._key)
        lost = bool(self.ledger.done) and not self._possible(value)
        wrong = self.strange + len(self.ledger.refused) + (value in self.ledger.failed)
        wrong += value is not None and prop.get_actor_id_from_property(name, value) != actor_id
        for earlier in [*self.ledger.done][-_EARLIER_VALUES:]:
            wrong += earlier != value and prop.get_actor_id_from_property(name, earlier) is not None
        return self.ledger.verdict(lost=lost, wrong=wrong)

    def _possible(self, value: str | None) -> bool:
        # A write whose outcome is unknown may take effect later than the one after it.
        return value == next(reversed(self.ledger.done), None) or value in self.ledger.unknown


class Load:
    """Threads that write until the block ends; what one raises, other than `DbError`, is raised then."""

    def __init__(self, backend: Backend, threads: int = 8) -> None:
        self._ended = threading.Event()
        actors = [_actor(backend) for _ in range(threads)]
        self._shared: list[Work] = [
            Chain(backend, actors[0]),
            Counter(backend, actors[0]),
            NewActors(backend),
            NewProperties(backend, actors[0]),
        ]
        self._own: list[Work] = [Settings(backend, actor_id) for actor_id in actors]

    def __enter__(self) -> Load:
        self._threads = ThreadPoolExecutor(len(self._own))
        self._running: list[Future[None]] = [
            self._threads.submit(self._work, number, own) for number, own in enumerate(self._own)
        ]
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._threads.shutdown()
        for thread in self._running:
            thread.result()

    @property
    def acknowledged(self) -> int:
        """How many writes were acknowledged so far."""
        return sum(len(work.ledger.done) for work in self._works())

    @property
    def failed(self) -> int:
        """How many writes failed so far, of those whose outcome is known."""
        return sum(len(work.ledger.failed) for work in self._works())

    def wait_for(self, more: int, seconds: float = PATIENCE) -> None:
        """Wait until so many more writes are acknowledged. Raise `TimeoutError` after `seconds`."""
        self._await(lambda: self.acknowledged, more, seconds)

    def wait_for_failures(self, more: int, seconds: float = PATIENCE) -> None:
        """Wait until so many more writes have failed. Raise `TimeoutError` after `seconds`."""
        self._await(lambda: self.failed, more, seconds)

    def longest_pause(self) -> float:
        """Return the longest time, in seconds, between two acknowledged writes of any thread."""
        times = sorted(moment for work in self._works() for moment in work.ledger.done.values())
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def verdict(self) -> Verdict:
        """Compare what is stored with what was written. Raise `DbError` if that cannot be read."""
        return sum((work.verdict() for work in self._works()), Verdict())

    def _await(self, count: Callable[[], int], more: int, seconds: float) -> None:
        goal, deadline = count() + more, time.monotonic() + seconds
        while count() < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{goal - count()} of {more} writes did not come in {seconds} s")
            for thread in self._running:
                if thread.done():
                    thread.result()
            time.sleep(0.005)

    def _works(self) -> list[Work]:
        return self._shared + self._own

    def _work(self, number: int, own: Work) -> None:
        works = [*self._shared, own]
        for turn in itertools.count(number):
            if self._ended.is_set():
                return
            try:
                works[turn % len(works)].step()
            except DbError:
                self._ended.wait(_PAUSE_AFTER_A_FAULT)


def _actor(backend: Backend) -> str:
    actor_id = new_id()
    assert get_actor(backend).create(actor_id=actor_id, creator="creator@example.com", passphrase="secret")
    return actor_id
