"""Keys of rows, as DynamoDB has them, and as the state schema stores them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from actingweb.migration.live.keys import BY_NAME, RowKey, hash_expression, range_expression, row_keys

TEXTS = st.text(st.characters() | st.sampled_from("\\:\x00\ud800\n0"), min_size=1, max_size=8)

ROWS: dict[str, tuple[Any, ...]] = {
    "actors": ("a\\b",),
    "properties": ("a", "n:\\0000"),
    "attributes": ("a", "b:c", ":n\\"),
    "subscription_diffs": ("a", "s", -7),
    "subscription_suspensions": ("a", "t", ""),
}


@given(TEXTS, TEXTS)
def test_a_key_is_stored_and_read_again(hash_: str, range_: str) -> None:
    key = RowKey("properties", hash_, range_)
    assert RowKey.of_stored(*key.stored) == key
    assert "\x00" not in "".join(key.stored)
    "".join(key.stored).encode()


@given(st.sampled_from(["attributes", "subscriptions"]), st.tuples(TEXTS, TEXTS, TEXTS))
def test_a_row_is_among_those_that_can_have_its_key(table: str, parts: tuple[str, ...]) -> None:
    storable = tuple(part.encode(errors="replace").decode().replace("\x00", "") or "x" for part in parts)
    key = RowKey.of_row(BY_NAME[table], storable)
    assert storable in row_keys(key)
    assert all(RowKey.of_row(BY_NAME[table], row) == key for row in row_keys(key))


@pytest.mark.parametrize("number", ["07", "+7", "1_0", "7.0", "", "9" * 19, "٧"])
def test_texts_that_no_number_has(number: str) -> None:
    assert row_keys(RowKey("subscription_diffs", "a", f"s:{number}")) == []


@pytest.mark.parametrize("table", ROWS)
def test_the_server_computes_the_same_key(table: str, pg: psycopg.Connection[tuple[Any, ...]]) -> None:
    mapping, values = BY_NAME[table], ROWS[table]
    columns = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(value, sql.Identifier(name))
        for name, value in zip(mapping.record.key, values, strict=True)
    )
    parts = hash_expression(mapping, "stored"), range_expression(mapping, "stored")
    query = sql.SQL("SELECT {}, {} FROM (SELECT {}) AS stored").format(*parts, columns)
    assert pg.execute(query).fetchone() == RowKey.of_row(mapping, values).stored[1:]
