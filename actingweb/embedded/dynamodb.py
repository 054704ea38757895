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
from typing import Self

from .dynamodb_jar import jar_directory, java
from .process import EmbeddedServerError, ServerProcess, start_on_free_port

_IMAGE = "amazon/dynamodb-local"
_IMAGE_START_SECONDS = 300.0
_JAR_START_SECONDS = 60.0
_SERVER_OPTIONS = ("-inMemory", "-sharedDb", "-port")
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


class DynamoDBServer:
    """A DynamoDB Local on 127.0.0.1 that keeps its tables in memory until `stop`, `kill` or the end of `with`.

    `docker=True` runs the official image, otherwise the official jar. Every method raises `EmbeddedServerError` if
    the server cannot do what is asked.
    """

    def __init__(self, *, docker: bool = False) -> None:
        self._docker = docker
        self._directory: Path | None = None
        self._process: ServerProcess | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        """The server's private directory with `server.log`."""
        if self._directory is None:
            raise EmbeddedServerError("the server is not started")
        return self._directory

    @property
    def endpoint(self) -> DynamoDBEndpoint:
        """How to reach the server."""
        return DynamoDBEndpoint(f"http://127.0.0.1:{self._port}")

    @property
    def pid(self) -> int:
        """The pid of the server, with Docker that of its client."""
        return self._running().pid

    def start(self) -> None:
        """Start an empty server at a free port."""
        self._directory = Path(tempfile.mkdtemp(prefix="aw-ddb-"))
        try:
            start_on_free_port(self._launch)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server. Do nothing if it is not started."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def kill(self) -> None:
        """Kill the server with SIGKILL; `restart` brings it back without tables."""
        self._running().kill()

    def restart(self) -> None:
        """Start the server again on its old port, without tables, stopping it before if it runs."""
        process = self._running()
        process.stop()
        process.start(self._answers, self._start_seconds())

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise EmbeddedServerError("the server is not started")
        return self._process

    def _launch(self, port: int) -> None:
        command, directory = self._docker_command(port) if self._docker else self._java_command(port)
        self._port = port
        self._process = ServerProcess(
            command,
            port=port,
            directory=directory,
            log=self.directory / "server.log",
            stop_signal=signal.SIGTERM,
        )
        self._process.start(self._answers, self._start_seconds())

    def _start_seconds(self) -> float:
        return _IMAGE_START_SECONDS if self._docker else _JAR_START_SECONDS

    def _java_command(self, port: int) -> tuple[list[str], Path]:
        return [java(), *_JAVA_OPTIONS, "-jar", "DynamoDBLocal.jar", *_SERVER_OPTIONS, str(port)], jar_directory()

    def _docker_command(self, port: int) -> tuple[list[str], Path]:
        # The client stays in the foreground and passes SIGTERM on, so that the container ends with it.
        name = f"actingweb-dynamodb-{secrets.token_hex(4)}"
        container = ["--rm", "--init", "--name", name, "--publish", f"127.0.0.1:{port}:8000", _IMAGE]
        server = ["-jar", "DynamoDBLocal.jar", *_SERVER_OPTIONS, "8000"]
        return ["docker", "run", *container, *server], Path.cwd()

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
