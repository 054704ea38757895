"""Servers with tables of this library that nobody else has, for a block outside a test: `os.environ` names them.

Servers that the environment names are used, else private ones are started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from actingweb.db.dynamodb import reset_ensure_cache
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.postgresql.migrate import upgrade
from actingweb.embedded.postgres import postgres_environment
from testbed.servers import DynamoDBTables, DynamoDBTarget, PostgresTables, PostgresTarget, dynamodb_target

__all__ = ["BACKENDS", "dynamodb_server", "new_schema", "new_tables", "postgres_server", "tables_of", "use"]

BACKENDS = ("postgresql", "dynamodb")

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
def new_schema(server: PostgresTarget) -> Iterator[PostgresTables]:
    """Create a schema with this library's tables, and use it during the block."""
    prefix = f"own{uuid4().hex[:8]}_"
    use({**server.environment, "PG_DB_PREFIX": prefix, "PG_DB_SCHEMA": "public"})
    upgrade()
    made = PostgresTables(server, prefix, "public")
    try:
        yield made
    finally:
        close_pool()
        made.drop()


@contextmanager
def dynamodb_server() -> Iterator[DynamoDBTarget]:
    """Yield the server."""
    with _own_settings(), dynamodb_target(os.environ) as server:
        yield server


@contextmanager
def new_tables(server: DynamoDBTarget) -> Iterator[DynamoDBTables]:
    """Name tables that nobody else has, and use them during the block. The library creates them."""
    made = DynamoDBTables(server, f"own{uuid4().hex[:8]}")
    use(made.environment)
    try:
        yield made
    finally:
        made.drop()


@contextmanager
def tables_of(backend: str) -> Iterator[Mapping[str, str]]:
    """Use new tables on a server of "postgresql" or "dynamodb" during the block, and yield their settings."""
    if backend == "postgresql":
        with postgres_server() as server, new_schema(server) as made:
            yield made.environment
    else:
        with dynamodb_server() as other, new_tables(other) as named:
            yield named.environment
