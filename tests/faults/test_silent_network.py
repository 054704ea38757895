"""A network, or a server, that says nothing any more (issue 5, item 3)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from actingweb.db import get_property, get_subscription, transaction
from actingweb.db.exceptions import DbConnectionError, DbError, DbOutcomeUnknownError, DbTimeoutError
from actingweb.db.postgresql.connection import get_pool
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv
from tests.support import PATIENCE, conninfo_of

from .checking import checked
from .conftest import Amount, Figures
from .dropped_packets import CONNECT_TIMEOUT, UNAVAILABLE, USER_TIMEOUT
from .private_postgres import fill_pool
from .workload import Load

pytestmark = pytest.mark.backends("postgresql")

PgConnection = psycopg.Connection[tuple[Any, ...]]
Fault = Callable[[TcpProxy], None]

ROOT = Path(__file__).parents[2]
SILENCE, CONNECTING = 1.0, 4.0
# Less than any time that is not set by us: the system's own are minutes.
SLACK = 60.0


def silence(proxy: TcpProxy) -> None:
    """Let nothing reach the server."""
    proxy.silent = True


def mute(proxy: TcpProxy) -> None:
    """Let nothing of what the server answers through."""
    proxy.mute = True


def heal(proxy: TcpProxy) -> None:
    """Let what is sent from now on through."""
    proxy.silent = proxy.mute = False


@pytest.fixture
def network(backend: Backend, actor_id: str, set_env: SetEnv, pg: PgConnection) -> Iterator[TcpProxy]:
    """Put a network in front of the server, with a connection over it in the pool."""
    with tcp_proxy(pg.info.host, pg.info.port) as proxy:
        set_env(
            PG_DB_URL=conninfo_of(pg, host="127.0.0.1", port=str(proxy.port), sslmode="disable"),
            PG_DB_TIMEOUT=str(SILENCE),
            PG_CONNECT_TIMEOUT=str(CONNECTING),
        )
        use_all_statements(backend, actor_id)
        yield proxy
        heal(proxy)
        proxy.hang_up()


def use_all_statements(backend: Backend, actor_id: str) -> None:
    """Let the only connection prepare what the tests use."""
    prop = get_property(backend)
    subscription = get_subscription(backend)
    assert subscription.create(actor_id, "peer", "s")
    for _ in range(2):
        assert prop.set(actor_id, "color", "old")
        assert prop.set(actor_id, "email", "old")
        assert prop.get(actor_id, "color") == "old"


class Within(Protocol):
    """Expect an error about so many seconds from now."""

    def __call__(self, seconds: float, kind: type[DbError]) -> AbstractContextManager[None]: ...


@pytest.fixture
def within(network: TcpProxy) -> Within:
    """Return what checks when a call gives up; one that never does is ended, and fails."""

    @contextmanager
    def expect(seconds: float, kind: type[DbError]) -> Iterator[None]:
        rescue = threading.Timer(seconds + SLACK, network.hang_up)
        rescue.start()
        began = time.monotonic()
        try:
            with pytest.raises(DbError) as raised:
                yield
        finally:
            rescue.cancel()
            rescue.join()
        assert type(raised.value) is kind, raised.value
        assert seconds * 0.9 <= time.monotonic() - began < seconds + SLACK

    return expect


def stored(pg: PgConnection, name: str) -> object:
    row = pg.execute("SELECT value FROM properties WHERE name = %s", [name]).fetchone()
    return None if row is None else row[0]


@pytest.mark.parametrize("fault", [silence, mute])
def test_a_read_gives_up(fault: Fault, backend: Backend, actor_id: str, network: TcpProxy, within: Within) -> None:
    """It is not repeated: the next one would wait as long."""
    fault(network)
    accepted = network.accepted
    with within(SILENCE, DbTimeoutError):
        get_property(backend).get(actor_id, "color")
    assert network.accepted == accepted
    heal(network)
    assert get_property(backend).get(actor_id, "color") == "old"


@pytest.mark.parametrize("name", ["color", "email"])
@pytest.mark.parametrize(("fault", "expected"), [(silence, "old"), (mute, "new")])
def test_a_write_gives_up_and_says_that_its_outcome_is_unknown(
    fault: Fault,
    expected: str,
    name: str,
    backend: Backend,
    actor_id: str,
    network: TcpProxy,
    within: Within,
    pg: PgConnection,
) -> None:
    fault(network)
    with within(SILENCE, DbOutcomeUnknownError):
        get_property(backend).set(actor_id, name, "new")
    heal(network)
    assert stored(pg, name) == expected
    assert get_property(backend).get(actor_id, name) == expected


def test_a_write_without_an_answer_is_not_repeated(
    backend: Backend, actor_id: str, network: TcpProxy, within: Within, pg: PgConnection
) -> None:
    subscription = get_subscription(backend)
    assert subscription.get(actor_id, "peer", "s")
    mute(network)
    with within(SILENCE, DbOutcomeUnknownError):
        subscription.increment_seqnr()
    heal(network)
    assert pg.execute("SELECT seqnr FROM subscriptions").fetchone() == (1,)


def test_a_new_connection_gives_up(
    backend: Backend, actor_id: str, network: TcpProxy, within: Within, set_env: SetEnv
) -> None:
    set_env()
    silence(network)
    with within(CONNECTING, DbConnectionError):
        get_property(backend).get(actor_id, "color")
    heal(network)
    assert get_property(backend).get(actor_id, "color") == "old"


@pytest.mark.no_aio  # it is about the synchronous calls; tests/aio has the other
def test_a_silence_in_a_transaction_undoes_it(
    backend: Backend, actor_id: str, network: TcpProxy, within: Within, pg: PgConnection
) -> None:
    prop = get_property(backend)
    with within(SILENCE, DbTimeoutError), transaction():
        prop.set(actor_id, "color", "new")
        silence(network)
        prop.set(actor_id, "email", "new")
    heal(network)
    network.hang_up()
    assert (stored(pg, "color"), stored(pg, "email")) == ("old", "old")


def test_a_transaction_that_cannot_begin_gives_up(backend: Backend, network: TcpProxy, within: Within) -> None:
    silence(network)
    with within(SILENCE, DbTimeoutError), transaction():
        pytest.fail("it has begun")


@pytest.mark.no_aio  # it is about the synchronous calls; tests/aio has the other
@pytest.mark.parametrize(("fault", "expected"), [(silence, "old"), (mute, "new")])
def test_the_outcome_of_a_commit_without_an_answer_is_unknown(
    fault: Fault, expected: str, backend: Backend, actor_id: str, network: TcpProxy, within: Within, pg: PgConnection
) -> None:
    with within(SILENCE, DbOutcomeUnknownError), transaction():
        get_property(backend).set(actor_id, "color", "new")
        fault(network)
    heal(network)
    network.hang_up()
    assert stored(pg, "color") == expected


def test_idle_connections_are_not_tried_one_after_the_other(
    backend: Backend, actor_id: str, network: TcpProxy, within: Within
) -> None:
    """After one that was silent, the next call makes a new one."""
    fill_pool(10)
    silence(network)
    with within(SILENCE, DbTimeoutError):
        get_property(backend).get(actor_id, "color")
    assert get_pool().get_stats()["pool_size"] == 0
    heal(network)
    assert get_property(backend).get(actor_id, "color") == "old"


def test_a_mixed_load_over_a_network_that_falls_silent_again_and_again(
    backend: Backend, network: TcpProxy, amount: Amount, figures: Figures
) -> None:
    began, rounds = time.monotonic(), amount(1, 24)
    with Load(backend) as load:
        for number in range(rounds):
            load.wait_for(50)
            (mute, silence)[number % 2](network)
            time.sleep(SILENCE * 1.5)
            heal(network)
    pause = load.longest_pause()
    verdict = load.verdict()
    checked(verdict, "silent network", figures, began, faults=rounds, longest_pause_seconds=pause)
    assert verdict.unknown > 0
    assert pause < SILENCE * 1.5 + CONNECTING + SLACK


def test_packets_that_are_dropped(amount: Amount, figures: Figures) -> None:
    """The operating system gives up after PG_TCP_USER_TIMEOUT; a read then tries one new connection."""
    command = ["unshare", "--net", sys.executable, "-m", "tests.faults.dropped_packets", str(amount(1, 4))]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except OSError as error:
        pytest.skip(f"no network of our own can be made here: {error}")
    if done.returncode == UNAVAILABLE or done.stderr.startswith("unshare"):
        pytest.skip(f"no network of our own can be made here, which takes root and iproute2: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    for call, (raised, seconds) in json.loads(done.stdout).items():
        figures(f"packets dropped, {call}", seconds=seconds, tried=1, faults=1, lost=0, doubled=0, wrong=0)
        assert raised == ("DbConnectionError" if call == "read" else "DbOutcomeUnknownError")
        assert USER_TIMEOUT * 0.9 < seconds < USER_TIMEOUT + CONNECT_TIMEOUT + SLACK
