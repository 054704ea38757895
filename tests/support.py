"""Small tools that tests share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import pytest

from testbed.threads import PATIENCE as PATIENCE

T = TypeVar("T")


def race(count: int, call: Callable[[], T]) -> list[T]:
    """Call `call` in `count` threads released at one moment; return the answers or raise the first error."""
    barrier = threading.Barrier(count)

    def wait_and_call() -> T:
        barrier.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(count) as threads:
        futures = [threads.submit(wait_and_call) for _ in range(count)]
        return [future.result() for future in futures]


def conninfo_of(pg: psycopg.Connection[Any], **changes: str) -> str:
    """Return the conninfo of `pg` with `changes`."""
    info = pg.info
    facts = {"host": info.host, "port": str(info.port), "dbname": info.dbname, "user": info.user}
    return psycopg.conninfo.make_conninfo("", **{**facts, "password": info.password, **changes})


def require_superuser(connection: psycopg.Connection[Any]) -> None:
    """Skip the test unless the connection's role is a superuser, as on the servers that a session starts itself."""
    found = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if found != (True,):
        pytest.skip("needs a superuser of the server")


def new_id(prefix: str = "a") -> str:
    """Return an id that nothing else has."""
    return f"{prefix}{uuid4().hex}"


def ddb_table(suffix: str) -> str:
    """Return the name of the DynamoDB table `suffix` under the present prefix."""
    return f"{os.environ['AWS_DB_PREFIX']}_{suffix}"


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until something is true. Raise `TimeoutError` if it does not become so in `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come within {PATIENCE} s")
        time.sleep(pause)
        # What takes long is not asked for all the time: the answer takes the time of those that work towards it.
        pause = min(1.5 * pause, 0.1)


def use_variables_alone(environment: pytest.MonkeyPatch, home: Path) -> None:
    """Use an empty home directory, and unset what names files of AWS, proxies and certificates."""
    environment.setenv("HOME", str(home))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        environment.delenv(name, raising=False)
        environment.delenv(name.lower(), raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        environment.delenv(name, raising=False)
