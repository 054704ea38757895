"""Fixtures that put a proxy between a backend and its server."""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import new_id
from tests.proxy import DynamoDBProxy, TcpProxy, dynamodb_proxy, tcp_proxy


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
def request_proxy(backend: Backend, set_env: SetEnv) -> Iterator[DynamoDBProxy]:
    """Put a proxy that knows requests between DynamoDB and its server."""
    with dynamodb_proxy(*_dynamodb_address()) as running:
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
