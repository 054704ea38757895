"""A primary that dies and a standby that takes over (issue 5, item 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from actingweb.db import load_backend
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.registry import Backend
from actingweb.embedded.postgres import PostgresServer
from testbed.tcp_proxy import tcp_proxy
from tests.conftest import SetEnv

from .checking import checked
from .conftest import Amount, Figures
from .private_postgres import Standby, connect, use, wait_until
from .workload import Load

WRITTEN = "SELECT pg_current_wal_insert_lsn()"
LONGEST_OUTAGE = 60.0
"""Seconds; without the standby there is no end."""
BEHIND = "SELECT FROM pg_stat_replication WHERE flush_lsn < pg_current_wal_lsn()"
FOLLOWERS = "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = %s"


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    """Start a server."""
    # Only processes fail here, not the machine.
    with PostgresServer(fsync=False) as running:
        yield running


@pytest.fixture
def application(primary: PostgresServer, set_env: SetEnv) -> Callable[[Standby], Backend]:
    """Return a function that makes the server and a standby the ones of the settings, and returns the backend."""
    use(primary, set_env)

    def name_both(standby: Standby) -> Backend:
        # Being named first does not make a standby the one that is used.
        both = [standby.connection, primary.connection]
        set_env(
            PG_DB_HOST=",".join(server.host for server in both),
            PG_DB_PORT=",".join(str(server.port) for server in both),
        )
        return load_backend("postgresql")

    return name_both


def wait_for_standby(primary: PostgresServer, state: str) -> None:
    """Wait until a standby follows in this way."""
    with connect(primary) as admin:
        wait_until(lambda: admin.execute(FOLLOWERS, [state]).rowcount)


def wait_for_each_commit(primary: PostgresServer) -> None:
    """Let the primary acknowledge nothing that the standby does not have."""
    with connect(primary) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        admin.execute("SELECT pg_reload_conf()")
    wait_for_standby(primary, "sync")


def test_a_synchronous_standby_takes_over_and_nothing_is_lost(
    primary: PostgresServer, application: Callable[[Standby], Backend], amount: Amount, figures: Figures
) -> None:
    began = time.monotonic()
    with Standby(primary) as standby:
        wait_for_each_commit(primary)
        with Load(application(standby)) as load:
            load.wait_for(amount(200, 5000))
            primary.kill()
            standby.promote()
            load.wait_for(amount(200, 5000))
        outage = load.longest_pause()
        checked(load.verdict(), "failover, synchronous standby", figures, began, faults=1, outage_seconds=outage)
    assert outage < LONGEST_OUTAGE


def test_a_planned_switch_leaves_no_session_with_the_old_primary(
    primary: PostgresServer, application: Callable[[Standby], Backend], amount: Amount, figures: Figures
) -> None:
    """The old primary lives on and takes no writes; sessions with it are given up."""
    began = time.monotonic()
    with Standby(primary) as standby:
        wait_for_standby(primary, "async")
        with Load(application(standby)) as load:
            load.wait_for(amount(100, 5000))
            stop_writes(primary)
            standby.promote()
            load.wait_for(amount(100, 5000))
        outage = load.longest_pause()
        close_pool()
        verdict = load.verdict()
        checked(verdict, "planned switch of the primary", figures, began, faults=1, outage_seconds=outage)
    assert outage < LONGEST_OUTAGE
    assert verdict.unknown == 0


def stop_writes(primary: PostgresServer) -> None:
    """Make the primary read-only; return when the standby has all that it wrote."""
    with connect(primary) as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        # Transactions that had begun before may still write.
        before = None
        while before != (before := admin.execute(WRITTEN).fetchone()) or admin.execute(BEHIND).rowcount:
            time.sleep(0.1)


def test_an_asynchronous_standby_lacks_what_did_not_reach_it(
    primary: PostgresServer, application: Callable[[Standby], Backend], amount: Amount, figures: Figures
) -> None:
    """An example of the loss: what the primary acknowledged and had not sent yet. Nothing else may go wrong."""
    facts = primary.connection
    with tcp_proxy(facts.host, facts.port) as wire, Standby(primary, wire.port) as standby:
        wait_for_standby(primary, "async")
        with Load(application(standby)) as load:
            load.wait_for(200)
            wire.mute = True
            held_back = load.acknowledged
            load.wait_for(amount(200, 2000))
            held_back = load.acknowledged - held_back
        primary.kill()
        wire.stop()
        standby.promote()
        close_pool()
        verdict = load.verdict()
    name = "failover, asynchronous standby that is behind: an example"
    figures(
        name, tried=verdict.tried, faults=1, acknowledged_while_behind=held_back, gone_with_the_primary=verdict.lost
    )
    assert verdict.lost > 0
    assert (verdict.doubled, verdict.wrong) == (0, 0)
