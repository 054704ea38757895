"""Fixtures for tests of the wire client.

* `make`: `make(url)` makes a client for an endpoint, the wire client or, in the test's other run, its fallback; it is
  closed after the test. `wire` does so too, but only the wire client.
* `authority`: a certificate authority that nobody trusts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.fallback import FallbackClient
from tests.conftest import SetEnv
from tests.faults.certificates import HOW_TO_GET_IT, Authority, find_openssl

Make = Callable[..., Client]


@pytest.fixture
def make(request: pytest.FixtureRequest, keys: None) -> Iterator[Make]:
    """See the top of the module."""
    yield from _maker(request.param)


@pytest.fixture
def wire(keys: None) -> Iterator[Make]:
    """See the top of the module."""
    yield from _maker(Client)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `make` on both clients."""
    if "make" in metafunc.fixturenames:
        metafunc.parametrize("make", [Client, FallbackClient], indirect=True)


@pytest.fixture
def keys(set_env: SetEnv, environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let variables name the keys, no file anything, and no variable a proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        environment.delenv(name, raising=False)
        environment.delenv(name.lower(), raising=False)
    set_env(
        AWS_ACCESS_KEY_ID="AKTEST",
        AWS_SECRET_ACCESS_KEY="the-secret-key",
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
        AWS_EC2_METADATA_DISABLED="true",
    )


def _maker(kind: type[Client]) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(url: str | None, **options: Any) -> Client:
            client = kind(Session(), "eu-west-1", url, **options)
            stack.callback(client.close)
            return client

        yield made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """See the top of the module."""
    if find_openssl() is None:
        pytest.skip(HOW_TO_GET_IT)
    return Authority(tmp_path_factory.mktemp("authority"), "authority")
