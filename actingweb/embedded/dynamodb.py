"""A DynamoDB Local server: the one at `AWS_DB_HOST`, else a private one of the official jar or Docker image."""

from __future__ import annotations

import http.client
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from actingweb.embedded.dynamodb_jar import jar_directory, java
from actingweb.embedded.process import ServerProcess
from actingweb.embedded.server import EmbeddedServer

_IMAGE = "amazon/dynamodb-local"
_IMAGE_START_SECONDS = 300.0
_SERVER_OPTIONS = ("-inMemory", "-sharedDb", "-port")
# By default the server reports to AWS that it was started, and spends a third of its start on that.
_NO_TELEMETRY = {"DDB_LOCAL_TELEMETRY": "0"}
# A server that lives for minutes: start fast, leave the cores to the clients.
_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dfile.encoding=UTF-8",
    "-Djava.library.path=./DynamoDBLocal_lib",
)


@dataclass(frozen=True)
class DynamoDBEndpoint:
    """How to reach a server: `url`, and the region and key pair that requests name."""

    url: str
    region: str = "us-west-1"
    access_key: str = "local"
    secret_key: str = field(default="local", repr=False)

    def environment(self) -> dict[str, str]:
        """Return the settings of `actingweb.db` and of the AWS SDK that name this server."""
        return {
            "AWS_DB_HOST": self.url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


class DynamoDBServer(EmbeddedServer):
    """A private DynamoDB Local that keeps its tables in memory: `kill` and `restart` lose them.

    `docker=True` runs the official image, `pid` being that of Docker's client; otherwise the official jar runs.
    """

    def __init__(self, *, docker: bool = False) -> None:
        super().__init__()
        self._docker = docker
        if docker:
            self.start_seconds = _IMAGE_START_SECONDS

    @property
    def endpoint(self) -> DynamoDBEndpoint:
        """How to reach the server."""
        return DynamoDBEndpoint(f"http://127.0.0.1:{self._port}")

    def _make_directory(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="aw-ddb-"))

    def _prepare(self) -> None:
        """The jar is in a cache, the image with Docker."""

    def _make_process(self) -> ServerProcess:
        command, directory = self._docker_command() if self._docker else self._java_command()
        return ServerProcess(
            command,
            port=self._port,
            directory=directory,
            log=self.directory / "server.log",
            stop_signal=signal.SIGTERM,
            environment=_NO_TELEMETRY,
        )

    def _remove_leftovers(self) -> None:
        """All is in memory."""

    def _java_command(self) -> tuple[list[str], Path]:
        return [java(), *_JAVA_OPTIONS, "-jar", "DynamoDBLocal.jar", *_SERVER_OPTIONS, str(self._port)], jar_directory()

    def _docker_command(self) -> tuple[list[str], Path]:
        # The client stays in the foreground and passes SIGTERM on, so that the container ends with it.
        name = f"actingweb-dynamodb-{secrets.token_hex(4)}"
        container = ["--rm", "--init", "--name", name, "--publish", f"127.0.0.1:{self._port}:8000"]
        container += [f"--env={variable}={value}" for variable, value in _NO_TELEMETRY.items()]
        server = ["-jar", "DynamoDBLocal.jar", *_SERVER_OPTIONS, "8000"]
        return ["docker", "run", *container, _IMAGE, *server], Path.cwd()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True


@contextmanager
def dynamodb_environment(
    environment: Mapping[str, str] = os.environ, *, prefer_docker: bool = False
) -> Iterator[dict[str, str]]:
    """Yield the settings of the server at `AWS_DB_HOST` of `environment`, else of a private one for the `with` block.

    `prefer_docker` takes the official image where a Docker daemon answers.
    """
    running = environment.get("AWS_DB_HOST")
    if running:
        named = {name: value for name, value in environment.items() if name.startswith("AWS_") and value}
        yield DynamoDBEndpoint(running).environment() | named
        return
    with DynamoDBServer(docker=prefer_docker and _docker_works()) as server:
        yield server.endpoint.environment()


def _docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
