"""An application that goes on writing while its migration is switched, and what it knows to be stored."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from actingweb.db import load_backend
from actingweb.db.registry import Backend
from tests.live.workload import Workload

__all__ = ["Application", "Ledger", "Signals"]

_PAUSE = 0.02


class Ledger:
    """Writes to actors of its own, and the last value of each that was acknowledged."""

    def __init__(self, seed: int, actors: int = 4) -> None:
        self._random = random.Random(seed)
        self._ids = [f"ledger{seed}-{number}" for number in range(actors)]
        self.known: dict[tuple[str, str], str] = {}

    def begin(self, backend: Backend) -> None:
        """Create the actors."""
        for actor_id in self._ids:
            assert backend.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")

    def step(self, backend: Backend) -> None:
        """Write a value, after reading the one that is stored: a stale one is an error."""
        actor_id = self._random.choice(self._ids)
        name, value = self._random.choice(["property", "attribute"]), str(self._random.randrange(10**9))
        assert self._read(backend, actor_id, name) == self.known.get((actor_id, name)), "a stale answer"
        if name == "property":
            assert backend.DbProperty.DbProperty().set(actor_id, "ledger", value)
        else:
            assert backend.DbAttribute.DbAttribute.set_attr(actor_id, "ledger", "a", {"v": value}, datetime.now(UTC))
        self.known[actor_id, name] = value

    def lost(self, backend: Backend) -> list[tuple[str, str]]:
        """Return the acknowledged writes that a side does not have."""
        return [key for key, value in self.known.items() if self._read(backend, *key) != value]

    def _read(self, backend: Backend, actor_id: str, name: str) -> str | None:
        if name == "property":
            stored = backend.DbProperty.DbProperty().get(actor_id, "ledger")
            return None if stored is None else str(stored)
        attribute = backend.DbAttribute.DbAttribute.get_attr(actor_id, "ledger", "a")
        return None if attribute is None else str(attribute["data"]["v"])


@dataclass
class Application:
    """Writers that each keep to actors of their own, on the side that counts, until they are held back.

    Attributes:
        side: the side that counts.
        writes: how many were acknowledged.
    """

    backends: Mapping[str, Backend]
    writers: int = 2
    side: str = "dynamodb"
    writes: int = 0
    ledgers: list[Ledger] = field(init=False)
    _workloads: Mapping[str, list[Workload]] = field(init=False)
    _free: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _working: list[threading.Lock] = field(init=False)
    _failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        seeds = range(self.writers)
        self.ledgers = [Ledger(seed) for seed in seeds]
        self._workloads = {
            side: [Workload(backend, seed, 5) for seed in seeds] for side, backend in self.backends.items()
        }
        self._working = [threading.Lock() for _ in seeds]

    def begin(self) -> None:
        """Create the actors."""
        for ledger, workload in zip(self.ledgers, self._workloads[self.side], strict=True):
            ledger.begin(self.backends[self.side])
            workload.begin()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write while the block runs. Raise the first error of a writer."""
        self._free.set()
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(self.writers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._free.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def hold(self) -> None:
        """Hold writes back. None is under way afterwards."""
        self._free.clear()
        for lock in self._working:
            with lock:
                pass

    def go_on(self, side: str) -> None:
        """Let it write, on a side."""
        self.side = side
        self._free.set()

    def _write(self, number: int) -> None:
        try:
            while not self._stop.is_set():
                self._free.wait()
                with self._working[number]:
                    if self._free.is_set() and not self._stop.is_set():
                        self._workloads[self.side][number].step()
                        self.ledgers[number].step(self.backends[self.side])
                        self.writes += 1
                time.sleep(_PAUSE)
        except BaseException as error:  # noqa: BLE001 - raised by `running`
            self._failures.append(error)


@dataclass
class Signals:
    """Lets shell commands hold an application back and let it go on, however often and whoever kills them."""

    directory: Path
    application: Application

    @property
    def fence(self) -> str:
        """The command that holds writes back."""
        return f"touch {self.directory}/hold; while [ ! -e {self.directory}/held ]; do sleep 0.05; done"

    @property
    def flip(self) -> str:
        """The command that starts the other side."""
        return f"touch {self.directory}/flip; while [ -e {self.directory}/flip ]; do sleep 0.05; done"

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Do what the commands say while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._obey, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _obey(self, stop: threading.Event) -> None:
        hold, held, flip = (self.directory / name for name in ("hold", "held", "flip"))
        while not stop.wait(0.02):
            if hold.exists() and not held.exists():
                self.application.hold()
                held.touch()
            if flip.exists():
                other = {"dynamodb": "postgresql", "postgresql": "dynamodb"}
                if held.exists():
                    hold.unlink(missing_ok=True)
                    held.unlink()
                    self.application.go_on(other[self.application.side])
                flip.unlink()


def load_backends() -> dict[str, Backend]:
    """Return both backends by name."""
    return {name: load_backend(name) for name in ("dynamodb", "postgresql")}
