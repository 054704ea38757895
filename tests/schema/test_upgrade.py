"""An upgrade of a database of ActingWeb 3.15 keeps every row."""

from __future__ import annotations

from collections import Counter
from typing import LiteralString

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg.errors import ForeignKeyViolation

from actingweb.db.postgresql.migrate import ALEMBIC_INI
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.utils import compute_lookup_key
from tests.conftest import SetEnv

from .conftest import Place
from .rows import JSON, LONG, NOON_UTC, WIDE_ID


def _claims(place: Place) -> dict[str, tuple[str, str]]:
    rows = place.rows("SELECT lookup_key, property_name, actor_id FROM property_lookup")
    return {key: (name, actor) for key, name, actor in rows}


def test_the_named_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(Config(ALEMBIC_INI)).get_heads() == [HEAD]


def test_no_row_is_lost(filled_place: Place) -> None:
    before = Counter({table: len(rows) for table, rows in filled_place.contents().items()})
    filled_place.upgrade()
    after = Counter({table: len(rows) for table, rows in filled_place.contents().items()})
    assert after - before == Counter(property_lookup=3)
    assert before - after == Counter()
    filled_place.check()


def test_texts_stay_as_they_were(filled_place: Place) -> None:
    before = filled_place.contents()
    filled_place.upgrade()
    after = filled_place.contents()
    assert after["properties"] == before["properties"]
    assert after["peertrustees"] == before["peertrustees"]
    assert after["subscription_suspensions"] == before["subscription_suspensions"]
    assert filled_place.rows("SELECT passphrase FROM actors WHERE id = %s", WIDE_ID) == [(LONG,)]


def test_times_without_zone_are_utc(filled_place: Place) -> None:
    filled_place.upgrade()
    for query in (
        "SELECT created_at FROM actors WHERE id = 'a1'",
        "SELECT created_at FROM trusts WHERE peerid = 'p:ß'",
        "SELECT last_accessed FROM trusts WHERE peerid = 'p:ß'",
        "SELECT capabilities_fetched_at FROM trusts WHERE peerid = 'p:ß'",
        "SELECT timestamp FROM subscription_diffs WHERE seqnr = 10",
        "SELECT suspended_at FROM subscription_suspensions WHERE subtarget = 'b'",
        "SELECT timestamp FROM attributes WHERE name = 'x'",
    ):
        assert filled_place.rows(query) == [(NOON_UTC,)], query
    assert filled_place.rows("SELECT created_at FROM actors WHERE id = 'B2'") == [(None,)]


def test_keys_are_the_stored_parts(filled_place: Place) -> None:
    filled_place.upgrade()
    subscriptions = filled_place.rows("SELECT peerid, subid, seqnr, granularity FROM subscriptions ORDER BY 1, 2")
    assert subscriptions == [("p", "x:y", -1, ""), ("p", "y", 0, None), ("p:x", "y", 2147483647, "high")]
    diffs = filled_place.rows("SELECT id, subid, seqnr FROM subscription_diffs ORDER BY 1, 2, 3")
    assert diffs == [("B2", "s1", 0), ("a1", "s1", 9), ("a1", "s1", 10)]
    attributes = filled_place.rows("SELECT bucket, name, bucket_name, data FROM attributes WHERE bucket LIKE 'rem%%'")
    assert sorted(attributes) == [("remote", "y", "remote:y", None), ("remote:abc", "x", "remote:abc:x", JSON)]


def test_lookup_rows_become_digests_and_missing_ones_are_added(filled_place: Place) -> None:
    filled_place.upgrade()
    assert _claims(filled_place) == {
        compute_lookup_key("email", "ann@example.com"): ("email", "B2"),
        compute_lookup_key("email", "nobody holds this"): ("email", "a1"),
        compute_lookup_key("gone", "ä: \\ %"): ("gone", WIDE_ID),
        compute_lookup_key("oauthId", LONG): ("oauthId", "a1"),
        compute_lookup_key("oauthId", "ünique"): ("oauthId", "B2"),
        compute_lookup_key("externalUserId", "shared"): ("externalUserId", "B2"),
    }


def test_indexed_names_are_those_of_the_environment(filled_place: Place, set_env: SetEnv) -> None:
    set_env(INDEXED_PROPERTIES=" oauthId , list:email")
    filled_place.upgrade()
    assert sorted(name for name, _ in _claims(filled_place).values()) == [
        "email",
        "email",
        "gone",
        "oauthId",
        "oauthId",
    ]


