"""Both sides are compared while an application writes on both: nothing is reported but what really differs."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import pytest

from actingweb.db.registry import load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.jobs.differences import Kind
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.live.compare import LiveComparison, LiveResult
from actingweb.migration.live.keys import BY_NAME
from actingweb.migration.live.ownership import Ownership, Side, boundary_of, read_ownership
from actingweb.migration.live.state import SYNCING, StateError
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.way_back import open_way_back
from actingweb.migration.mapping import ACTORS, CLAIMS_V2, PROPERTIES, TableMapping
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.running import at_work, quiet, writing
from tests.live.sides import Sides
from tests.live.workload import Workload
from tests.migration.tables import source_of
from tests.support import PATIENCE, wait_until

ATTRIBUTES = BY_NAME["attributes"]
IDS = [f"actor{number}" for number in range(12)]
HALF = boundary_of(Decimal(50))
OWNERSHIP = Ownership(HALF, None, Side.DYNAMODB)
BLUE, GREEN = ([one for one in IDS if OWNERSHIP.owner(one) is side] for side in Side)
NOBODY = next(one for one in map("nobody{}".format, range(99)) if OWNERSHIP.owner(one) is Side.DYNAMODB)
LOOK_UP: LiteralString = (
    "INSERT INTO {schema}.property_lookup (lookup_key, property_name, actor_id) VALUES (%(key)s, 'email', %(id)s) "
    "ON CONFLICT (lookup_key) DO UPDATE SET actor_id = excluded.actor_id"
)


@pytest.fixture
def shared(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Sides:
    """Return two sides of which each owns half of the actors, with triggers and without rows."""
    set_env(**sides.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    sides.prepare()
    sides.scan()
    with sides.state.connect() as connection:
        open_way_back(sides.state, connection, SourceTables(sides.requests, sides.prefix), True, lambda _: None)
        sides.state.set_phase(connection, SYNCING, "test")
        connection.execute(sides.state.sql("UPDATE {state}.migration SET boundary = %(half)s"), {"half": HALF})
        assert read_ownership(sides.state, connection) == OWNERSHIP
    return sides


def comparison(sides: Sides, **options: Any) -> LiveComparison:
    """Return a comparison that does not wait long."""
    source = source_of(sides.environment)

    def batches(mapping: TableMapping) -> Any:
        return source.batches(mapping, lambda _: None, lambda _: False) if mapping in source.mappings else None

    defaults: dict[str, Any] = {"limit": 100, "grace": 2.0, "timeout": PATIENCE}
    return LiveComparison(sides.state, sides.requests, sides.state.connect, batches, ("email",), **(defaults | options))


def found(result: LiveResult) -> list[tuple[str, Kind, dict[str, Any]]]:
    """Return what differs."""
    assert result.unsettled == 0
    assert result.found.differences == len(result.found.first)
    return [(one.table, one.kind, one.key) for one in result.found.first]


def unseen(sides: Sides, *statements: tuple[LiteralString, dict[str, Any]]) -> None:
    """Change PostgreSQL without a mark, as something does that has disabled the triggers."""
    with sides.state.connect() as connection, connection.transaction():
        connection.execute("SELECT set_config('actingweb.sync', 'on', true)")
        for statement, values in statements:
            connection.execute(sides.state.sql(statement), values)


def forgotten(sides: Sides, mapping: TableMapping, *documents: dict[str, Any]) -> None:
    """Change items of which the stream loses the records, once the reader has noted a gap."""
    sides.put(mapping, *documents)
    sides.select(
        "INSERT INTO {state}.gaps (table_name, reason) VALUES (%(name)s, 'test') RETURNING 1", name=mapping.name
    )


def test_a_value_that_is_given_up_finds_the_other_holder(shared: Sides) -> None:
    """Each side owns some actors, and the one that gives the value up is PostgreSQL's."""
    with at_work(shared):
        for side, actor_id in ((Side.POSTGRESQL, GREEN[0]), (Side.DYNAMODB, BLUE[0])):
            library = load_backend(side.value)
            assert library.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
            assert library.DbProperty.DbProperty().set(actor_id, "email", "shared")
            quiet(shared)
        key = compute_lookup_key("email", "shared")
        assert shared.look_ups() == {key: GREEN[0]}
        assert load_backend("postgresql").DbProperty.DbProperty().set(GREEN[0], "email", None)
        quiet(shared)
        wait_until(lambda: shared.look_ups() == {key: BLUE[0]})
        assert found(comparison(shared).run()) == []


