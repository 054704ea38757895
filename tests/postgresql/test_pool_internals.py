"""The internals of psycopg_pool that the pool uses."""

import ast
from importlib.metadata import version
from pathlib import Path

import psycopg_pool.pool
import pytest
from psycopg_pool import ConnectionPool

from actingweb.db.postgresql import pool, pool_internals
from actingweb.db.postgresql.pool_internals import PRIVATE_NAMES, UNDOCUMENTED_NAMES

RELEASE = f"psycopg_pool {version('psycopg_pool')}"


def attribute_names() -> set[str]:
    """Return the names of all attributes of a plain pool that is open."""
    with ConnectionPool(min_size=0, max_size=1, open=False) as plain:
        return set(dir(plain))


def private_names() -> set[str]:
    return {name for name in attribute_names() if name.startswith("_") and not name.startswith("__")}


def require_names() -> None:
    """Fail if this release of psycopg_pool lacks a name, telling which one."""
    found = {f"ConnectionPool.{name}" for name in attribute_names()} | set(dir(psycopg_pool.pool))
    found |= {f"WaitingClient.{name}" for name in dir(psycopg_pool.pool.WaitingClient)}
    for name in (*(f"ConnectionPool.{name}" for name in PRIVATE_NAMES), *UNDOCUMENTED_NAMES):
        assert name in found, f"{RELEASE} has no {name}: see actingweb/db/postgresql/pool_internals.py"


def test_this_release_of_psycopg_pool_has_what_the_pool_uses() -> None:
    require_names()


@pytest.mark.parametrize("name", ["_connect", "schedule_task"])
def test_a_release_that_lacks_a_name_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(ConnectionPool, name)
    with pytest.raises(AssertionError, match=rf"psycopg_pool \d.* has no ConnectionPool\.{name}"):
        require_names()


def used_names(path: str | None) -> set[str]:
    tree = ast.parse(Path(str(path)).read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_private_names_are_at_most_six_and_listed() -> None:
    assert len(PRIVATE_NAMES) <= 6
    assert used_names(pool_internals.__file__) & private_names() == set(PRIVATE_NAMES)


def test_the_pool_itself_uses_public_names_only() -> None:
    assert used_names(pool.__file__) & private_names() == set()
