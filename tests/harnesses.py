"""How the tests prepare each backend: see `actingweb.db.conformance`.

Servers that PG_DB_HOST, PG_DB_URL, DATABASE_URL or AWS_DB_HOST name when the session starts are used and left running.
Otherwise the session starts its own. AWS_DB_TRANSPORT says what sends requests to DynamoDB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from urllib.parse import urlsplit

import psycopg
import pytest

from actingweb.db.conformance import Facility, Harness
from actingweb.db.settings import reset_settings
from testbed.servers import (
    DynamoDBTables,
    DynamoDBTarget,
    MemoryTables,
    PostgresTables,
    PostgresTarget,
    distribute,
    dynamodb_target,
    postgres_target,
)
from tests.support import new_id

_ORIGINAL_ENVIRONMENT = dict(os.environ)
_TRANSPORT = {"AWS_DB_TRANSPORT": _ORIGINAL_ENVIRONMENT.get("AWS_DB_TRANSPORT", "")}
_SETTINGS = (
    "DATABASE_BACKEND",
    "DATABASE_URL",
    "USE_PROPERTY_LOOKUP_TABLE",
    "INDEXED_PROPERTIES",
    "DB_SLOW_CALL_SECONDS",
)
_SETTING_PREFIXES = ("AWS_", "PG_")
_SESSION = new_id("")[:8]
# A schema name that has to be quoted.
_POSTGRES_PREFIX = f"Test-{_SESSION}_"
_DYNAMODB_PREFIX = f"test{_SESSION}"


class PostgresHarness(Harness):
    """PostgreSQL, in a schema of the session's own."""

    database = "postgresql"
    facilities = frozenset(Facility)

    def __init__(self) -> None:
        self._running = ExitStack()

    @cached_property
    def server(self) -> PostgresTarget:
        """The session's server."""
        return self._running.enter_context(postgres_target(_ORIGINAL_ENVIRONMENT))

    @cached_property
    def tables(self) -> PostgresTables:
        """The session's tables."""
        from actingweb.db.postgresql.migrate import upgrade

        with settings({**self.server.environment, "PG_DB_PREFIX": _POSTGRES_PREFIX}):
            upgrade()
        distribute(self.server, f"{_POSTGRES_PREFIX}public", _ORIGINAL_ENVIRONMENT)
        made = PostgresTables(self.server, _POSTGRES_PREFIX, "public")
        self._running.callback(made.drop)
        self._running.callback(forget_connections)
        return made

    def start(self) -> Mapping[str, str]:
        return self.tables.environment

    def wipe(self) -> None:
        self.tables.wipe()

    def stop(self) -> None:
        self._running.close()

    def address(self) -> tuple[str, int]:
        with self.server.connect() as connection:
            return connection.info.host, connection.info.port

    def through(self, port: int) -> Mapping[str, str | None]:
        url = os.environ.get("PG_DB_URL") or os.environ.get("DATABASE_URL")
        if url:
            plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
            return {"PG_DB_URL": psycopg.conninfo.make_conninfo(plain, host="127.0.0.1", hostaddr=None, port=port)}
        return {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)}

    def without_tables(self) -> Mapping[str, str | None]:
        return {"PG_DB_PREFIX": "absent_"}

    def lookup_rows(self) -> dict[str, tuple[str, str]]:
        query = "SELECT lookup_key, property_name, actor_id FROM property_lookup"
        with self.tables.connect() as connection:
            return {key: (name, actor_id) for key, name, actor_id in connection.execute(query)}


class DynamoDBHarness(Harness):
    """DynamoDB, in tables with a prefix of the session's own."""

    database = "dynamodb"
    facilities = frozenset(Facility)

    def __init__(self) -> None:
        self._running = ExitStack()

    @cached_property
    def server(self) -> DynamoDBTarget:
        """The session's server."""
        return self._running.enter_context(dynamodb_target(_ORIGINAL_ENVIRONMENT))

    @cached_property
    def tables(self) -> DynamoDBTables:
        """The session's tables."""
        from actingweb.db.dynamodb._ensure import ensure_table
        from actingweb.db.verify_tables import required_models

        made = DynamoDBTables(self.server, _DYNAMODB_PREFIX)
        with settings({**made.environment, **_TRANSPORT}):
            for model in required_models():
                ensure_table(model)
        self._running.callback(made.drop)
        return made

    def start(self) -> Mapping[str, str]:
        return {**self.tables.environment, **_TRANSPORT}

    def wipe(self) -> None:
        self.tables.wipe()

    def stop(self) -> None:
        self._running.close()

    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server.environment["AWS_DB_HOST"])
        if parts.scheme != "http" or parts.hostname is None:
            pytest.skip("the proxy speaks no TLS")
        return parts.hostname, parts.port or 80

    def through(self, port: int) -> Mapping[str, str | None]:
        return {"AWS_DB_HOST": f"http://127.0.0.1:{port}"}

    def without_tables(self) -> Mapping[str, str | None]:
        return {"AWS_DB_PREFIX": f"{_DYNAMODB_PREFIX}absent", "AWS_DB_AUTO_CREATE_TABLES": "false"}

    def lookup_rows(self) -> dict[str, tuple[str, str]]:
        table = f"{os.environ['AWS_DB_PREFIX']}_property_lookup_v2"
        items = self.tables.client.scan(TableName=table, ConsistentRead=True)["Items"]
        return {item["lookup_key"]["S"]: (item["property_name"]["S"], item["actor_id"]["S"]) for item in items}


class MemoryHarness(Harness):
    """The backend in tests/memory_backend."""

    database = "memory"
    facilities = frozenset({Facility.LOOKUP_ROWS})

    def __init__(self) -> None:
        self.tables = MemoryTables()

    def wipe(self) -> None:
        self.tables.wipe()

    def lookup_rows(self) -> dict[str, tuple[str, str]]:
        from tests.memory_backend.rows import TABLES

        rows = TABLES.get("property_lookup", {}).values()
        return {row.lookup_key: (row.property_name, row.actor_id) for row in rows}


@contextmanager
def settings(variables: Mapping[str, str]) -> Iterator[None]:
    """Use these settings and no others in a block."""
    with pytest.MonkeyPatch.context() as patch:
        unset_settings(patch)
        for name, value in variables.items():
            patch.setenv(name, value)
        reset_settings()
        yield
    reset_settings()


def unset_settings(patch: pytest.MonkeyPatch) -> None:
    """Unset every variable that is a setting."""
    for name in list(os.environ):
        if name in _SETTINGS or name.startswith(_SETTING_PREFIXES):
            patch.delenv(name)


def forget_settings() -> None:
    """Forget what was read from the environment."""
    reset_settings()
    # A backend that no test has used yet is not loaded for this.
    tables = sys.modules.get("actingweb.db.dynamodb.tables")
    if tables is not None:
        tables.forget_names()


def forget_connections() -> None:
    """Forget settings, pool and known tables."""
    connection = sys.modules.get("actingweb.db.postgresql.connection")
    if connection is not None:
        connection.close_pool()
    ensure = sys.modules.get("actingweb.db.dynamodb._ensure")
    if ensure is not None:
        ensure.reset_ensure_cache()
    reset_settings()
