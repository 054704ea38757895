"""The PostgreSQL side of migrations."""

from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import pytest
from psycopg import sql

from actingweb.db.settings import Settings
from actingweb.migration import batches
from actingweb.migration.target.connection import Connection, Target
from actingweb.migration.target.progress import finish
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.migration.cli_tool import Tool
from tests.migration.loads import DOCUMENTS, write_input
from tests.migration.roles import Role
from tests.support import new_id


@pytest.fixture(scope="session")
def kept(postgres_tables: PostgresTables) -> Iterator[Connection]:
    """Return a connection that clears up after each test: a new one takes longer than what it is used for."""
    with Target(Settings.from_environment(postgres_tables.environment).postgresql).connect() as connection:
        yield connection


@pytest.fixture
def target(postgres_tables: PostgresTables, kept: Connection) -> Iterator[Target]:
    """Return the session's schema with empty tables, as a migration sees it."""
    target = Target(Settings.from_environment(postgres_tables.environment).postgresql)
    yield target
    finish(target, kept)
    postgres_tables.wipe()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few rows be several batches."""
    monkeypatch.setattr(batches, "MAX_ROWS", 3)


@pytest.fixture
def deployment(dynamodb_tables: DynamoDBTables, set_env: SetEnv) -> Iterator[None]:
    """Let the settings name the session's DynamoDB tables, which are empty."""
    set_env(**dynamodb_tables.environment)
    yield
    dynamodb_tables.wipe()


@pytest.fixture
def tool(
    tmp_path: Path, target: Target, postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables
) -> Iterator[Tool]:
    """Return the tool with the settings of both servers, and files to import in `files`."""
    write_input(tmp_path / "files", DOCUMENTS)
    variables = {**postgres_tables.environment, **dynamodb_tables.environment}
    yield Tool(tmp_path, {**variables, "PATH": "/usr/bin:/bin", "COLUMNS": "200"})
    dynamodb_tables.wipe()


@pytest.fixture
def as_role(target: Target) -> Iterator[Role]:
    """Return what makes the target as a new role sees it."""
    name = new_id("role")
    role = sql.Identifier(name)

    def make(*rights: LiteralString) -> Target:
        for right in rights:
            admin.execute(target.sql(right, role=role))
        return Target(target.settings.replace(url=None, user=name, password="p"))

    with target.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'").format(role))
        yield make
        admin.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(role, role))
