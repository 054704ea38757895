"""Fixtures of the contract suite.

* `prop`: a new `DbProperty`.
* `lookup_rows`: a function that returns the raw look-up rows, look-up key to (property name, actor id).
* `owner_id`: an id under which the `entity` of the test can be stored: an actor's, or for actors a free one.
* `no_tables`: the backend's settings name a place without tables and nothing may create them: every request fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from actingweb.db import get_property
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.support import new_id

from .property_tables import Claims, claims_of


@pytest.fixture
def prop(backend: Backend) -> DbPropertyProtocol:
    """Make an object for one property."""
    return get_property(backend)


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
