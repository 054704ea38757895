"""The servers of a benchmark: those that the environment names, otherwise private ones; its schemas, tables, network.

`python -m benchmarks.servers HOST PORT` starts a relay that delays what it forwards, and prints its port. The relay is
a process of its own, so that it takes no processor time from the client. It ends when its stdin ends.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from actingweb.db.dynamodb import reset_ensure_cache
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.embedded.postgres import postgres_environment
from testbed.servers import DynamoDBTables, PostgresTables, PostgresTarget, dynamodb_target
from testbed.tcp_proxy import TcpProxy

__all__ = [
    *("CALLS", "NETWORK_SECONDS", "PostgresServer", "dynamodb_in_use", "dynamodb_server", "network"),
    *("postgres_server", "use"),
]

NETWORK_SECONDS = 0.001
"""The delay that the network adds to a round trip."""
CALLS = 20
"""The most calls of one round that are made over the network."""

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


@dataclass(frozen=True)
class PostgresServer:
    """A server on which a run creates schemas. `environment` has the settings that name the schema of this library."""

    target: PostgresTarget
    environment: dict[str, str]

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port of the server."""
        with self.target.connect() as connection:
            return connection.info.host, connection.info.port

    def connect(self, port: int | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new autocommit connection, to another port of 127.0.0.1 if given."""
        other = {} if port is None else {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)}
        return PostgresTarget({**self.target.environment, **other}).connect()

    def sessions(self, application: str = "%") -> list[int]:
        """Return the processes of the server that serve local clients whose `application_name` is like this."""
        query = (
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name LIKE %s "
            "AND inet_server_addr() <<= '127.0.0.0/8'"
        )
        with self.connect() as connection:
            return [pid for (pid,) in connection.execute(query, [application])]

    @contextmanager
    def schema(self, name: str) -> Iterator[dict[str, str]]:
        """Create a schema with this library's tables, use it during the block, and yield its settings."""
        prefix = f"bench{uuid4().hex[:8]}_{name}_"
        environment = {**self.target.environment, "PG_DB_PREFIX": prefix, "PG_DB_SCHEMA": "public"}
        use(environment)
        migrate()
        tables = PostgresTables(self.target, prefix, "public")
        try:
            yield environment
        finally:
            close_pool()
            tables.drop()

    @contextmanager
    def database(self) -> Iterator[dict[str, str]]:
        """Create an empty database for the block, and yield its settings."""
        name = f"bench_baseline_{uuid4().hex[:8]}"
        with self.target.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            info = connection.info
            settings = {"HOST": info.host, "PORT": str(info.port), "USER": info.user, "PASSWORD": info.password}
            try:
                yield {f"PG_DB_{part}": value for part, value in {**settings, "NAME": name}.items()}
            finally:
                with suppress(psycopg.Error):
                    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Yield the server, with a schema for this library that is in use during the block.

    A private server runs with fsync off and with these `settings`.
    """
    with _own_settings(), postgres_environment(fsync=False, settings=settings) as environment:
        target = PostgresTarget(environment)
        with PostgresServer(target, {}).schema("ours") as ours:
            yield PostgresServer(target, ours)


@contextmanager
def dynamodb_server() -> Iterator[Callable[[str], AbstractContextManager[dict[str, str]]]]:
    """Yield a function that creates tables for a block, whose context manager yields their settings."""
    with _own_settings(), dynamodb_target(os.environ) as target:

        @contextmanager
        def tables(name: str) -> Iterator[dict[str, str]]:
            made = DynamoDBTables(target, f"bench{uuid4().hex[:8]}{name}")
            try:
                yield dict(made.environment)
            finally:
                made.drop()

        yield tables


@contextmanager
def dynamodb_in_use(name: str) -> Iterator[dict[str, str]]:
    """Create tables, use them during the block, and yield their settings."""
    with dynamodb_server() as tables, tables(name) as environment:
        use(environment)
        yield environment


@contextmanager
def network(host: str, port: int) -> Iterator[int]:
    """Yield the port of a relay to this server that adds the time of a network."""
    command = [sys.executable, "-m", "benchmarks.servers", host, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
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
