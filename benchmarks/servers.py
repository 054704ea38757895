"""What the measurements need of PostgreSQL beside `testbed.provisioning`: a database, one processor, and a network.

`python -m benchmarks.servers HOST PORT` starts a relay that delays what it forwards, and prints its port. The relay is
a process of its own, so that it takes no processor time from the client. It ends when its stdin ends.
"""

import ctypes
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import psycopg
from psycopg import sql

from benchmarks.contenders import Program, Worker
from testbed.servers import PostgresTarget
from testbed.tcp_proxy import TcpProxy

NETWORK_SECONDS = 0.001
"""The delay that the network adds to a round trip."""

_SET_TIMER_SLACK = 29


@contextmanager
def database(server: PostgresTarget) -> Iterator[dict[str, str]]:
    """Create an empty database for the block, and yield its settings."""
    name = f"bench_baseline_{uuid4().hex[:8]}"
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        info = connection.info
        settings = {"HOST": info.host, "PORT": str(info.port), "USER": info.user, "PASSWORD": info.password}
        try:
            yield {f"PG_DB_{part}": value for part, value in {**settings, "NAME": name}.items()}
        finally:
            with suppress(psycopg.Error):
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def share_processor(server: PostgresTarget, workers: Iterable[Worker]) -> None:
    """Run workers and the server's sessions of local clients on one processor, where that is possible.

    A client and its server exchange messages much faster on one processor than on two. So that the choice of the system
    does not change the figures, both run on the same one.
    """
    query = (
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND inet_server_addr() <<= '127.0.0.0/8'"
    )
    with server.connect() as connection, suppress(AttributeError, OSError):
        for process in (*(one.pid for one in workers), *(pid for (pid,) in connection.execute(query))):
            os.sched_setaffinity(process, {max(os.sched_getaffinity(0))})


@contextmanager
def network(server: PostgresTarget) -> Iterator[dict[str, str]]:
    """Yield the settings that name a relay to this server, which adds the time of a network."""
    with server.connect() as connection:
        address = connection.info.host, connection.info.port
    with Program(sys.executable, "-m", "benchmarks.servers", *address) as process:
        yield {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": process.line()}


if __name__ == "__main__":
    with suppress(OSError, AttributeError):
        # Linux may end a sleep 50 µs late. Threads inherit this setting.
        ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1)
    proxy = TcpProxy(sys.argv[1], int(sys.argv[2]))
    proxy.delay = NETWORK_SECONDS / 2
    print(proxy.port, flush=True)
    sys.stdin.read()
