"""Passwords and tokens that change while the application runs (issue 5, item 6)."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db import get_actor
from actingweb.db.exceptions import DbConnectionError
from actingweb.db.postgresql import set_password_source
from actingweb.db.postgresql.connection import get_connection, get_connection_string, get_pool
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.contract.support.chain import shown_text
from tests.support import conninfo_of, new_id, race

pytestmark = pytest.mark.backends("postgresql")

CANARY = "Canary7391"
Told = Callable[[str], None]
PgConnection = psycopg.Connection[tuple[Any, ...]]


class Role:
    """A role of the server, whose password can be changed.

    Attributes:
        password: the present one.
    """

    def __init__(self, pg: PgConnection) -> None:
        self._pg = pg
        self.name = new_id("role")
        self.password = ""
        self._execute("CREATE ROLE {} SUPERUSER LOGIN")
        self.change()

    def change(self) -> None:
        """Change the password."""
        self.password = new_id('it\'s a "secret" of 100 % ')
        self._execute("ALTER ROLE {} PASSWORD {}", sql.Literal(self.password))

    def drop(self) -> None:
        """Remove the role."""
        self._execute("DROP ROLE {}")

    def _execute(self, command: Any, *parts: sql.Composable) -> None:
        self._pg.execute(sql.SQL(command).format(sql.Identifier(self.name), *parts))


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Let all loggers speak, those of the driver too."""
    for name in (None, "actingweb", "psycopg", "psycopg.pool"):
        caplog.set_level(logging.DEBUG, name)


@pytest.fixture
def role(backend: Backend, pg: PgConnection, set_env: SetEnv) -> Iterator[Role]:
    """Let the backend log in as a role of its own."""
    found = Role(pg)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(conninfo_of(pg, user=found.name, password="another"))
    set_env(PG_DB_URL=None, DATABASE_URL=None, PG_DB_USER=found.name, PG_DB_PASSWORD="outdated")
    yield found
    set_env()
    found.drop()


@pytest.fixture(params=["command", "callable"])
def told(request: pytest.FixtureRequest, role: Role, set_env: SetEnv, tmp_path: Path) -> Iterator[Told]:
    """Get the password from a command, or from a function; return what changes its answer."""
    kept = tmp_path / "token"

    def tell(password: str) -> None:
        kept.write_text(f"{password}\n")

    if request.param == "command":
        set_env(PG_DB_PASSWORD_COMMAND=shlex.join(["cat", str(kept)]))
    else:
        set_password_source(lambda: kept.read_text().rstrip("\n"))
    yield tell
    set_password_source(None)


def read(backend: Backend) -> object:
    return get_actor(backend).get("a")


def test_new_connections_use_the_new_password_and_old_ones_live_on(backend: Backend, role: Role, told: Told) -> None:
    told(role.password)
    with get_connection() as old:
        for _ in range(3):
            role.change()
            set_aside(old)
            with pytest.raises(DbConnectionError):
                read(backend)
            told(role.password)
            assert read(backend) is None
            assert old.execute("SELECT 1").fetchone() == (1,)


def set_aside(held: PgConnection) -> None:
    """Let the pool have no other connection than one that is in use."""
    get_pool().drain()
    assert get_pool().get_stats()["pool_size"] == 1
    assert not held.closed


def test_a_change_under_way_costs_nobody_a_call(backend: Backend, role: Role, told: Told) -> None:
    """The source is asked for each new connection, also by many threads at once."""
    for _ in range(3):
        role.change()
        told(role.password)
        get_pool().drain()
        assert race(8, lambda: read(backend)) == [None] * 8


def test_alembic_and_callers_of_their_own_use_it_too(backend: Backend, role: Role, told: Told) -> None:
    told(role.password)
    upgrade()
    with psycopg.connect(get_connection_string()) as own:
        assert own.info.user == role.name


COMMANDS = {
    "ended with 3": "sh -c 'echo {0}; echo {0} >&2; exit 3'",
    "printed nothing": "sh -c 'echo {0} >&2'",
    "could not be run": "/nowhere/{0}",
    "did not end within 1 s": "sh -c 'echo {0}; exec sleep 20'",
    "no connection to the server": "echo {0}",
}


@pytest.mark.parametrize("problem", COMMANDS)
def test_a_command_without_a_password_is_a_connection_error_that_shows_nothing(
    problem: str, backend: Backend, role: Role, set_env: SetEnv, caplog: pytest.LogCaptureFixture
) -> None:
    set_env(PG_DB_PASSWORD_COMMAND=COMMANDS[problem].format(CANARY), PG_CONNECT_TIMEOUT="1")
    with pytest.raises(DbConnectionError, match=problem) as raised:
        read(backend)
    assert CANARY not in shown_text(raised.value) + caplog.text


def test_a_function_without_a_password_is_a_connection_error_that_shows_nothing(
    backend: Backend, role: Role, caplog: pytest.LogCaptureFixture
) -> None:

    def fail() -> str:
        raise RuntimeError(CANARY)

    set_password_source(fail)
    try:
        with pytest.raises(DbConnectionError, match="raised RuntimeError") as raised:
            read(backend)
    finally:
        set_password_source(None)
    assert CANARY not in shown_text(raised.value) + caplog.text


def test_idle_connections_serve_while_there_is_no_password(backend: Backend, role: Role, told: Told) -> None:
    told(role.password)
    assert read(backend) is None
    told("")
    assert read(backend) is None
    get_pool().drain()
    with pytest.raises(DbConnectionError):
        read(backend)
    told(role.password)
    assert read(backend) is None


def test_a_password_is_in_no_log(backend: Backend, role: Role, told: Told, caplog: pytest.LogCaptureFixture) -> None:
    told(role.password)
    assert read(backend) is None
    assert "connection attempt" in caplog.text
    assert role.password not in caplog.text
