"""A downgrade returns to the layout of ActingWeb 3.15 with all rows, or refuses and changes nothing."""

from __future__ import annotations

import random
from typing import LiteralString

import pytest
from alembic.util import CommandError

from actingweb.db.utils import compute_lookup_key

from .conftest import Place
from .rows import LONG

# A hash of letters that no compression makes short.
INCOMPRESSIBLE = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8000))


@pytest.fixture
def upgraded_place(filled_place: Place) -> Place:
    """Return a place at head whose rows the old layout can hold."""
    filled_place.execute("DELETE FROM properties WHERE value = %s", LONG)
    filled_place.upgrade()
    filled_place.execute("UPDATE subscriptions SET subid = 'z' WHERE subid = 'x:y'")
    return filled_place


def test_rows_come_back_as_they_were(filled_place: Place) -> None:
    filled_place.execute("DELETE FROM properties WHERE value = %s", LONG)
    filled_place.execute("UPDATE subscriptions SET peer_sub_id = 'q:z', peerid = 'q', subid = 'z' WHERE seqnr = -1")
    before = filled_place.contents()
    filled_place.upgrade()
    filled_place.downgrade()
    after = filled_place.contents()
    lookups = [tuple(row[name] for name in ("property_name", "value", "actor_id")) for row in after["property_lookup"]]
    assert sorted(lookups) == [
        ("email", "ann@example.com", "B2"),
        ("externalUserId", "shared", "B2"),
        ("oauthId", "ünique", "B2"),
    ]
    del before["property_lookup"], after["property_lookup"]
    assert after == before


def test_composed_columns_are_rebuilt(upgraded_place: Place) -> None:
    upgraded_place.downgrade()
    subscriptions = upgraded_place.rows("SELECT peer_sub_id, peerid, subid FROM subscriptions ORDER BY 1")
    assert subscriptions == [("p:x:y", "p:x", "y"), ("p:y", "p", "y"), ("p:z", "p", "z")]
    diffs = upgraded_place.rows("SELECT id, subid_seqnr FROM subscription_diffs ORDER BY 1, 2")
    assert sorted(diffs) == [("B2", "s1:0"), ("a1", "s1:10"), ("a1", "s1:9")]
    attributes = upgraded_place.rows("SELECT bucket_name FROM attributes")
    assert sorted(attributes) == [("b:long",), ("b:n",), ("remote:abc:x",), ("remote:y",)]


REFUSED: tuple[tuple[LiteralString, str], ...] = (
    ("UPDATE actors SET creator = repeat('ö', 256) WHERE id = 'a1'", "1 rows of actors with a text of more than 255"),
    ("UPDATE trusts SET client_name = repeat('x', 256) WHERE peerid = 'p2'", "1 rows of trusts with a text of more"),
    ("UPDATE trusts SET aw_version = repeat('x', 51)", "2 rows of trusts with a text of more than 255 or 50"),
    ("UPDATE peertrustees SET type = repeat('x', 256)", "1 rows of peertrustees"),
    ("UPDATE subscriptions SET target = repeat('x', 256) WHERE subid = 'z'", "1 rows of subscriptions with a text"),
    ("UPDATE subscriptions SET peerid = repeat('x', 255) WHERE peerid = 'p:x'", "1 rows of subscriptions with a text"),
    ("UPDATE subscriptions SET seqnr = 2147483648 WHERE peerid = 'p:x'", "1 rows of subscriptions with a number"),
    ("UPDATE subscription_diffs SET seqnr = -2147483649 WHERE seqnr = 9", "1 rows of subscription_diffs with a number"),
    ("UPDATE subscription_diffs SET subid = repeat('x', 254) WHERE seqnr = 9", "1 rows of subscription_diffs with a t"),
    ("UPDATE subscription_suspensions SET target = repeat('x', 256) WHERE target = 'a'", "1 rows of subscription_susp"),
    ("UPDATE attributes SET bucket = repeat('b', 254) WHERE name = 'y'", "1 rows of attributes with a text"),
    ("INSERT INTO attributes VALUES ('a1', 'remote', 'abc:x')", "1 values of bucket_name that several rows"),
    ("INSERT INTO subscriptions VALUES ('a1', 'p', 'x:y', '', '', '', '', 0, false)", "1 values of peer_sub_id"),
    ("UPDATE property_lookup SET property_name = repeat('x', 256)", "5 look-up rows with a property name"),
)


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_what_the_old_layout_cannot_hold_stops_it(upgraded_place: Place, change: LiteralString, reason: str) -> None:
    upgraded_place.execute(change)
    _assert_refused(upgraded_place, reason)


def test_a_value_too_long_for_an_index_stops_it(upgraded_place: Place) -> None:
    upgraded_place.execute("UPDATE properties SET value = %s WHERE name = 'oauthId'", INCOMPRESSIBLE)
    key = compute_lookup_key("oauthId", INCOMPRESSIBLE)
    upgraded_place.execute("UPDATE property_lookup SET lookup_key = %s WHERE property_name = 'oauthId'", key)
    _assert_refused(upgraded_place, "1 look-up rows with a value that an index may not hold")


def _assert_refused(place: Place, reason: str) -> None:
    rows, layout = place.contents(), place.layout()
    with pytest.raises(CommandError, match=f"(?s)nothing was changed.*{reason}") as stopped:
        place.downgrade()
    assert (place.contents(), place.layout()) == (rows, layout)
    assert place.listed(str(stopped.value))
