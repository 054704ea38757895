"""The command `actingweb-db doctor`, run as users run it.

* `doctor`: a `Doctor` with the settings of both servers, in an empty directory.
* `made`: a schema of the test's own with the layout of this release; `role`: one that does not own it.
* `relays`: what looks like a pooler; `standby`: a server that follows another; `latin`: a database in another encoding.
* `proxied`: a proxy in front of DynamoDB; `aside`: the prefix of tables of the test's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from actingweb.db.verify_tables import required_models
from actingweb.embedded import dynamodb
from actingweb.embedded.postgres import PostgresServer
from testbed.dynamodb_proxy import SpoilingProxy, spoiling_proxy
from testbed.servers import DynamoDBTables, DynamoDBTarget, PostgresTables, PostgresTarget, dynamodb_target
from tests.conftest import SetEnv
from tests.faults.private_postgres import Standby
from tests.faults.test_tls import server as tls_server
from tests.migration.cli_tool import Tool
from tests.postgresql.test_pooler import Relays
from tests.schema.conftest import Place, place
from tests.schema.databases import database
from tests.schema.roles import Role, login_role
from tests.support import new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Doctor", "Report", "doctor_here", "doctor_with", "place", "tls_server"]


@dataclass(frozen=True)
class Report:
    """What `doctor --json` printed."""

    exit_code: int
    findings: list[dict[str, str]]
    text: str

    def of(self, check: str) -> dict[str, str]:
        """Return the worst finding of a check."""
        found = [finding for finding in self.findings if finding["check"] == check]
        assert found, f"no {check} in {[finding['check'] for finding in self.findings]}"
        return max(found, key=lambda finding: ("ok", "warning", "stops you").index(finding["level"]))

    def level(self, check: str) -> str:
        """Return how bad a check is."""
        return self.of(check)["level"]

    def said(self, check: str) -> str:
        """Return text and advice of the worst finding of a check."""
        found = self.of(check)
        return f"{found['text']}: {found['advice']}"

    def stopping(self) -> list[str]:
        """Return the checks that stop the user."""
        return [finding["check"] for finding in self.findings if finding["level"] == "stops you"]


@dataclass(frozen=True)
class Doctor:
    """The command in an environment."""

    tool: Tool

    def having(self, **variables: str | None) -> Doctor:
        """Return the command with other variables in its environment, or without those that are None."""
        return Doctor(self.tool.having(**variables))

    def report(self, *arguments: str) -> Report:
        """Run it with `--json`."""
        done = self.tool.run("--json", *arguments)
        assert done.stderr == ""
        printed: dict[str, Any] = json.loads(done.stdout)
        assert printed["exit_code"] == done.returncode
        return Report(done.returncode, printed["findings"], done.stdout)

    def print(self, *arguments: str) -> tuple[int, str]:
        """Run it without; return the exit code and what it printed."""
        done = self.tool.run(*arguments)
        assert done.stderr == ""
        return done.returncode, done.stdout


def doctor_with(directory: Path, environment: Mapping[str, str]) -> Doctor:
    """Return the command in a directory, with an environment."""
    return Doctor(Tool(directory, {"PATH": "/usr/bin:/bin", **environment}, ("-m", "actingweb_db", "doctor")))


@pytest.fixture
def doctor(tmp_path: Path, postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables) -> Doctor:
    """Return the command with the settings of both servers."""
    return doctor_with(tmp_path, {**postgres_tables.environment, **dynamodb_tables.environment})


def doctor_here(directory: Path) -> Doctor:
    """Return the command with the settings of the present environment."""
    prefixes = ("AWS_", "DATABASE_", "PG")
    return doctor_with(directory, {name: value for name, value in os.environ.items() if name.startswith(prefixes)})


@pytest.fixture
def relays(pg: psycopg.Connection[tuple[Any, ...]]) -> Iterator[Relays]:
    """Return what looks like a pooler in front of the server."""
    with Relays(pg.info.host, pg.info.port) as running:
        running.start()
        yield running
        running.stop()


@pytest.fixture
def standby() -> Iterator[Standby]:
    """Return a server that follows another one."""
    with PostgresServer(fsync=False) as primary, Standby(primary) as running:
        yield running


@pytest.fixture
def latin(postgres_server: PostgresTarget) -> Iterator[PostgresTarget]:
    """Return a database whose encoding is not UTF8."""
    with database(postgres_server, "ENCODING 'LATIN1' LOCALE 'C'") as target:
        assert target is not None
        yield target


@pytest.fixture
def made(place: Place) -> Place:
    """Return a place with the layout of this release."""
    place.upgrade()
    return place


@pytest.fixture
def role(made: Place, postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Role]:
    """Return the role of the settings, which may do everything with the tables but own them."""
    with login_role(made, postgres_server, set_env) as found:
        yield found


@pytest.fixture
def proxied(dynamodb_tables: DynamoDBTables) -> Iterator[SpoilingProxy]:
    """Return a proxy in front of DynamoDB."""
    with spoiling_proxy(dynamodb_tables.environment["AWS_DB_HOST"]) as proxy:
        yield proxy


@pytest.fixture
def regional(monkeypatch: pytest.MonkeyPatch, set_env: SetEnv) -> Iterator[DynamoDBTarget]:
    """Return a server whose regions have tables of their own, as those of AWS; one has `here_actors`."""
    monkeypatch.setattr(dynamodb, "_SERVER_OPTIONS", ("-inMemory", "-port"))
    with dynamodb_target({}) as target:
        set_env(**target.environment, AWS_DB_PREFIX="here")
        for model in required_models():
            model.create_table(wait=True)
        yield target


@pytest.fixture
def aside(dynamodb_tables: DynamoDBTables, ddb: DynamoDBClient, set_env: SetEnv) -> Iterator[str]:
    """Make the tables under another prefix, and remove them after the test."""
    prefix = f"{dynamodb_tables.environment['AWS_DB_PREFIX']}x{new_id('')[:8]}"
    set_env(**{**dynamodb_tables.environment, "AWS_DB_PREFIX": prefix})
    for model in required_models():
        model.create_table(wait=True)
    yield prefix
    for name in [name for page in ddb.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        if name.startswith(prefix):
            ddb.delete_table(TableName=name)
