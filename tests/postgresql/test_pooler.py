"""A transaction pooler in front of the server."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Iterator

import pytest

from actingweb.db import get_property
from actingweb.db.postgresql.connection import get_connection, get_pool
from actingweb.db.registry import Backend
from testbed.threads import HelperServer
from tests.conftest import SetEnv
from tests.support import conninfo_of

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

_KEY_MESSAGE = b"K\x00\x00\x00\x0c"
_MANY = 20


class _LyingRelay(socketserver.BaseRequestHandler):
    """Forwards to the server, but reports another process id than the server's, as a pooler does."""

    server: Relays

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as upstream:
            answers = self.server.threads.start(self._answer, upstream)
            while data := self.request.recv(65536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, upstream: socket.socket) -> None:
        while data := upstream.recv(65536):
            before, message, after = data.partition(_KEY_MESSAGE)
            self.request.sendall(before + message + b"\x00\x00\x00\x01" + after[4:] if message else data)


class Relays(HelperServer, socketserver.TCPServer):
    """A proxy that looks like a pooler in front of the server."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _LyingRelay)
        self.target = (host, port)


@pytest.fixture
def pooler(backend: Backend, pg: PgConnection) -> Iterator[str]:
    """Return the conninfo to connect through that proxy."""
    with Relays(pg.info.host, pg.info.port) as relays:
        relays.start()
        yield conninfo_of(pg, host="127.0.0.1", port=str(relays.server_address[1]))
        relays.stop()


def prepared(backend: Backend, actor_id: str) -> int:
    """Return how many statements the session keeps prepared after many uses of two."""
    prop = get_property(backend)
    for number in range(_MANY):
        prop.set(actor_id, "email", str(number))
        prop.get(actor_id, "email")
    with get_connection() as connection:
        count = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert count is not None
    return int(count[0])


@pytest.mark.parametrize("setting", [None, "auto", "off"])
def test_statements_are_prepared_on_a_direct_connection(
    setting: str | None, backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    set_env(PG_POOLER=setting)
    assert prepared(backend, actor_id) == 6
    assert get_pool().pooled is False


def test_a_pooler_is_noticed_and_nothing_is_prepared_then(
    backend: Backend, actor_id: str, pooler: str, set_env: SetEnv
) -> None:
    set_env(PG_DB_URL=pooler)
    assert prepared(backend, actor_id) == 0
    assert get_pool().pooled is True


def test_nothing_is_prepared_when_there_is_said_to_be_a_pooler(
    backend: Backend, actor_id: str, set_env: SetEnv
) -> None:
    set_env(PG_POOLER="on")
    assert prepared(backend, actor_id) == 0


def test_a_pooler_that_is_said_not_to_be_there_is_not_looked_for(
    backend: Backend, actor_id: str, pooler: str, set_env: SetEnv
) -> None:
    set_env(PG_DB_URL=pooler, PG_POOLER="off")
    assert prepared(backend, actor_id) == 6


def test_the_session_is_left_as_it_was(backend: Backend, actor_id: str) -> None:
    """No search path, lock or temporary object outlives a call."""
    get_property(backend).set(actor_id, "email", "x")
    with get_connection() as connection:
        assert connection.execute("SHOW search_path").fetchone() != ('"$user", public',)
    pool = get_pool()
    connection = pool.getconn()
    try:
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
        own = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        locks = connection.execute(own).fetchone()
        assert locks == (0,)
    finally:
        pool.putconn(connection)
