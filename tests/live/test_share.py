"""Shares of the actors move between the sides, in both directions, while an application writes on both."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import LiteralString

import pytest

from actingweb.db.registry import Backend, load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import TargetError, UsageError
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.cutover import CutoverError, wait_for
from actingweb.migration.live.ownership import Ownership, Side, boundary_of, read_ownership
from actingweb.migration.live.share import Moved, Progress, Share
from actingweb.migration.live.state import SYNCING, StateError
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.way_back import open_way_back
from actingweb.migration.mapping import CLAIMS_V2, MAPPINGS, PROPERTIES
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.sides import Sides
from tests.support import wait_until

SUSPENSIONS = MAPPINGS[-1]
ACTORS = [f"actor{number}" for number in range(24)]
WRITES = 20
"""How often each application writes between two moves, at least, however fast the machine is."""
MAILS = [f"{number}@example.com" for number in range(8)]


@pytest.fixture
def synced(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Sides:
    """Return two sides in sync, with some actors and with triggers. DynamoDB owns everything."""
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    dynamodb = load_backend("dynamodb")
    for actor_id in ACTORS:
        assert dynamodb.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
        assert dynamodb.DbProperty.DbProperty().set(actor_id, "name", "0")
    sides.prepare()
    sides.scan()
    sides.catch_up()
    with sides.state.connect() as connection:
        open_way_back(sides.state, connection, SourceTables(sides.requests, sides.prefix), True, lambda _: None)
        sides.state.set_phase(connection, SYNCING, "test")
    return sides


def share_of(sides: Sides) -> Share:
    """Return what moves shares."""
    return sides.opened(Share(sides.state, sides.requests, sides.state.connect, "test"))


def back_applier(sides: Sides) -> BackwardApplier:
    """Return an applier of marks."""
    return sides.opened(BackwardApplier(sides.state, sides.requests, sides.state.connect, at_once=2))


def ownership_of(sides: Sides) -> Ownership:
    """Return who owns what."""
    with sides.state.connect() as connection:
        return read_ownership(sides.state, connection)


class Balancer:
    """Sends the requests of each actor to its owner, and holds those of moving actors back."""

    def __init__(self) -> None:
        self.backends = {side: load_backend(side.value) for side in Side}
        self.ownership = Ownership(0, None, Side.DYNAMODB)
        self._idle = threading.Condition()
        self._running = 0

    @contextmanager
    def request(self, actor_id: str) -> Iterator[Backend | None]:
        """Yield the backend of an actor's owner, None while the actor moves."""
        with self._idle:
            backend = None if self.ownership.is_moving(actor_id) else self.backends[self.ownership.owner(actor_id)]
            self._running += 1
        try:
            yield backend
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def split(self, ownership: Ownership) -> None:
        """Split by other owners, once no request runs any more."""
        with self._idle:
            self.ownership = ownership
            self._idle.wait_for(lambda: self._running == 0, 30)


class Application:
    """Writes properties of some actors, and knows what must be stored."""

    def __init__(self, balancer: Balancer, actor_ids: list[str], seed: int) -> None:
        self._balancer = balancer
        self._random = random.Random(seed)
        self._actor_ids = actor_ids
        self.writes = 0
        self.known: dict[tuple[str, str], str | None] = {(actor_id, "name"): "0" for actor_id in actor_ids}

    def step(self) -> None:
        """Read and write a property, or a shared value."""
        actor_id, number = self._random.choice(self._actor_ids), self._random.randrange(10**6)
        name = self._random.choice(("name", "other", "email"))
        value = self._random.choice((*MAILS, "")) if name == "email" else str(number)
        with self._balancer.request(actor_id) as backend:
            if backend is None:
                return
            stored = backend.DbProperty.DbProperty().get(actor_id, name)
            assert stored == self.known.get((actor_id, name)), "a stale answer"
            backend.DbProperty.DbProperty().set(actor_id, name, value)
            time.sleep(0.01)
            self.known[actor_id, name] = value or None
            self.writes += 1


def let_write(applications: list[Application]) -> None:
    """Wait until each application has written some more."""
    enough = [(application, application.writes + WRITES) for application in applications]
    wait_until(lambda: all(application.writes >= writes for application, writes in enough))


def move(share: Share, balancer: Balancer, percent: str) -> Moved:
    """Move the boundary as an operator does."""
    balancer.split(share.begin(Decimal(percent)))
    share.fence()
    moved: list[Moved] = []

    def step() -> bool:
        result = share.step()
        moved.extend([result] if isinstance(result, Moved) else [])
        return bool(moved)

    wait_until(step)
    balancer.split(balancer.ownership.moved(boundary_of(Decimal(percent))))
    return moved[0]


