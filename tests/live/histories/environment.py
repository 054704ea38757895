"""The servers that all histories of a process share, one after the other: a PostgreSQL schema and a fake DynamoDB."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

from psycopg import sql

from actingweb.db.settings import PostgresSettings, Settings, reset_settings
from actingweb.migration.live import share, triggers
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.state import State
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.triggers import drop_triggers
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTables
from tests.live.histories.fake.server import FakeServer, fake_server
from tests.live.histories.fake.service import FakeDynamoDB
from tests.live.histories.scheduler import Scheduler
from tests.live.histories.sessions import Control, NoPause, ScheduledClient

__all__ = ["Environment", "environment"]

_AWS = {"AWS_ACCESS_KEY_ID": "fake", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_DEFAULT_REGION": "us-west-1"}
_REQUESTS_AT_ONCE = 32
_MARKER_LOOKS = 10
_HAS_TRIGGERS = "SELECT FROM pg_trigger WHERE tgname = 'actingweb_mark_row'"


@dataclass
class Environment:
    """Both sides.

    Attributes:
        clients: the clients of the requests, whose scheduler is that of the history.
    """

    settings: PostgresSettings
    tables: PostgresTables
    control: Control
    server: FakeServer
    requests: DynamoDB
    clients: list[ScheduledClient]
    scheduler: Scheduler | None = None

    def sleep(self, _: float) -> None:
        """Let others go on instead of sleeping."""
        if self.scheduler is not None:
            self.scheduler.switch()

    @property
    def state(self) -> State:
        """The state of the migration, read beside the tasks."""
        return State(Target(self.settings))

    def reset(self, fake: FakeDynamoDB, scheduler: Scheduler) -> None:
        """Begin a history: empty the tables, forget the former fake and scheduler."""
        self.server.fake = fake
        self.scheduler = scheduler
        for client in self.clients:
            client.scheduler = scheduler
        if self.control.connection.execute(_HAS_TRIGGERS).fetchone() is not None:
            drop_triggers(self.state, self.control.connection)
        self.tables.wipe()
        self.control.empty(self.state.name)


@contextmanager
def environment(tables: PostgresTables) -> Iterator[Environment]:
    """Yield the servers; `tables` are those of a PostgreSQL server without fsync."""
    settings = Settings.from_environment(tables.environment).postgresql
    _unlock_cached_properties()
    with Target(settings).connect() as connection, fake_server(FakeDynamoDB()) as server, _aws_settings():
        endpoint = Endpoint("us-west-1", server.url, None, _REQUESTS_AT_ONCE)
        requests = DynamoDB(endpoint, NoPause())
        clients = [ScheduledClient.of(endpoint), ScheduledClient.of(requests._streams)]
        control = Control(connection)
        found = Environment(settings, tables, control, server, requests, clients)
        with (
            patch.object(SourceTables.__init__, "__defaults__", (found.sleep,)),
            patch.object(triggers, "time", SimpleNamespace(sleep=found.sleep)),
            # A clock that goes on by one whenever somebody looks at it.
            patch.object(share, "time", SimpleNamespace(monotonic=partial(next, count(_MARKER_LOOKS)))),
            patch.object(share, "_MARKER_PAUSE", _MARKER_LOOKS),
            patch.object(share, "_MARKERS_PER_SHARD", 2),
        ):
            yield found
        name = sql.Identifier(State(Target(settings)).name)
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))


def _unlock_cached_properties() -> None:
    """Let tasks compute cached properties at the same time.

    Python 3.11 computes them under a lock, with which a task would wait for a task that waits for the baton.
    """
    for name in [name for name in sys.modules if name.startswith("actingweb.migration.live.")]:
        for kind in [kind for kind in vars(sys.modules[name]).values() if isinstance(kind, type)]:
            for one in [one for one in vars(kind).values() if isinstance(one, cached_property)]:
                vars(one)["lock"] = nullcontext()


@contextmanager
def _aws_settings() -> Iterator[None]:
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with patch.dict(os.environ, {**kept, **_AWS}, clear=True):
        reset_settings()
        yield
    reset_settings()
