"""A migration between two servers that fail, by a tool that is killed.

Both servers stand behind proxies. `Trouble.run` runs the command line tool once; meanwhile DynamoDB's proxy spoils
requests, and sessions, connections and server of PostgreSQL go away, at times drawn from a seed.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from actingweb.cli.launch import script
from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.settings import Settings
from actingweb.embedded.postgres import PostgresServer
from actingweb.migration import batches
from actingweb.migration.cli import sources
from actingweb.migration.jobs import export
from actingweb.migration.target.connection import Target
from testbed.dynamodb_proxy import Answer, Send, Spoiler, SpoilingProxy, dropped, failing, lost, raw, spoiling_proxy
from testbed.servers import DynamoDBTables
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv
from tests.forked import CONTEXT, use_only
from tests.migration.deployment import SmallPages

__all__ = ["KILLED", "Ended", "Trouble", "trouble_between"]

KILLED = -9

PASSING: tuple[Spoiler, ...] = (
    failing("ProvisionedThroughputExceededException"),
    failing("ThrottlingException"),
    failing("InternalServerError", 500),
    failing("ServiceUnavailable", 503),
    lost,
    dropped,
)
"""Faults that the tool waits for the end of."""

STOPPING: tuple[Spoiler, ...] = (failing("ExpiredTokenException"), raw(b'{"Items": ['))
"""Faults that repeating the request is no help against."""

_PASSING_RATE = 0.15
_STOPPING_RATE = 0.004
_END_SESSIONS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@dataclass(frozen=True)
class Ended:
    """How a run of the tool ended: its exit code, KILLED if it was killed, and all that it printed."""

    code: int
    output: str


@dataclass
class Trouble:
    """Two servers, and what happens to them and to the tool.

    Attributes:
        patience: about how many seconds pass between two faults of PostgreSQL, and until the tool is killed.
        is_on: whether anything happens at all.
        faults: what happened, by name.
    """

    directory: Path
    source: SpoilingProxy
    server: PostgresServer
    proxy: TcpProxy
    environment: Mapping[str, str]
    chance: random.Random
    patience: float = 0.5
    is_on: bool = True
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._choices = random.Random(self.chance.random())
        self.source.always = self._spoil

    @property
    def target(self) -> Target:
        """PostgreSQL without the proxy."""
        settings = {**self.environment, **self.server.connection.environment()}
        return Target(Settings.from_environment(settings).postgresql)

    def run(self, *arguments: str) -> Ended:
        """Run the tool until it ends or is killed."""
        output = self.directory / "output"
        process = CONTEXT.Process(
            target=_work, args=(arguments, self.directory, output, {**os.environ, **self.environment})
        )
        process.start()
        if self.is_on:
            self._disturb(process)
        process.join()
        # A process that was killed at once has none.
        ended = Ended(process.exitcode or 0, output.read_text() if output.exists() else "")
        output.unlink(missing_ok=True)
        return ended

    def _disturb(self, process: BaseProcess) -> None:
        """Let PostgreSQL fail until the process ends, and kill it if that takes too long."""
        end = time.monotonic() + self.chance.uniform(0, 3 * self.patience)
        while time.monotonic() < end:
            process.join(min(self.chance.expovariate(1 / self.patience), end - time.monotonic()))
            if process.exitcode is not None:
                return
            if time.monotonic() < end:
                self._fail()
        process.kill()
        process.join()
        self.faults["kill of the tool"] += process.exitcode == KILLED

    def _fail(self) -> None:
        """Let PostgreSQL fail in one of its ways."""
        (fail,) = self.chance.choices(
            (self._end_sessions, self.proxy.hang_up, self._lose_answer, self._kill_server, self._restart_server),
            (5, 4, 4, 2, 1),
        )
        fail()
        self.faults[fail.__name__.strip("_").replace("_", " ")] += 1

    def _end_sessions(self) -> None:
        with self.target.connect() as connection:
            connection.execute(_END_SESSIONS)

    def _lose_answer(self) -> None:
        self.proxy.losses = 1

    def _kill_server(self) -> None:
        self.server.kill()
        self.server.restart()

    def _restart_server(self) -> None:
        self.server.restart()

    def _spoil(self, send: Send) -> Answer | None:
        with self._lock:
            drawn = self._choices.random()
            kinds = STOPPING if drawn < _STOPPING_RATE else PASSING if drawn < _PASSING_RATE else ()
            spoiler = self._choices.choice(kinds) if self.is_on and kinds else None
            if spoiler is not None:
                self.faults["spoiled requests"] += 1
        return send() if spoiler is None else spoiler(send)


def _work(arguments: tuple[str, ...], directory: Path, output: Path, environment: Mapping[str, str]) -> None:
    """Be the tool, working in small steps."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir(directory)
    use_only(environment)
    batches.MAX_ROWS = 20
    export._CHECKPOINT_SECONDS = 0
    setattr(sources, "DynamoDBSource", SmallPages)  # noqa: B010 - a name that the module imports
    sys.argv = ["migrate", *arguments]
    script()


@contextmanager
def trouble_between(
    tables: DynamoDBTables, secrets: Mapping[str, str], directory: Path, set_env: SetEnv
) -> Iterator[Trouble]:
    """Yield trouble between tables of DynamoDB and a private PostgreSQL.

    `secrets`: PG_DB_PASSWORD and AWS_SECRET_ACCESS_KEY.
    """
    with (
        PostgresServer(password=secrets["PG_DB_PASSWORD"], fsync=False) as server,
        tcp_proxy("127.0.0.1", server.connection.port) as proxy,
        spoiling_proxy(tables.environment["AWS_DB_HOST"]) as source,
    ):
        set_env(**server.connection.environment())
        upgrade()
        environment = {
            **tables.environment,
            **server.connection.environment(),
            **secrets,
            "AWS_DB_HOST": source.url,
            "PG_DB_PORT": str(proxy.port),
            "COLUMNS": "200",
        }
        yield Trouble(directory, source, server, proxy, environment, random.Random(13))
