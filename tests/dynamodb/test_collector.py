"""Garbage is not collected while a client is made; afterwards it is as before."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from actingweb.db import get_actor
from actingweb.db.dynamodb import reset_ensure_cache
from actingweb.db.registry import Backend


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_new_client_leaves_the_collector_as_it_was(backend: Backend, enabled: bool) -> None:
    reset_ensure_cache()
    (gc.enable if enabled else gc.disable)()
    assert get_actor(backend).get("nobody") is None
    assert gc.isenabled() is enabled