def test_writes_are_no_differences_and_differences_are_found_among_them(shared: Sides, tmp_path: Path) -> None:
    sides = shared
    blue = Workload(load_backend("dynamodb"), 1, ids=BLUE[1:])
    green = Workload(load_backend("postgresql"), 2, ids=GREEN[1:], system_ids=())
    blue_id, green_id = BLUE[0], GREEN[0]
    hot = [load_backend(side.value).DbProperty.DbProperty() for side in Side]
    numbers = iter(range(10**9))

    def touch_hot_keys() -> None:
        for library, actor_id in zip(hot, (blue_id, green_id), strict=True):
            library.set(actor_id, "hot", str(next(numbers)) if next(numbers) % 5 else None)

    with at_work(sides):
        for side, actor_id in zip(Side, (blue_id, green_id), strict=True):
            library = load_backend(side.value)
            assert library.DbActor.DbActor().create(actor_id=actor_id, creator="c", passphrase="p")
            for name in ("gone", "other", "email"):
                assert library.DbProperty.DbProperty().set(actor_id, name, f"{name} of {actor_id}")
        blue.begin()
        green.begin()
        expired = {"id": blue_id, "bucket_name": "b:old", "bucket": "b", "name": "old", "data": "1"}
        sides.put(ATTRIBUTES, expired | {"ttl_timestamp": int(time.time()) + 2})
        sides.put(PROPERTIES, {"id": NOBODY, "name": "n", "value": "v"})
        with writing(blue.step, green.step, touch_hot_keys):
            reject = (PROPERTIES.name, Kind.ORPHAN, {"id": NOBODY, "name": "n"})
            assert found(comparison(sides).run()) == [reject]
            differ(sides, blue_id, green_id)
            expected = differences(blue_id, green_id)
            report = tmp_path / "differences.ndjson"
            result = comparison(sides, report=report).run()
            assert sorted(found(result), key=str) == sorted([reject, *expected], key=str)
            assert (result.found.rejected, result.left) == (1, len(expected) + 1)
            lines = [json.loads(line) for line in report.read_text().splitlines()]
            assert [(one["table"], one["kind"], one["key"]) for one in lines] == found(result)
            stored = sides.select(
                "SELECT name, compared_differences FROM {state}.tables WHERE compared_differences > 0"
            )
            assert sum(count for _, count in stored) == len(expected)
            assert sides.value("SELECT count(*) FROM {state}.gaps WHERE closed_at IS NULL") == 1
            repaired = comparison(sides).run(repair=True, delete_extra=True)
            assert (repaired.found.repaired, repaired.left) == (len(expected) - 1, 2)
            assert sides.value("SELECT count(*) FROM {state}.gaps WHERE closed_at IS NULL") == 0
            last = found(comparison(sides).run())
    assert last == [reject, (PROPERTIES.name, Kind.ORPHAN, {"id": NOBODY, "name": "unseen"})][: len(last)]


def differ(sides: Sides, blue: str, green: str) -> None:
    """Make both sides differ in ways that no mark tells."""
    properties: LiteralString = "{schema}.properties WHERE id = %(id)s AND name = %(name)s"
    change: LiteralString = "UPDATE {schema}.properties SET value = 'changed' WHERE id = %(id)s AND name = %(name)s"
    insert: LiteralString = "INSERT INTO {schema}.properties VALUES (%(id)s, 'extra', 'v')"
    green_value = compute_lookup_key("email", "unclaimed")
    unseen(
        sides,
        *[("DELETE FROM " + properties, {"id": one, "name": "gone"}) for one in (blue, green)],
        *[(change, {"id": one, "name": "other"}) for one in (blue, green)],
        *[(insert, {"id": one}) for one in (blue, green)],
        (LOOK_UP, {"key": compute_lookup_key("email", f"email of {blue}"), "id": green}),
        ("UPDATE {schema}.properties SET value = 'unclaimed' WHERE id = %(id)s AND name = 'email'", {"id": green}),
        ("DELETE FROM {schema}.property_lookup WHERE actor_id = %(id)s AND lookup_key <> %(key)s",
         {"id": green, "key": compute_lookup_key("email", f"email of {blue}")}),
        (LOOK_UP, {"key": green_value, "id": green}),
    )  # fmt: skip
    forgotten(sides, PROPERTIES, {"id": NOBODY, "name": "unseen", "value": "v"})
    reason = {"hash": NOBODY, "range": "unseen"}
    gone = "DELETE FROM {state}.dirty WHERE hash = %(hash)s AND range = %(range)s AND reason IS NOT NULL RETURNING 1"
    wait_until(lambda: bool(sides.select(gone, **reason)))


