"""Servers of the guide's own, set up as a reader has them before the first step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from actingweb.embedded.dynamodb import DynamoDBServer
from actingweb.embedded.postgres import PostgresServer
from tests import forked
from tests.forked_commands import commands

from .blocks import ROOT, blocks
from .reader import Reader, name_superuser, superuser_conninfo

ALEMBIC = "(cd actingweb/db/postgresql && poetry run alembic {})"

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq")


@dataclass(frozen=True)
class Desk:
    """What the reader works with.

    Attributes:
        archive: where the server puts its write-ahead log.
    """

    server: PostgresServer
    reader: Reader
    archive: Path


@pytest.fixture(scope="package")
def deployment() -> Iterator[dict[str, str]]:
    """Return the settings of a private DynamoDB with the tables `prod_...` of an application."""
    with DynamoDBServer() as server:
        settings = server.endpoint.environment()
        command = [sys.executable, "-m", "tests.guide.application"]
        environment = {**os.environ, **settings, "AWS_DB_PREFIX": "prod_"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        yield settings


@pytest.fixture(scope="module")
def desk(deployment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Set up a PostgreSQL server with the settings that the guide names, and a reader."""
    archive = Path(tempfile.mkdtemp())
    archive.chmod(0o777)
    with PostgresServer(password="secretpassword", fsync=False, settings=_settings(archive)) as server:
        name_superuser(server)
        home = tmp_path_factory.mktemp("reader")
        reader = Reader(home, server.connection.port, deployment, _programs(server))
        with commands(home / "bin"):
            yield Desk(server, reader, archive)
    shutil.rmtree(archive)


@pytest.fixture
def reader(desk: Desk) -> Iterator[Reader]:
    """Return a reader who has done step 1, with an empty directory for files."""
    reader = desk.reader
    before = dict(reader.environment)
    with psycopg.connect(superuser_conninfo(desk.server), autocommit=True) as connection:
        connection.execute("CREATE USER actingweb WITH PASSWORD 'secretpassword'")
        connection.execute("CREATE DATABASE actingweb OWNER actingweb")
    reader.environment |= {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": before["PGPORT"]}
    reader.environment |= {"PG_DB_PASSWORD": "secretpassword"}
    step = forked.run(["-m", "alembic", "upgrade", "head"], ROOT / "actingweb/db/postgresql", reader.environment)
    assert step.returncode == 0, step.stderr
    yield reader
    reader.environment = before
    reader.remember_password("actingweb", "secretpassword")
    shutil.rmtree(reader.export_directory, ignore_errors=True)
    with psycopg.connect(superuser_conninfo(desk.server), autocommit=True) as connection:
        connection.execute("DROP DATABASE actingweb WITH (FORCE)")
        connection.execute("DROP USER actingweb")


def _settings(archive: Path) -> dict[str, str]:
    """Return what the guide's parts of postgresql.conf say."""
    text = "".join(block.text for block in blocks() if block.mark == "postgresql.conf")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pairs = (line.partition(" = ") for line in lines)
    return {name: value.strip("'").replace("/archive", str(archive)) for name, _, value in pairs}


def _programs(server: PostgresServer) -> Path:
    """Return the directory of the client programs that belong to the server."""
    return Path(os.readlink(f"/proc/{server.pid}/exe")).parent
