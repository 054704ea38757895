"""Fixtures of the contract suite.

* `prop`, `attribute`: a new `DbProperty`, a new `DbAttribute`.
* `lookup_rows`: a function that returns the raw look-up rows, look-up key to (property name, actor id).
* `owner_id`: an id under which the `entity` of the test can be stored: an actor's, or for actors a free one.
* `no_tables`: the backend's settings name a place without tables and nothing may create them: every request fails.
* `proxy`: a `TcpProxy` between the backend, dynamodb or postgresql, and its server.
* `request_proxy`: a `SpoilingProxy` between DynamoDB and its server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from actingweb.db import get_attribute, get_property
from actingweb.db.protocols import DbAttributeProtocol, DbPropertyProtocol
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import SpoilingProxy, spoiling_proxy
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.conftest import SetEnv
from tests.support import new_id

from .support.property_tables import Claims, claims_of


@pytest.fixture
def prop(backend: Backend) -> DbPropertyProtocol:
    """Make an object for one property."""
    return get_property(backend)


@pytest.fixture
def attribute(backend: Backend) -> DbAttributeProtocol:
    """Make an object for attributes."""
    return get_attribute(backend)


@pytest.fixture
def lookup_rows(request: pytest.FixtureRequest) -> Callable[[], Claims]:
    """Return a function that reads the raw look-up rows."""
    return claims_of(request)


@pytest.fixture
def owner_id(request: pytest.FixtureRequest) -> str:
    """Return an id under which the `entity` of the test can be stored."""
    if request.getfixturevalue("entity").name == "actor":
        return new_id()
    actor_id: str = request.getfixturevalue("actor_id")
    return actor_id


@pytest.fixture
def no_tables(backend: Backend, set_env: SetEnv) -> None:
    """Point the backend to where no tables are."""
    absent = f"{os.environ.get('AWS_DB_PREFIX', '')}absent"
    set_env(AWS_DB_PREFIX=absent, AWS_DB_AUTO_CREATE_TABLES="false", PG_DB_PREFIX="absent_")


@pytest.fixture
def proxy(backend: Backend, set_env: SetEnv, request: pytest.FixtureRequest) -> Iterator[TcpProxy]:
    """Put a proxy between `backend`, which is dynamodb or postgresql, and its server."""
    if backend.database == "dynamodb":
        with tcp_proxy(*_dynamodb_address()) as running:
            set_env(AWS_DB_HOST=f"http://127.0.0.1:{running.port}")
            yield running
    else:
        pg: psycopg.Connection[Any] = request.getfixturevalue("pg")
        with tcp_proxy(pg.info.host, pg.info.port) as running:
            set_env(**_postgres_at(running.port))
            yield running


@pytest.fixture
def request_proxy(backend: Backend, set_env: SetEnv) -> Iterator[SpoilingProxy]:
    """Put a proxy that knows requests between DynamoDB and its server."""
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as running:
        set_env(AWS_DB_HOST=running.url)
        yield running


def _dynamodb_address() -> tuple[str, int]:
    parts = urlsplit(os.environ["AWS_DB_HOST"])
    if parts.scheme != "http" or parts.hostname is None:
        pytest.skip("the proxy speaks no TLS")
    return parts.hostname, parts.port or 80


def _postgres_at(port: int) -> dict[str, str | None]:
    url = os.environ.get("PG_DB_URL") or os.environ.get("DATABASE_URL")
    if url:
        plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
        return {"PG_DB_URL": psycopg.conninfo.make_conninfo(plain, host="127.0.0.1", hostaddr=None, port=port)}
    return {"PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(port)}
