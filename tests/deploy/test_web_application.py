"""The web application of the image: its probes, on real databases, and its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from actingweb.db.postgresql.migrate import upgrade
from actingweb.embedded.process import free_port
from testbed.servers import DynamoDBTables, PostgresTarget
from tests.conftest import SetEnv
from tests.schema.databases import BYTE_ORDER, database
from tests.supply.packages import ROOT
from tests.support import PATIENCE, new_id, wait_until

Probe = tuple[int, dict[str, Any]]


class Running:
    """The application in a process of its own.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str) -> Probe:
        """Return the status and the answer. Raise `OSError` if it does not listen."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def listens(self) -> bool:
        """Tell whether it answers."""
        try:
            return self.get("/livez") == (200, {"status": "ok"})
        except ConnectionRefusedError:
            return False


@contextmanager
def running(
    environment: Mapping[str, str],
    command: Sequence[str] = (sys.executable, "web_application.py"),
    directory: Path = ROOT / "examples",
) -> Iterator[Running]:
    """Run the application with settings, and end it as Kubernetes and Compose do."""
    port = free_port()
    variables = {"PATH": os.environ["PATH"], "PORT": str(port), **environment}
    with subprocess.Popen(command, cwd=directory, env=variables, stderr=subprocess.DEVNULL) as process:
        try:
            application = Running(process, port)
            wait_until(application.listens)
            yield application
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    assert process.returncode == 0


def test_on_postgresql_it_is_ready_when_the_schema_is(postgres_server: PostgresTarget, set_env: SetEnv) -> None:
    with database(postgres_server, BYTE_ORDER) as target:
        assert target is not None
        settings = {**target.environment, "DATABASE_BACKEND": "postgresql"}
        with running(settings) as application:
            status, answer = application.get("/readyz")
            assert (status, answer["error"]) == (503, "DbSchemaError")
            assert application.get("/livez") == (200, {"status": "ok"})
            set_env(**settings)
            upgrade()
            status, answer = application.get("/readyz")
            assert (status, answer["status"]) == (200, "ok")
        set_env()


def test_without_a_server_it_is_alive_and_not_ready(postgres_server: PostgresTarget) -> None:
    password = postgres_server.environment["PG_DB_PASSWORD"]
    settings = {**postgres_server.environment, "DATABASE_BACKEND": "postgresql", "PG_DB_PORT": "1"}
    with running(settings) as application:
        status, answer = application.get("/readyz")
        assert (status, answer["error"]) == (503, "DbConnectionError")
        assert password not in str(answer)
        assert application.listens()


@pytest.mark.parametrize("exist", [True, False])
def test_on_dynamodb_it_is_ready_when_the_tables_are(dynamodb_tables: DynamoDBTables, exist: bool) -> None:
    settings = {**dynamodb_tables.environment, "DATABASE_BACKEND": "dynamodb", "AWS_DB_AUTO_CREATE_TABLES": "false"}
    if not exist:
        settings["AWS_DB_PREFIX"] = new_id("absent")
    with running(settings) as application:
        assert application.get("/readyz")[0] == (200 if exist else 503)
        assert application.get("/elsewhere")[0] == 404
