"""The servers of a benchmark: those that the environment names, otherwise private ones; its schemas, tables, network.

`python -m benchmarks.servers HOST PORT` starts a relay that delays what it forwards, and prints its port. The relay is
a process of its own, so that it takes no processor time from the client. It ends when its stdin ends.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import uuid4

import psycopg
from psycopg import sql

from actingweb.db.dynamodb import reset_ensure_cache
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.migrate import upgrade
from actingweb.embedded.postgres import postgres_environment
from benchmarks.contenders import Worker
from testbed.operations.operation import Operation
from testbed.servers import DynamoDBTables, DynamoDBTarget, PostgresTables, PostgresTarget, dynamodb_target
from testbed.tcp_proxy import TcpProxy

NETWORK_SECONDS = 0.001
"""The delay that the network adds to a round trip."""

_SET_TIMER_SLACK = 29
_BEHAVIOUR = (
    *("PG_POOL", "PG_CONNECT", "PG_TCP", "USE_PROPERTY", "INDEXED_PROPERTIES"),
    *("AWS_DB_AUTO", "AWS_DB_TIMEOUT", "AWS_DB_TRANSPORT"),
)


def use(environment: Mapping[str, str]) -> None:
    """Add these settings to the environment of this process, and make the library read it again."""
    os.environ.update(environment)
    close_pool()
    reset_ensure_cache()


@contextmanager
def _own_settings() -> Iterator[None]:
    """Use the default settings, except those that name servers; restore the environment after the block."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(_BEHAVIOUR):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        use(before)


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresTarget]:
    """Yield the server; a private one runs with fsync off and with these `settings`."""
    with _own_settings(), postgres_environment(fsync=False, settings=settings) as environment:
        yield PostgresTarget(environment)


@contextmanager
def schema(server: PostgresTarget, name: str = "ours") -> Iterator[PostgresTables]:
    """Create a schema with this library's tables, and use it during the block."""
    prefix = f"bench{uuid4().hex[:8]}_{name}_"
    use({**server.environment, "PG_DB_PREFIX": prefix, "PG_DB_SCHEMA": "public"})
    upgrade()
    made = PostgresTables(server, prefix, "public")
    try:
        yield made
    finally:
        close_pool()
        made.drop()


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
def dynamodb_server() -> Iterator[DynamoDBTarget]:
    """Yield the server."""
    with _own_settings(), dynamodb_target(os.environ) as server:
        yield server


@contextmanager
def tables(server: DynamoDBTarget, name: str = "ours") -> Iterator[DynamoDBTables]:
    """Name tables that nobody else has, and use them during the block. The library creates them."""
    made = DynamoDBTables(server, f"bench{uuid4().hex[:8]}{name}")
    use(made.environment)
    try:
        yield made
    finally:
        made.drop()


def calls_far(operation: Operation) -> int:
    """Return how many calls a round over the network has."""
    return min(20, operation.count)


@contextmanager
def network(server: PostgresTarget) -> Iterator[dict[str, str]]:
    """Yield the settings that name a relay to this server, which adds the time of a network."""
    with server.connect() as connection:
        address = connection.info.host, str(connection.info.port)
    command = [sys.executable, "-m", "benchmarks.servers", *address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": process.stdout.readline().strip()}
        finally:
            process.terminate()


if __name__ == "__main__":
    with suppress(OSError, AttributeError):
        # Linux may end a sleep 50 µs late. Threads inherit this setting.
        ctypes.CDLL(None).prctl(_SET_TIMER_SLACK, 1)
    proxy = TcpProxy(sys.argv[1], int(sys.argv[2]))
    proxy.delay = NETWORK_SECONDS / 2
    print(proxy.port, flush=True)
    sys.stdin.read()
