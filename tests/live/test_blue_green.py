"""Both sides in use at once: actors move to and fro between them under load.

`LIVE=long` moves a thousand of them.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import count
from typing import LiteralString

from actingweb.db.registry import Backend
from actingweb.migration.cli import live_switch
from actingweb.migration.cli.live import Session
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.live.cutover import wait_for
from actingweb.migration.live.ownership import Ownership, Side, boundary_of
from actingweb.migration.live.share import Share
from actingweb.migration.live.state import SYNCING
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.application import load_backends
from tests.live.running import status_of, syncing
from tests.live.sides import Sides
from tests.support import PATIENCE, wait_until

LONG = os.environ.get("LIVE") == "long"
ACTORS = 1000 if LONG else 200
WRITERS = 4 if LONG else 2
SPLITS = ("10", "50", "100", "50") if LONG else ("50", "10", "50")
WRITES = 200 if LONG else 30

_WAITING: LiteralString = """
SELECT 1 FROM {state}.dirty WHERE hash = %(hash)s UNION ALL SELECT 1 FROM {state}.marks WHERE hash = %(hash)s
"""


class Balancer:
    """Sends the requests of an actor to its owner, and holds those of moving actors back."""

    def __init__(self) -> None:
        self.ownership = Ownership(0, None, Side.DYNAMODB)
        self._backends = load_backends()
        self._changed = threading.Condition()
        self._busy: list[str] = []

    @contextmanager
    def request(self, actor_id: str) -> Iterator[Backend]:
        """Yield the owner's backend, once the actor does not move."""
        with self._changed:
            self._changed.wait_for(lambda: not self.ownership.is_moving(actor_id))
            backend = self._backends[self.ownership.owner(actor_id)]
            self._busy.append(actor_id)
        try:
            yield backend
        finally:
            with self._changed:
                self._busy.remove(actor_id)
                self._changed.notify_all()

    def hold(self, boundary: int) -> None:
        """Hold the requests back of actors that move to a boundary, and wait for those under way."""
        with self._changed:
            self.ownership = Ownership(self.ownership.boundary, boundary, self.ownership.system_owner)
            self._changed.wait_for(lambda: not any(map(self.ownership.is_moving, self._busy)))

    def split(self, boundary: int) -> None:
        """Split at a boundary, and hold nothing back."""
        with self._changed:
            self.ownership = self.ownership.moved(boundary)
            self._changed.notify_all()


class Actors:
    """Actors and the last acknowledged write of each; every request reads it before it writes another."""

    def __init__(self, balancer: Balancer) -> None:
        self.known: dict[str, str] = {f"actor{number:04}": "0" for number in range(ACTORS)}
        self.writes = 0
        self._balancer = balancer
        self._locks = {actor_id: threading.Lock() for actor_id in self.known}

    def create(self, actor_id: str) -> None:
        """Create an actor."""
        with self._balancer.request(actor_id) as backend:
            assert backend.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
            assert backend.DbProperty.DbProperty().set(actor_id, "name", "0")

    def write(self, actor_id: str, value: str) -> None:
        """Make a request."""
        with self._locks[actor_id], self._balancer.request(actor_id) as backend:
            library = backend.DbProperty.DbProperty()
            assert library.get(actor_id, "name") == self.known[actor_id], "a stale answer"
            assert library.set(actor_id, "name", value)
            self.known[actor_id] = value
            self.writes += 1

    def wait_for(self, writes: int) -> None:
        """Wait until there were so many writes."""
        wait_until(lambda: self.writes >= writes)

    def wrong(self, actor_ids: list[str]) -> list[str]:
        """Return the actors whose last acknowledged write is not what their owner answers."""
        found = []
        for actor_id in actor_ids:
            with self._locks[actor_id], self._balancer.request(actor_id) as backend:
                if backend.DbProperty.DbProperty().get(actor_id, "name") != self.known[actor_id]:
                    found.append(actor_id)
        return found


@contextmanager
def load(actors: Actors) -> Iterator[None]:
    """Write to all actors while the block runs."""
    stop, failures = threading.Event(), list[BaseException]()

    def run(seed: int) -> None:
        chance, actor_ids = random.Random(seed), list(actors.known)
        try:
            while not stop.wait(0.01):
                actors.write(chance.choice(actor_ids), f"{seed} {chance.randrange(10**9)}")
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def test_actors_move_under_load(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> None:
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    balancer = Balancer()
    actors = Actors(balancer)
    everybody = list(actors.known)
    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(actors.create, everybody))
    place = {"region": sides.environment["AWS_DEFAULT_REGION"], "endpoint": sides.environment["AWS_DB_HOST"]}
    sides.prepare(**place)
    session = Session(PostgresFlags())
    with syncing(sides):
        with load(actors):
            wait_until(lambda: status_of(sides).gate().is_open)
            live_switch.open_triggers(session)
            for percent in SPLITS:
                before, writes = balancer.ownership, actors.writes
                moved = move(sides, balancer, percent)
                changed = [actor_id for actor_id in everybody if before.owner(actor_id) != moved.owner(actor_id)]
                assert changed
                # Right after the move the new side knows the last acknowledged write.
                assert actors.wrong(changed) == []
                actors.wait_for(writes + WRITES)
            assert sides.select("SELECT * FROM {state}.conflicts") == []
            stray = [write_to_the_wrong_side(sides, balancer, side) for side in Side]
            move(sides, balancer, "100")
        wait_until(lambda: status_of(sides).gate(0).is_open)
        assert actors.wrong(everybody) == []
        result = session.comparison().run()
        assert (result.left, result.unsettled, result.found.rejected) == (0, 0, 0)
    assert sides.stored() == sides.expected()
    assert sorted(sides.select("SELECT DISTINCT hash FROM {state}.conflicts")) == sorted((one,) for one in stray)


def move(sides: Sides, balancer: Balancer, percent: str) -> Ownership:
    """Move the split as `migrate share` does; return who owns what."""
    boundary = boundary_of(Decimal(percent))
    with closing(Share(sides.state, sides.requests, sides.state.connect, "test", (SYNCING,))) as share:
        share.begin(Decimal(percent))
        balancer.hold(boundary)
        share.fence()
        wait_for(share, 2 * PATIENCE, print)
        balancer.split(boundary)
    return balancer.ownership


def write_to_the_wrong_side(sides: Sides, balancer: Balancer, owner: Side) -> str:
    """Write to an actor of a side on the other one, wait until that is undone, and return the actor."""
    backends = load_backends()
    actor_id = next(name for name in map("stray{}".format, count()) if balancer.ownership.owner(name) is owner)
    assert backends[owner].DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
    assert backends[owner].DbProperty.DbProperty().set(actor_id, "name", "right")
    other = backends[owner.other].DbProperty
    wait_until(lambda: other.DbProperty().get(actor_id, "name") == "right")
    wait_until(lambda: not sides.select(_WAITING, hash=actor_id))
    assert other.DbProperty().set(actor_id, "name", "wrong")
    wait_until(lambda: sides.select("SELECT 1 FROM {state}.conflicts WHERE hash = %(hash)s", hash=actor_id))
    wait_until(lambda: other.DbProperty().get(actor_id, "name") == "right")
    assert backends[owner].DbProperty.DbProperty().get(actor_id, "name") == "right"
    return actor_id
