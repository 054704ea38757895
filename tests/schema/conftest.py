"""Fixtures for tests of the schema: a `Place` is a schema of the test's own, which Alembic works on."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

import actingweb.db.postgresql.migrate
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.support import new_id

from .catalog import describe
from .databases import BYTE_ORDER, database, database_in_other_order, settings_of
from .rows import fill

DIRECTORY = Path(actingweb.db.postgresql.migrate.__file__).parent
BASELINE = "e5f6a7b8c9d0"


@dataclass(frozen=True)
class Place:
    """A schema that the environment names, and a connection to it."""

    schema: str
    connection: psycopg.Connection[tuple[Any, ...]]

    def alembic(self, run: Callable[..., Any], *arguments: str) -> str:
        """Run a function of `alembic.command` and return what it prints."""
        output = io.StringIO()
        run(Config(DIRECTORY / "alembic.ini", stdout=output), *arguments)
        return output.getvalue()

    def upgrade(self, revision: str = "head") -> str:
        """Upgrade and return what is printed."""
        return self.alembic(command.upgrade, revision)

    def downgrade(self, revision: str = BASELINE) -> str:
        """Downgrade and return what is printed."""
        return self.alembic(command.downgrade, revision)

    def check(self) -> None:
        """Raise `CommandError` if the tables differ from the declared ones."""
        self.alembic(command.check)

    def rows(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.connection.execute(query, parameters or None).fetchall()

    def execute(self, statement: LiteralString, *parameters: object) -> None:
        """Run a statement."""
        self.connection.execute(statement, parameters or None)

    def contents(self) -> dict[str, list[dict[str, Any]]]:
        """Return all rows of all tables, by table."""
        tables = self.rows("SELECT tablename FROM pg_tables WHERE schemaname::text = %s", self.schema)
        return {name: self._dicts(name) for (name,) in tables}

    def layout(self) -> dict[str, list[str]]:
        """Return the layout that the catalog tells."""
        return describe(self.connection, self.schema)

    def listed(self, message: str) -> list[tuple[Any, ...]]:
        """Return the rows that the query in an error's text lists in a fresh session."""
        self.execute("RESET search_path")
        for statement in message.partition("List: ")[2].split("; "):
            cursor = self.connection.execute(statement.encode())
        return cursor.fetchall()

    def _dicts(self, table: str) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(SQL("SELECT * FROM {}").format(Identifier(table))).fetchall()
        return sorted(rows, key=lambda row: repr(sorted(row.items())))


@contextmanager
def open_place(target: PostgresTarget, schema: str) -> Iterator[Place]:
    """Connect to the schema that the environment names, remove it at the end."""
    with target.connect(schema) as connection:
        connection.execute("SET lock_timeout = '10s'")
        yield Place(schema, connection)
        connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))


@pytest.fixture
def place(postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Place]:
    """Return an empty place on the session's server, whose sessions are not in UTC."""
    prefix = f"{new_id()[:12]}-Ä%_"
    with open_place(postgres_server, f"{prefix}Main") as opened:
        set_env(**settings_of(opened.connection), PG_DB_PREFIX=prefix, PG_DB_SCHEMA="Main", PGTZ="America/New_York")
        yield opened


@pytest.fixture
def old_place(place: Place) -> Place:
    """Return a place with the layout of ActingWeb 3.15 and no rows."""
    place.upgrade(BASELINE)
    return place


@pytest.fixture
def filled_place(old_place: Place) -> Place:
    """Return a place with the layout of ActingWeb 3.15 and rows in all tables."""
    fill(old_place.connection)
    return old_place


@pytest.fixture
def byte_order_place(postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Place]:
    """Return an empty place in a database that sorts text by its bytes."""
    with database(postgres_server, BYTE_ORDER) as target:
        assert target is not None
        set_env(**target.environment)
        with open_place(target, "public") as opened:
            yield opened


@pytest.fixture
def other_order_place(postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Place]:
    """Return an empty place in a database that sorts text as people do."""
    with database_in_other_order(postgres_server) as target:
        set_env(**target.environment)
        with open_place(target, "public") as opened:
            yield opened
