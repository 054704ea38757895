"""The servers of a run: those that the environment names, else private ones; in them schemas and tables of its own."""

from __future__ import annotations

import os
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

__all__ = ["PostgresServer", "dynamodb_in_use", "dynamodb_server", "own_settings", "postgres_server", "use"]

_BEHAVIOUR = ("PG_POOL", "PG_CONNECT", "PG_TCP", "AWS_DB_AUTO", "AWS_DB_TIMEOUT", "USE_PROPERTY", "INDEXED_PROPERTIES")


def use(environment: Mapping[str, str]) -> None:
    """Make this process use the settings from now on."""
    os.environ.update(environment)
    close_pool()
    reset_ensure_cache()


@contextmanager
def own_settings() -> Iterator[None]:
    """Use the default settings but for those that name servers; restore the environment at the end."""
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
    """A server with any number of schemas of this run. `environment` names the schema of this library."""

    target: PostgresTarget
    environment: dict[str, str]

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        with self.target.connect() as connection:
            return connection.info.host, connection.info.port

    def connect(self, port: int | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new autocommit connection, to another port of 127.0.0.1 if given."""
        other = {} if port is None else {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)}
        return PostgresTarget({**self.target.environment, **other}).connect()

    @contextmanager
    def schema(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the settings of another schema, with this library's tables."""
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
        """Yield the settings of an empty database."""
        name = f"bench_baseline_{uuid4().hex[:8]}"
        with self.target.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            info = connection.info
            try:
                yield {
                    "PG_DB_HOST": info.host,
                    "PG_DB_PORT": str(info.port),
                    "PG_DB_USER": info.user,
                    "PG_DB_PASSWORD": info.password,
                    "PG_DB_NAME": name,
                }
            finally:
                with suppress(psycopg.Error):
                    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Yield the server; a private one does not wait for its disk and has these `settings`.

    A schema for this library is in use meanwhile.
    """
    with own_settings(), postgres_environment(fsync=False, settings=settings) as environment:
        target = PostgresTarget(environment)
        with PostgresServer(target, {}).schema("ours") as ours:
            yield PostgresServer(target, ours)


@contextmanager
def dynamodb_server() -> Iterator[Callable[[str], AbstractContextManager[dict[str, str]]]]:
    """Yield what makes tables of this run's own and yields their settings."""
    with own_settings(), dynamodb_target(os.environ) as target:

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
    """Use tables of this run's own meanwhile, and yield their settings."""
    with dynamodb_server() as tables, tables(name) as environment:
        use(environment)
        yield environment
