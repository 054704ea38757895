"""What the pool uses of psycopg_pool that its documentation does not promise."""

import ast
from importlib.metadata import version
from pathlib import Path

import psycopg_pool.pool
import pytest
from psycopg_pool import ConnectionPool

from actingweb.db.postgresql import pool, pool_internals
from actingweb.db.postgresql.pool_internals import PRIVATE_NAMES, UNDOCUMENTED_NAMES

RELEASE = f"psycopg_pool {version('psycopg_pool')}"


def plain_pool() -> ConnectionPool:
    return ConnectionPool(min_size=0, max_size=1, open=False)


def attribute_names() -> set[str]:
    """Return the names of psycopg_pool's attributes that are not public."""
    return {name for name in dir(plain_pool()) if name.startswith("_") and not name.startswith("__")}


def require(names: list[str]) -> None:
    """Fail unless psycopg_pool has all of the names, which are dotted."""
    for name in names:
        found: object = psycopg_pool.pool
        for part in name.split("."):
            found = plain_pool() if part == "ConnectionPool" else getattr(found, part, None)
            assert found is not None, f"{RELEASE} has no {name}: see actingweb/db/postgresql/pool_internals.py"


def test_this_release_of_psycopg_pool_has_what_the_pool_uses() -> None:
    require([f"ConnectionPool.{name}" for name in PRIVATE_NAMES])
    require([*UNDOCUMENTED_NAMES])


@pytest.mark.parametrize("name", ["_connect", "run_task"])
def test_a_release_that_lacks_a_name_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(ConnectionPool, name)
    with pytest.raises(AssertionError, match=rf"psycopg_pool \d.* has no ConnectionPool\.{name}"):
        test_this_release_of_psycopg_pool_has_what_the_pool_uses()


def used_names(path: str | None) -> set[str]:
    tree = ast.parse(Path(str(path)).read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_private_names_are_at_most_six_and_listed() -> None:
    assert len(PRIVATE_NAMES) <= 6
    assert used_names(pool_internals.__file__) & attribute_names() == set(PRIVATE_NAMES)


def test_the_pool_itself_uses_public_names_only() -> None:
    assert used_names(pool.__file__) & attribute_names() == set()
