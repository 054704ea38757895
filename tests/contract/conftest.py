"""Fixtures of the contract suite.

* `prop`, `attribute`: a new `DbProperty`, a new `DbAttribute`.
* `lookup_rows`: a function that reads the look-up rows past the backend: property name and actor id by look-up key.
* `owner_id`: an id under which the `entity` of the test can be stored: an actor's, or for actors a free one.
* `no_tables`: the backend's settings name a place without tables, where none are made: every request fails.
* `proxy`: a `TcpProxy` between the backend and its server.
* `request_proxy`: a `SpoilingProxy` between DynamoDB and its server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from actingweb.db import get_attribute, get_property
from actingweb.db.conformance import Harness
from actingweb.db.protocols import DbAttributeProtocol, DbPropertyProtocol
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, spoiling_proxy
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv
from tests.support import new_id

from .support.property_tables import Claims


@pytest.fixture
def prop(backend: Backend) -> DbPropertyProtocol:
    """Make an object for one property."""
    return get_property(backend)


@pytest.fixture
def attribute(backend: Backend) -> DbAttributeProtocol:
    """Make an object for attributes."""
    return get_attribute(backend)


@pytest.fixture
def lookup_rows(harness: Harness) -> Callable[[], Claims]:
    """Return a function that reads the look-up rows past the backend."""
    return harness.lookup_rows


@pytest.fixture
def owner_id(request: pytest.FixtureRequest) -> str:
    """Return an id under which the `entity` of the test can be stored."""
    if request.getfixturevalue("entity").name == "actor":
        return new_id()
    actor_id: str = request.getfixturevalue("actor_id")
    return actor_id


@pytest.fixture
def no_tables(harness: Harness, set_env: SetEnv) -> None:
    """Point the backend to a place without tables."""
    set_env(**harness.without_tables())


@pytest.fixture
def proxy(harness: Harness, set_env: SetEnv) -> Iterator[TcpProxy]:
    """Put a proxy between the backend and its server."""
    with tcp_proxy(*harness.address()) as running:
        set_env(**harness.through(running.port))
        yield running


@pytest.fixture
def request_proxy(backend: Backend, set_env: SetEnv) -> Iterator[SpoilingProxy]:
    """Put a proxy that knows requests between DynamoDB and its server."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as running:
        set_env(AWS_DB_HOST=running.url)
        yield running
