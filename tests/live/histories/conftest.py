"""The servers of histories, for a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.servers import PostgresTables
from tests.live.histories.environment import Environment, environment


@pytest.fixture
def found(postgres_tables: PostgresTables) -> Iterator[Environment]:
    """Return the session's schema and a fake."""
    with environment(postgres_tables) as made:
        yield made
    postgres_tables.wipe()