def test_upgraded_rows_read_through_the_library(filled_place: Place) -> None:
    filled_place.upgrade()
    import actingweb.db

    backend = actingweb.db.load_backend("postgresql")
    assert backend.DbProperty.DbProperty().get_actor_id_from_property("oauthId", LONG) == "a1"
    trust = backend.DbTrust.DbTrust().get(actor_id="a1", peerid="p:ß")
    assert trust["created_at"] == NOON_UTC.isoformat()
    assert backend.DbSubscription.DbSubscription().get("a1", "p", "x:y")["sequence"] == -1
    diff = backend.DbSubscriptionDiff.DbSubscriptionDiff().get("a1", "s1")
    assert (diff["sequence"], diff["timestamp"]) == (9, NOON_UTC)
    assert backend.DbSubscriptionSuspension.DbSubscriptionSuspension("a1").is_suspended("a", "b")
    assert backend.DbAttribute.DbAttribute.get_attr("a1", "remote:abc", "x")["data"] == JSON
    assert sorted(actor["id"] for actor in backend.DbActor.DbActorList().fetch()) == ["B2", "a1", WIDE_ID]


def test_rows_without_actor_stay_and_new_ones_are_refused(filled_place: Place) -> None:
    filled_place.execute("INSERT INTO properties VALUES ('lost', 'email', 'x'), ('lost', 'n', 'secret value')")
    filled_place.execute("INSERT INTO peertrustees VALUES ('lost', 'p', '', '', '')")
    printed = filled_place.upgrade()
    assert "2 rows of properties" in printed
    assert "1 rows of peertrustees" in printed
    assert "trusts" not in printed
    assert "secret value" not in printed
    assert filled_place.rows("SELECT count(*) FROM properties WHERE id = 'lost'") == [(2,)]
    assert ("email", "lost") not in _claims(filled_place).values()
    checked = filled_place.rows("SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT convalidated")
    assert sorted(checked) == [("fk_peertrustees_actor",), ("fk_properties_actor",)]
    with pytest.raises(ForeignKeyViolation, match="fk_properties_actor"):
        filled_place.execute("INSERT INTO properties VALUES ('lost', 'other', 'x')")
    filled_place.check()


CLASHES: tuple[tuple[LiteralString, str], ...] = (
    ("INSERT INTO subscriptions VALUES ('a1', 'else', 'p', 'y', '', '', '', '', 0, false)", "subscriptions"),
    ("INSERT INTO subscription_diffs VALUES ('a1', 's1:09', 's1', now(), '', 9)", "subscription_diffs"),
    ("INSERT INTO attributes VALUES ('a1', 'else', 'remote', 'y')", "attributes"),
)


@pytest.mark.parametrize(("insert", "table"), CLASHES)
def test_rows_that_would_clash_stop_the_upgrade(filled_place: Place, insert: LiteralString, table: str) -> None:
    filled_place.execute(insert)
    rows, layout = filled_place.contents(), filled_place.layout()
    with pytest.raises(CommandError, match=f"1 keys of {table} that several rows have") as stopped:
        filled_place.upgrade()
    assert (filled_place.contents(), filled_place.layout()) == (rows, layout)
    assert len(filled_place.listed(str(stopped.value))) == 1


@pytest.mark.parametrize("revision", ["0123456789ab", "f00"])
def test_an_unknown_revision_is_sent_to_actingweb_3_15(old_place: Place, revision: str) -> None:
    old_place.execute("UPDATE alembic_version SET version_num = %s", revision)
    with pytest.raises(CommandError, match=rf"revision {revision}.*ActingWeb 3\.15 first"):
        old_place.upgrade()
    assert old_place.rows("SELECT version_num FROM alembic_version") == [(revision,)]


def test_tables_that_keep_their_columns_are_not_rewritten(filled_place: Place) -> None:
    query: LiteralString = "SELECT pg_relation_filenode('properties'), pg_relation_filenode('peertrustees')"
    before = filled_place.rows(query)
    filled_place.upgrade()
    assert filled_place.rows(query) == before


def test_upgrade_gathers_statistics(filled_place: Place) -> None:
    filled_place.upgrade()
    rows = filled_place.rows("SELECT DISTINCT tablename FROM pg_stats WHERE schemaname::text = %s", filled_place.schema)
    assert {"actors", "properties", "property_lookup", "subscription_diffs", "attributes"} <= {name for (name,) in rows}