@contextmanager
def running(*works: Callable[[], object]) -> Iterator[None]:
    """Run works again and again, each in a thread, while the block runs."""
    stop = threading.Event()

    def run(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                idle = not work()
            except TargetError:
                # A deadlock, which a worker survives by its next step.
                idle = True
            if idle:
                stop.wait(0.05)

    with ThreadPoolExecutor(len(works)) as threads:
        futures = [threads.submit(run, work) for work in works]
        try:
            yield
        finally:
            stop.set()
        for future in futures:
            future.result()


def settle(sides: Sides) -> None:
    """Read and apply in both directions until nothing is left."""
    forward, backward = sides.applier(), back_applier(sides)
    for _ in range(10):
        sides.read()
        steps = 0
        while forward.step() + backward.step():
            steps += 1
        if not steps:
            return
    raise AssertionError("never quiet")


def assert_equal(sides: Sides) -> None:
    """Compare all rows, and the look-up rows. A value that nobody claims in DynamoDB may be any holder's."""
    assert sides.stored() == sides.expected()
    claims = {item["lookup_key"]: item["actor_id"] for item in sides.documents(CLAIMS_V2)}
    holders: dict[str, list[str]] = {}
    for item in sides.documents(PROPERTIES):
        if item["name"] == "email":
            holders.setdefault(compute_lookup_key("email", item["value"]), []).append(item["id"])
    look_ups = sides.look_ups()
    assert look_ups | claims == look_ups
    assert all(actor_id in holders[key] for key, actor_id in look_ups.items())


def test_shares_move_to_and_fro_under_load(synced: Sides) -> None:
    balancer = Balancer()
    applications = [Application(balancer, ACTORS[start::3], start) for start in range(3)]
    back = [back_applier(synced).step, back_applier(synced).step]
    readers = [synced.reader(name, pause=0.1) for name in ("one", "two")]
    works = [*(reader.step for reader in readers), synced.applier().step, synced.applier(batch=5).step]
    share = share_of(synced)
    with running(*works, *back, *(application.step for application in applications)):
        for percent in ("10", "50", "100", "50", "100", "0"):
            moved = move(share, balancer, percent)
            assert moved.percent == Decimal(percent)
            assert moved.pause > 0
            assert ownership_of(synced) == balancer.ownership
            let_write(applications)
    settle(synced)
    known = {key: value for one in applications for key, value in one.known.items() if value is not None}
    properties = {(item["id"], item["name"]): item["value"] for item in synced.documents(PROPERTIES)}
    assert properties == known
    assert (
        synced.select("SELECT table_name, hash, range FROM {state}.conflicts WHERE table_name <> 'property_lookup_v2'")
        == []
    )
    assert_equal(synced)


def test_a_move_can_be_aborted_and_goes_on_in_another_process(synced: Sides) -> None:
    first, second = share_of(synced), share_of(synced)
    with pytest.raises(StateError, match="no share is being moved"):
        first.step()
    first.begin(Decimal(30))
    first.fence()
    assert isinstance(first.step(), Progress)
    with pytest.raises(StateError, match="30 % is under way"):
        second.begin(Decimal(40))
    # The second process goes on, and reads the shards up to its own fence.
    second.begin(Decimal(30))
    second.fence()
    with running(synced.reader().step, synced.applier().step):
        wait_until(lambda: isinstance(second.step(), Moved))
    with pytest.raises(StateError, match="another command has ended that: see `migrate status`"):
        first.step()
    assert ownership_of(synced).boundary == boundary_of(Decimal(30))
    second.begin(Decimal(0))
    second.abort()
    second.abort()
    assert ownership_of(synced) == Ownership(boundary_of(Decimal(30)), None, Side.DYNAMODB)
    events = synced.select("SELECT event FROM {state}.audit WHERE event LIKE 'share%%' ORDER BY id")
    assert [event.removeprefix("share ") for (event,) in events] == [
        *("begun", "fenced", "fenced", "moved"),
        *("begun", "aborted"),
    ]
    # Markers are in no table.
    assert not any("_actingweb_marker_" in str(synced.documents(mapping)) for mapping in (PROPERTIES, CLAIMS_V2))


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE {state}.tables SET scanned = false WHERE name = 'trusts'", "the scan of trusts"),
        ("INSERT INTO {state}.gaps (table_name, reason) VALUES ('trusts', 'x')", "records of the stream of trusts"),
        ("DROP FUNCTION {state}.mark_trusts() CASCADE", "the triggers are not installed"),
        ("UPDATE {state}.migration SET phase = 'flipped'", "this one is flipped"),
    ],
)
def test_a_share_is_moved_only_when_everything_is_ready(synced: Sides, statement: LiteralString, problem: str) -> None:
    share = share_of(synced)
    with pytest.raises(UsageError, match="at most two decimals"):
        share.begin(Decimal("0.001"))
    with pytest.raises(StateError, match="0 % already"):
        share.begin(Decimal(0))
    with synced.state.connect() as connection:
        connection.execute(synced.state.sql(statement))
    with pytest.raises(StateError, match=problem):
        share.begin(Decimal(10))


def test_rejects_of_moving_actors_hold_the_move_up(synced: Sides) -> None:
    share = share_of(synced)
    share.begin(Decimal(100))
    share.fence()
    synced.put(PROPERTIES, {"id": ACTORS[0], "name": "bad", "value": "\x00"})
    synced.catch_up()
    with running(synced.reader().step):
        wait_until(lambda: share.step() == Progress(rows=1, rejects=1))
    assert (share.rejects(Decimal(100)), share.rejects(Decimal(0))) == (1, 0)
    with pytest.raises(CutoverError, match=r"1 changes are waiting .1 of them rejected: see `migrate rejects`. after"):
        wait_for(share, 0, print)
    synced.select("UPDATE {state}.dirty SET accepted = true RETURNING 1")
    assert isinstance(share.step(), Moved)


