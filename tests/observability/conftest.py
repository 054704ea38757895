"""Fixtures for tests of what operators see.

* `seen`: an observer that keeps what it is told, as names and facts in order.
* `lines`: a function that returns the lines for those on call that were logged since the test began.
* `proxy`: a `TcpProxy` between the backend and its server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from actingweb.db import events
from actingweb.db.conformance import Harness
from actingweb.db.observe import Call, Observer, Request, Server, add_observer, remove_observer
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv

Lines = Callable[[], list[str]]


class Keeper(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.requests: list[Request] = []
        self.begun: list[Call | Request] = []
        self.others: list[str] = []

    def call_began(self, call: Call) -> None:
        self.begun.append(call)

    def call_ended(self, call: Call) -> None:
        self.calls.append(call)

    def request_began(self, request: Request) -> None:
        self.begun.append(request)

    def request_ended(self, request: Request) -> None:
        self.requests.append(request)

    def connection_opened(self, server: Server) -> None:
        self.others.append(f"{server.backend} opened")

    def connection_closed(self, server: Server) -> None:
        self.others.append(f"{server.backend} closed")

    def connection_lost(self, server: Server) -> None:
        self.others.append(f"{server.backend} lost")

    def connection_failed(self, backend: str, error: str, reason: str) -> None:
        self.others.append(f"{backend} failed {error}")

    def connection_waited(self, backend: str, seconds: float) -> None:
        self.others.append(f"{backend} waited")

    def pool_timed_out(self, backend: str) -> None:
        self.others.append(f"{backend} timeout")

    def server_changed(self, server: Server, former: Server) -> None:
        self.others.append(f"{server.backend} changed")

    def became_standby(self, server: Server) -> None:
        self.others.append(f"{server.backend} standby")

    def retried(self, backend: str, error: str) -> None:
        self.others.append(f"{backend} retried {error}")

    def throttled(self, backend: str) -> None:
        self.others.append(f"{backend} throttled")

    def outcome_unknown(self, backend: str) -> None:
        self.others.append(f"{backend} unknown")

    def lookup_collided(self, backend: str) -> None:
        self.others.append(f"{backend} collided")


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Count and log as a new process does."""
    events.forget()
    yield
    events.forget()


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """Let an observer be told of what happens in the block."""
    add_observer(observer)
    try:
        yield
    finally:
        remove_observer(observer)


@pytest.fixture
def seen() -> Iterator[Keeper]:
    """Keep what observers are told during the test."""
    keeper = Keeper()
    with observing(keeper):
        yield keeper


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return a function that returns the lines for those on call since the test began."""
    caplog.set_level(logging.INFO, "actingweb")
    caplog.clear()
    return lambda: [
        f"{record.levelname} {record.getMessage()}" for record in caplog.records if record.name == events.__name__
    ]


@pytest.fixture
def proxy(harness: Harness, set_env: SetEnv) -> Iterator[TcpProxy]:
    """Put a proxy between the backend and its server."""
    with tcp_proxy(*harness.address()) as running:
        set_env(**harness.through(running.port))
        yield running
