"""The tables that the migrations make are those of the contract and those that the record types declare."""

from __future__ import annotations

import pytest
from alembic.util import CommandError
from sqlalchemy import StaticPool, create_engine

from actingweb.db.postgresql.schema import build_metadata, key_collation

from .conftest import BASELINE, Place
from .layouts import BASELINE_LAYOUT, HEAD_LAYOUT

COLLATE = " COLLATE C"


def _expected(layout: dict[str, list[str]], collate: str = "") -> dict[str, list[str]]:
    return {table: sorted(line.replace("{c}", collate) for line in lines) for table, lines in layout.items()}


def _declared_layout(place: Place) -> dict[str, list[str]]:
    """Return the layout that the declared tables have when they are created in place of the migrated ones."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: place.connection, poolclass=StaticPool)
    with engine.connect() as connection:
        place.execute("DROP TABLE actors, properties, property_lookup, trusts, peertrustees CASCADE")
        place.execute("DROP TABLE subscriptions, subscription_diffs, subscription_suspensions, attributes CASCADE")
        build_metadata(key_collation(connection)).create_all(connection, checkfirst=False)
    return place.layout()


def test_the_first_revision_makes_the_layout_of_actingweb_3_15(place: Place) -> None:
    place.upgrade(BASELINE)
    assert _expected(place.layout()) == _expected(BASELINE_LAYOUT)


def test_head_is_the_target_layout_in_a_database_in_byte_order(byte_order_place: Place) -> None:
    byte_order_place.upgrade()
    assert _expected(byte_order_place.layout()) == _expected(HEAD_LAYOUT)


def test_keys_sort_by_bytes_in_a_database_in_another_order(other_order_place: Place) -> None:
    other_order_place.upgrade()
    assert _expected(other_order_place.layout()) == _expected(HEAD_LAYOUT, COLLATE)
    other_order_place.execute("INSERT INTO actors VALUES ('b', '', ''), ('a', '', ''), ('C', '', ''), ('ä', '', '')")
    assert other_order_place.rows("SELECT id FROM actors ORDER BY id") == [("C",), ("a",), ("b",), ("ä",)]


@pytest.mark.parametrize("name", ["byte_order_place", "other_order_place"])
def test_check_is_clean_and_the_declared_tables_are_the_migrated_ones(
    name: str, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(name)
    place.upgrade()
    place.check()
    migrated = place.layout()
    assert _expected(_declared_layout(place)) == _expected(migrated)
    place.check()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE trusts ADD forgotten text",
        "ALTER TABLE trusts ALTER secret TYPE varchar(255)",
        "ALTER TABLE trusts ALTER secret DROP NOT NULL",
        "ALTER TABLE actors ALTER created_at DROP DEFAULT",
        "ALTER TABLE properties DROP CONSTRAINT fk_properties_actor",
        "DROP INDEX idx_properties_value",
        "DROP INDEX idx_attributes_chain_id",
        "DROP TABLE peertrustees",
    ],
)
def test_check_finds_a_difference(place: Place, change: str) -> None:
    place.upgrade()
    place.connection.execute(change.encode())
    with pytest.raises(CommandError, match="New upgrade operations detected"):
        place.check()


def test_check_ignores_the_tables_of_others(place: Place) -> None:
    place.upgrade()
    place.execute("CREATE TABLE not_ours (id integer)")
    place.check()


def test_downgrade_returns_to_the_layout_of_actingweb_3_15(place: Place) -> None:
    place.upgrade()
    place.downgrade()
    assert _expected(place.layout()) == _expected(BASELINE_LAYOUT)
    place.upgrade()
    place.check()


def test_downgrade_to_base_removes_the_tables(place: Place) -> None:
    place.upgrade()
    place.downgrade("base")
    assert list(place.layout()) == ["alembic_version"]