def owned(sides: Sides, percent: int) -> dict[Side, str]:
    """Let PostgreSQL own a share at once, and return an actor of each side."""
    with sides.state.connect() as connection:
        values = {"boundary": boundary_of(Decimal(percent))}
        connection.execute(sides.state.sql("UPDATE {state}.migration SET boundary = %(boundary)s"), values)
        ownership = read_ownership(sides.state, connection)
    return {side: next(one for one in ACTORS if ownership.owner(one) is side) for side in Side}


def test_a_table_that_the_source_lacks_is_created(
    sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv
) -> None:
    set_env(**sides.environment, **postgres_tables.environment)
    sides.client.delete_table(TableName=sides.table(SUSPENSIONS))
    sides.prepare()
    sides.scan()
    with sides.state.connect() as connection:
        open_way_back(sides.state, connection, SourceTables(sides.requests, sides.prefix), True, lambda _: None)
        sides.state.set_phase(connection, SYNCING, "test")
    sides.scan()
    share_of(sides).begin(Decimal(10))
    suspensions = load_backend("dynamodb").DbSubscriptionSuspension.DbSubscriptionSuspension("a")
    assert suspensions.suspend("target", None)
    load_backend("dynamodb").DbActor.DbActor().create(actor_id="a", creator="c", passphrase="p")
    settle(sides)
    assert_equal(sides)


@pytest.mark.parametrize("side", list(Side))
def test_a_write_on_the_wrong_side_is_recorded_and_the_owner_restored(synced: Sides, side: Side) -> None:
    actor_id = owned(synced, 50)[side.other]
    right, wrong = (load_backend(one.value).DbProperty.DbProperty() for one in (side.other, side))
    assert right.set(actor_id, "name", "right")
    settle(synced)
    assert wrong.set(actor_id, "name", "wrong")
    assert wrong.set(actor_id, "extra", "wrong")
    settle(synced)
    found = synced.select(
        "SELECT table_name, hash, range, owner, other_row->'value'->>'S', settled_at IS NOT NULL, owner_digest IS NULL "
        "FROM {state}.conflicts ORDER BY range"
    )
    assert found == [
        ("properties", actor_id, "extra", side.other, "wrong", True, True),
        ("properties", actor_id, "name", side.other, "wrong", True, False),
    ]
    assert (right.get(actor_id, "name"), wrong.get(actor_id, "name")) == ("right", "right")
    assert_equal(synced)


def test_conflicts_can_be_left_to_the_operator(synced: Sides) -> None:
    actor_id = ACTORS[0]
    stop = "UPDATE {state}.migration SET options = options || jsonb_build_object('on_conflict', 'stop') RETURNING 1"
    synced.select(stop)
    assert load_backend("postgresql").DbProperty.DbProperty().set(actor_id, "name", "wrong")
    settle(synced)
    assert synced.value("SELECT settled_at FROM {state}.conflicts") is None
    assert load_backend("postgresql").DbProperty.DbProperty().get(actor_id, "name") == "wrong"


def test_an_echo_is_no_conflict(synced: Sides) -> None:
    actor_id = owned(synced, 50)[Side.POSTGRESQL]
    library, backward = load_backend("postgresql").DbProperty.DbProperty(), back_applier(synced)
    for number in range(5):
        assert library.set(actor_id, "name", str(number))
        assert backward.step()
        # A newer value has no time to arrive before the record of the older one is looked at.
        assert library.set(actor_id, "name", f"{number} again")
        synced.catch_up()
    settle(synced)
    assert synced.select("SELECT * FROM {state}.conflicts") == []
    assert_equal(synced)


def test_dynamodb_is_the_arbiter_of_claims(synced: Sides) -> None:
    actors = owned(synced, 50)
    blue, green = (load_backend(side.value).DbProperty.DbProperty() for side in Side)
    # Neither side knows of the other's claim yet. Blue's is the first in DynamoDB.
    assert green.set(actors[Side.POSTGRESQL], "email", "shared")
    assert blue.set(actors[Side.DYNAMODB], "email", "shared")
    assert back_applier(synced).step()
    settle(synced)
    answers = {one.get_actor_id_from_property("email", "shared") for one in (blue, green)}
    assert answers == {actors[Side.DYNAMODB]}
    assert synced.select("SELECT table_name, owner FROM {state}.conflicts") == [("property_lookup_v2", "dynamodb")]
    # Once it is given up, the next who sets it gets it, on both sides.
    assert blue.set(actors[Side.DYNAMODB], "email", "other")
    settle(synced)
    assert green.set(actors[Side.POSTGRESQL], "email", "shared")
    settle(synced)
    answers = {one.get_actor_id_from_property("email", "shared") for one in (blue, green)}
    assert answers == {actors[Side.POSTGRESQL]}
    assert_equal(synced)
