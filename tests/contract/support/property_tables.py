"""The tables of properties and of their look-up rows, seen from outside and put out of order."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from actingweb.db import get_property_list
from actingweb.db.registry import Backend
from tests.support import ddb_table

Claims = dict[str, tuple[str, str]]
"""Property name and actor of each look-up row, by look-up key."""


def lookup_table(backend: Backend) -> Any:
    """Make a `DbPropertyLookup`, for which there is no accessor."""
    return importlib.import_module(f"actingweb.db.{backend.database}.property_lookup").DbPropertyLookup()


def properties(backend: Backend, actor_id: str) -> dict[str, str]:
    """Return all properties of the actor."""
    found = get_property_list(backend).fetch_all_including_lists(actor_id=actor_id)
    assert found is not None
    return found


@contextmanager
def without_lookup_table(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take the table of look-up rows away from a real backend while it runs."""
    backend: Backend = request.getfixturevalue("backend")
    with {"postgresql": _renamed_table, "dynamodb": _deleted_table}[backend.database](request):
        yield


@contextmanager
def _renamed_table(request: pytest.FixtureRequest) -> Iterator[None]:
    pg = request.getfixturevalue("pg")
    pg.execute("ALTER TABLE property_lookup RENAME TO elsewhere")
    try:
        yield
    finally:
        pg.execute("ALTER TABLE elsewhere RENAME TO property_lookup")


@contextmanager
def _deleted_table(request: pytest.FixtureRequest) -> Iterator[None]:
    from actingweb.db.dynamodb._ensure import ensure_table, reset_ensure_cache
    from actingweb.db.dynamodb.property_lookup import PropertyLookupV2

    ddb = request.getfixturevalue("ddb")
    ddb.delete_table(TableName=ddb_table("property_lookup_v2"))
    try:
        yield
    finally:
        reset_ensure_cache()
        ensure_table(PropertyLookupV2)
