"""Calls over a network that drops all packets: `unshare --net python -m tests.faults.dropped_packets COUNT`.

Prints as JSON, for each call, the name of the error that it raised and how many seconds that took.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from actingweb.db import get_actor, get_property, load_backend
from actingweb.db.exceptions import DbError
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.migrate import upgrade
from actingweb.embedded.postgres import PostgresServer

from .private_postgres import connect, fill_pool, wait_until

UNAVAILABLE = 77
USER_TIMEOUT, CONNECT_TIMEOUT, TIMEOUT = 1.0, 2.0, 6.0
CONFIRMED = 0.3
IDLE = 10
ACTOR = "actor"
BLOCKED = "SELECT FROM pg_locks WHERE NOT granted"

# The loopback device of a network of our own; nobody else uses it. What comes in is dropped: of packets that do not
# even go out TCP learns, and counts no time-out.
_START = ("ip link set lo up", "tc qdisc add dev lo clsact")
_DROP = "tc filter add dev lo ingress bpf direct-action bytecode '1,6 0 0 2,'"
_HEAL = "tc filter del dev lo ingress"


def main() -> None:
    """See the top of the module."""
    for command in (*_START, _DROP, _HEAL):
        if not ran(command):
            sys.exit(UNAVAILABLE)
    with PostgresServer(fsync=False) as server:
        os.environ.update(server.connection.environment())
        os.environ["PG_TCP_USER_TIMEOUT"] = str(USER_TIMEOUT)
        os.environ["PG_CONNECT_TIMEOUT"] = str(CONNECT_TIMEOUT)
        os.environ["PG_DB_TIMEOUT"] = str(TIMEOUT)
        upgrade()
        print(json.dumps(measured(server, int(sys.argv[1]))))


def measured(server: PostgresServer, count: int) -> dict[str, tuple[str, float]]:
    """Return what each of so many calls raised, and after how many seconds."""
    prop = get_property(load_backend("postgresql"))
    assert get_actor(load_backend("postgresql")).create(actor_id=ACTOR, creator="creator@example.com")
    assert prop.set(ACTOR, "color", "red")
    calls: dict[str, Callable[[], tuple[str, float]]] = {
        "read": lambda: dropped(lambda: prop.get(ACTOR, "color")),
        "answer under way": lambda: dropped_while_it_waits(lambda: prop.set(ACTOR, "color", "blue"), server),
        "write": lambda: dropped(lambda: prop.set(ACTOR, "color", "blue")),
        "indexed write": lambda: dropped(lambda: prop.set(ACTOR, "email", "me@example.com")),
    }
    return {name: calls[name]() for name in [*calls][:count]}


def dropped_while_it_waits(call: Callable[[], object], server: PostgresServer) -> tuple[str, float]:
    """Let a call wait for a lock of the server when all packets begin to be dropped."""
    close_pool()
    with connect(server) as admin, admin.transaction(), ThreadPoolExecutor(1) as threads:
        admin.execute("SELECT FROM properties FOR UPDATE")
        waiting = threads.submit(timed, call)
        wait_until(lambda: admin.execute(BLOCKED).rowcount)
        # The server has confirmed the packets by then, so that only a word to it tells that it is out of reach.
        time.sleep(CONFIRMED)
        with dropping():
            return waiting.result()


def dropped(call: Callable[[], object]) -> tuple[str, float]:
    """Do a call, with idle connections in a pool that has been used, when all packets are dropped."""
    close_pool()
    assert get_actor(load_backend("postgresql")).get(ACTOR)
    fill_pool(IDLE)
    with dropping():
        return timed(call)


def timed(call: Callable[[], object]) -> tuple[str, float]:
    """Return the name of the error that a call raises, and after how many seconds it does."""
    began = time.monotonic()
    try:
        call()
    except DbError as error:
        return type(error).__name__, time.monotonic() - began
    return "", time.monotonic() - began


@contextmanager
def dropping() -> Iterator[None]:
    """Drop all packets until the block ends."""
    ran(_DROP)
    try:
        yield
    finally:
        ran(_HEAL)


def ran(command: str) -> bool:
    """Run a command; tell whether it succeeded."""
    try:
        return subprocess.run(shlex.split(command), check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