def differences(blue: str, green: str) -> list[tuple[str, Kind, dict[str, Any]]]:
    """Return what `differ` has made."""
    kinds = {"gone": Kind.MISSING, "other": Kind.DIFFERENT, "extra": Kind.EXTRA}
    rows = [(PROPERTIES.name, kinds[name], {"id": one, "name": name}) for name in kinds for one in (blue, green)]
    rows.append((PROPERTIES.name, Kind.DIFFERENT, {"id": green, "name": "email"}))
    rows.append((PROPERTIES.name, Kind.ORPHAN, {"id": NOBODY, "name": "unseen"}))
    look_ups = [(blue, f"email of {blue}", green), (green, "unclaimed", green)]
    for _, value, actor_id in look_ups:
        key = {"lookup_key": compute_lookup_key("email", value), "property_name": "email", "actor_id": actor_id}
        rows.append(("property_lookup", Kind.LOOK_UP, key))
    return rows


def test_what_a_comparison_needs(sides: Sides) -> None:
    with pytest.raises(StateError, match="no live migration"):
        comparison(sides).run()
    sides.prepare()
    with pytest.raises(StateError, match="the scan of actors, "):
        comparison(sides).run()
    sides.scan()
    with pytest.raises(StateError, match="no `migrate sync` is running"):
        comparison(sides).run()


def test_what_cannot_be_judged_is_no_difference_but_left(shared: Sides) -> None:
    """Nobody reads the streams: what differs may be under way."""
    shared.put(ACTORS, {"id": "a1", "passphrase": "p"})
    shared.select("INSERT INTO {state}.gaps (table_name, reason) VALUES ('actors', 'test') RETURNING 1")
    statement = "INSERT INTO {state}.leases VALUES ('process test', 'test', now() + interval '1 hour') RETURNING 1"
    shared.select(statement)
    result = comparison(shared, timeout=1.0, grace=0.1).run(repair=True)
    assert (result.found.differences, result.unsettled, result.left) == (0, 1, 1)
    assert shared.value("SELECT closed_at FROM {state}.gaps") is None


def test_rows_that_are_accepted_by_a_file_are_no_differences(shared: Sides, tmp_path: Path) -> None:
    accepted = tmp_path / "accepted.ndjson"
    accepted.write_text(json.dumps({"table": "properties", "key": {"id": NOBODY, "name": "n"}}))
    with at_work(shared):
        shared.put(PROPERTIES, {"id": NOBODY, "name": "n", "value": "v"})
        result = comparison(shared, accepted=AcceptedRows((accepted,))).run()
    assert (result.left, result.found.accepted) == (0, 1)


def test_claims_of_older_tables_are_looked_at_too(shared: Sides) -> None:
    """A look-up that the table of claims gives to another actor than the rows of PostgreSQL do."""
    key = compute_lookup_key("email", "one")
    with at_work(shared):
        for actor_id in BLUE[:2]:
            shared.put(ACTORS, {"id": actor_id, "passphrase": "p"})
            shared.put(PROPERTIES, {"id": actor_id, "name": "email", "value": "one"})
        shared.put(CLAIMS_V2, {"lookup_key": key, "property_name": "email", "actor_id": BLUE[1]})
        quiet(shared)
        assert shared.look_ups() == {key: BLUE[1]}
        unseen(shared, (LOOK_UP, {"key": key, "id": BLUE[0]}))
        (difference,) = found(comparison(shared).run())
        assert (difference[1], difference[2]["lookup_key"]) == (Kind.LOOK_UP, key)
        assert comparison(shared).run(repair=True).left == 0
        assert shared.look_ups() == {key: BLUE[1]}
