"""Metrics of real work on both databases and of a live migration, with troubles now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from prometheus_client import CollectorRegistry

from actingweb.db import (
    get_actor,
    get_actor_list,
    get_attribute,
    get_property,
    get_subscription,
    get_trust,
    load_backend,
)
from actingweb.db.exceptions import DbError
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.registry import Backend
from actingweb.migration.cli.metrics import StatusCollector
from actingweb.migration.live.state import State
from actingweb.migration.live.status import Status, read_status
from testbed.dynamodb_proxy import SpoilingProxy, failing
from testbed.prometheus import Recording
from testbed.tcp_proxy import TcpProxy
from tests.live import served

__all__ = ["Work", "record"]

_CYCLE = 10


@dataclass(frozen=True)
class Work:
    """What is done; both proxies are between the library and its servers."""

    postgresql: TcpProxy
    dynamodb: SpoilingProxy
    state: State

    def step(self, number: int) -> None:
        """Do the work of one step, with the trouble that is due."""
        for backend in map(load_backend, ("postgresql", "dynamodb")):
            _calls(backend, number)
            self._trouble(backend, number % _CYCLE)
        read = min(1500 + 50 * number, 4000)
        served.change(self.state, "UPDATE {state}.tables SET read = %(read)s WHERE name = 'properties'", read=read)

    def _trouble(self, backend: Backend, number: int) -> None:
        troubles: dict[int, Callable[[], object]] = {
            1: lambda: self._lose(lambda: get_actor(backend).get("a0")),
            3: lambda: self._lose(lambda: _increment(backend)),
            4: lambda: [get_property(backend).set(actor, "email", "joe@example.com") for actor in ("a0", "a1")],
            6: lambda: get_property(backend).set("a0", "n", "\x00"),
        }
        own: dict[str, dict[int, Callable[[], object]]] = {
            "dynamodb": {2: lambda: self._throttle(backend)},
            "postgresql": {5: lambda: _wait_for_the_pool(backend), 7: lambda: _meet_a_standby(backend)},
        }
        with suppress(DbError):
            (troubles | own[backend.database]).get(number, lambda: None)()

    def _lose(self, call: Callable[[], object]) -> None:
        """Lose the answer to a call."""
        self.postgresql.losses = 1
        self.dynamodb.spoilers.append(lambda send: send() and None)
        try:
            call()
        finally:
            self.postgresql.losses = 0
            self.dynamodb.spoilers.clear()

    def _throttle(self, backend: Backend) -> None:
        self.dynamodb.spoilers.extend([failing("ProvisionedThroughputExceededException")] * 2)
        get_actor(backend).get("a0")


def record(
    work: Work, registry: CollectorRegistry, steps: int, interval: float, *, hurry: bool = False
) -> list[Recording]:
    """Return the metrics of so many steps of work, with a sample every `interval` seconds.

    `hurry`: do not wait between them; the times are made up so that the last sample is of now.
    """
    migration = CollectorRegistry()
    migration.register(StatusCollector(lambda: _status(work.state)))
    recordings = [Recording(registry, "app"), Recording(migration, "sync")]
    begun = time.time() - (steps * interval if hurry else 0)
    for number in range(steps):
        work.step(number)
        if not hurry:
            time.sleep(max(0.0, begun + number * interval - time.time()))
        for recording in recordings:
            recording.take(begun + number * interval if hurry else time.time())
    return recordings


def _status(state: State) -> Status:
    with state.connect() as connection:
        return read_status(state, connection)


def _calls(backend: Backend, number: int) -> None:
    actor = f"a{number}"
    get_actor(backend).create(actor, creator="joe@example.com", passphrase="p")
    get_property(backend).set(actor, "color", "blue")
    get_trust(backend).create(actor, "peer", secret=f"s{number}")
    get_attribute(backend).set_attr(actor, "bucket", "name", {"a": 1})
    for _ in range(5):
        get_property(backend).get(actor, "color")
        get_trust(backend).get(actor, "peer")
        get_attribute(backend).get_attr(actor, "bucket", "name")
    get_actor_list(backend).fetch()


def _increment(backend: Backend) -> None:
    subscription = get_subscription(backend)
    subscription.create("a0", "peer", "s")
    subscription.get("a0", "peer", "s")
    subscription.increment_seqnr()


def _wait_for_the_pool(backend: Backend) -> None:
    held = [get_pool().getconn() for _ in range(get_pool().max_size)]
    waiting = Thread(target=get_actor(backend).get, args=("a0",))
    waiting.start()
    time.sleep(0.1)
    for connection in held:
        get_pool().putconn(connection)
    waiting.join()


def _meet_a_standby(backend: Backend) -> None:
    with get_connection():
        pass
    session = get_pool().getconn()
    session.command(b"SET default_transaction_read_only = on")
    get_pool().putconn(session)
    get_property(backend).set("a0", "color", "red")
