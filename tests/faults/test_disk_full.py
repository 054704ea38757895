"""A server whose disk is full (issue 5, item 1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from actingweb.db import get_actor, get_property
from actingweb.db.exceptions import DbError
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import new_id

from .checking import checked
from .conftest import Amount, Figures
from .private_postgres import MountError, ServerOnSmallDisk, connect, use
from .workload import Load

# Little is written before the disk is full, and then files are needed soon.
SETTINGS = {"min_wal_size": "32MB", "max_wal_size": "32MB", "shared_buffers": "8MB"}
MEGABYTES = 160


@pytest.fixture(scope="module")
def server() -> Iterator[ServerOnSmallDisk]:
    """Start a server on a disk that can be filled."""
    small = ServerOnSmallDisk(MEGABYTES, SETTINGS)
    try:
        small.start()
    except MountError as error:
        pytest.skip(f"no small file system can be mounted here, which takes root: {error}")
    yield small
    small.stop()


@pytest.fixture
def own(server: ServerOnSmallDisk, set_env: SetEnv) -> Backend:
    """Make that server the one of the settings."""
    return use(server, set_env)


def test_tables_that_cannot_grow(own: Backend, server: ServerOnSmallDisk, amount: Amount, figures: Figures) -> None:
    """What does not fit fails and changes nothing; when there is room again, all goes on by itself."""
    actor_id, prop, began, rounds = new_id(), get_property(own), time.monotonic(), amount(1, 10)
    assert get_actor(own).create(actor_id=actor_id, creator="creator@example.com")
    with Load(own) as load:
        for _ in range(rounds):
            load.wait_for(50)
            with full(server):
                with pytest.raises(DbError, match="disk is full"):
                    prop.set(actor_id, "large", large_value())
                assert prop.get(actor_id, "large") is None
                load.wait_for_failures(1)
            load.wait_for(50)
            assert prop.set(actor_id, "large", large_value())
            assert prop.delete()
    checked(load.verdict(), "tables that cannot grow, disk full", figures, began, faults=rounds)


def test_a_log_that_cannot_grow(own: Backend, server: ServerOnSmallDisk, amount: Amount, figures: Figures) -> None:
    """Then the server gives up altogether, until there is room and it is started again."""
    began, rounds = time.monotonic(), amount(1, 4)
    with Load(own) as load:
        for _ in range(rounds):
            load.wait_for(50)
            with full(server):
                use_up_log(server)
                load.wait_for_failures(1)
            server.restart()
            load.wait_for(50)
    checked(load.verdict(), "log that cannot grow, disk full", figures, began, faults=rounds)


@contextmanager
def full(server: ServerOnSmallDisk) -> Iterator[None]:
    """Fill the disk for the time of a block."""
    server.fill_disk()
    try:
        yield
    finally:
        server.make_room()


def large_value() -> str:
    """Return what compression does not help to store."""
    return "".join(new_id("") for _ in range(20_000))


def use_up_log(server: ServerOnSmallDisk) -> None:
    """Begin new segments of the log until that ends the server, which what the load writes may do before."""
    try:
        with connect(server) as connection:
            for _ in range(20):
                connection.execute("SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()")
    except psycopg.OperationalError:
        return
    pytest.fail("the server has room for its log")
