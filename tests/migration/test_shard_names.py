"""Constraints whose names carry the number of a shard, as a cluster reports them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from actingweb.migration.errors import DuplicateRowError
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts

from .loads import ACTOR, load, properties, rejects_of, write_input

SHARD = "_102008"


@pytest.fixture
def sharded(target: Target) -> Iterator[None]:
    """Let the constraints of properties have the names of a shard's."""
    names = ("fk_properties_actor", "properties_pkey")
    statement = SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}")
    table = Identifier(target.schema, "properties")
    with closing(target.connect()) as connection:
        for name in names:
            connection.execute(statement.format(table, Identifier(name), Identifier(name + SHARD)))
        yield
        for name in names:
            connection.execute(statement.format(table, Identifier(name + SHARD), Identifier(name)))


@pytest.mark.usefixtures("sharded")
def test_rows_of_unknown_actors_are_rejected(target: Target, tmp_path: Path) -> None:
    orphan = {"id": "nobody", "name": "x", "value": ""}
    directory = write_input(tmp_path, {"actors": [ACTOR], "properties": [*properties(3), orphan]})
    assert load(target, directory).counts["properties"] == Counts(4, 3, 0, 1)
    assert [reject["reason"] for reject in rejects_of(directory, "properties")] == ["unknown actor"]


@pytest.mark.usefixtures("sharded")
def test_a_duplicate_is_named_without_the_number(target: Target, tmp_path: Path) -> None:
    load(target, write_input(tmp_path / "one", {"actors": [ACTOR], "properties": properties(1)}))
    directory = write_input(tmp_path / "two", {"actors": [], "properties": properties(1)})
    with pytest.raises(DuplicateRowError, match='violates unique constraint "properties_pkey": '):
        load(target, directory)
