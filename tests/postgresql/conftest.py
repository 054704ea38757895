"""Fixtures for tests of the PostgreSQL backend.

* `proxy`: a `TcpProxy` between the backend and its server.
* `role`: a log-in role of the server without rights, as user name and password.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv
from tests.support import conninfo_of, new_id, require_superuser, wait_until

PgConnection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def proxy(backend: Backend, set_env: SetEnv, pg: PgConnection) -> Iterator[TcpProxy]:
    """Put a proxy between the backend and its server."""
    with tcp_proxy(pg.info.host, pg.info.port) as running:
        set_env(PG_DB_URL=conninfo_of(pg, host="127.0.0.1", port=str(running.port)))
        yield running


@pytest.fixture
def role(pg: PgConnection) -> Iterator[tuple[str, str]]:
    """Create a role that may log in and nothing else."""
    require_superuser(pg)
    name, password = new_id("Role "), 'it\'s a "secret" \\ of 5 %'
    pg.execute(
        sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 0 PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(password)
        )
    )
    yield name, password
    pg.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def end_session(pg: PgConnection, pid: int) -> None:
    """End a session of the server, and wait until it is gone."""
    pg.execute("SELECT pg_terminate_backend(%s)", [pid])

    def gone() -> bool:
        pg.execute("SELECT pg_stat_clear_snapshot()")
        return pg.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).rowcount == 0

    wait_until(gone)
