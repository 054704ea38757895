"""DynamoDB to PostgreSQL on the real servers: prepared, scanned, followed and applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.live.keys import BY_NAME, MARKER
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, CLAIMS_V2, MAPPINGS, PROPERTIES, TableMapping
from tests.live.sides import Sides
from tests.migration.loads import DOCUMENTS, TIME, versions

ATTRIBUTES, SUBSCRIPTIONS, DIFFS = (BY_NAME[name] for name in ("attributes", "subscriptions", "subscription_diffs"))
EMAIL = "one@example.com"
LOOK_UP = compute_lookup_key("email", EMAIL)


def actor(id_: str, passphrase: str = "p") -> dict[str, Any]:
    return {"id": id_, "passphrase": passphrase}


def email(id_: str, value: str = EMAIL) -> dict[str, Any]:
    return {"id": id_, "name": "email", "value": value}


def claim(id_: str, value: str = EMAIL) -> dict[str, Any]:
    return {"lookup_key": compute_lookup_key("email", value), "property_name": "email", "actor_id": id_}


def begin(sides: Sides) -> None:
    """Prepare, scan, and read what the tests have stored before."""
    sides.prepare()
    sides.scan()
    sides.catch_up()


def agree(sides: Sides) -> None:
    sides.due()
    sides.catch_up()
    assert sides.rejects() == {}
    assert sides.stored() == sides.expected()


class TestRows:
    def test_a_scan_and_the_changes_behind_it(self, sides: Sides) -> None:
        for mapping in MAPPINGS:
            sides.put(mapping, *DOCUMENTS[mapping.name])
        sides.prepare()
        sides.scan()
        assert sides.stored() == sides.expected()
        sides.put(ACTORS, actor("a3"))
        sides.put(PROPERTIES, email("a1", "new@example.com"))
        sides.delete(PROPERTIES, {"id": "a1", "name": "größe"})
        sides.delete(ATTRIBUTES, {"id": "a1", "bucket_name": "b:c:n"})
        agree(sides)

    def test_equal_rows_are_left_alone(self, sides: Sides) -> None:
        for mapping in MAPPINGS:
            sides.put(mapping, *DOCUMENTS[mapping.name])
        begin(sides)
        before = versions(sides.state.target)
        for mapping in MAPPINGS:
            sides.put(mapping, *({**document, "unknown": 1} for document in DOCUMENTS[mapping.name]))
        sides.catch_up()
        assert versions(sides.state.target) == before

    def test_a_change_during_the_scan_is_not_lost_to_the_page_read_before(self, sides: Sides) -> None:
        sides.put(ACTORS, actor("a1"))
        sides.put(PROPERTIES, email("a1", "old@example.com"))
        sides.prepare()
        scanner, applier = sides.scanner(), sides.applier()
        read = scanner._read

        def read_and_change(segment: Any) -> Any:
            page = read(segment)
            if segment.mapping is PROPERTIES and page.documents:
                sides.put(PROPERTIES, email("a1", "new@example.com"))
                sides.read()
                assert applier.step() == 0
            return page

        scanner._read = read_and_change  # type: ignore[method-assign]
        while scanner.step():
            pass
        assert sides.fresh() == [("properties", "a1", "email")]
        agree(sides)

    def test_composed_keys_that_can_be_split_in_several_ways(self, sides: Sides) -> None:
        def attribute(bucket: str, name: str) -> dict[str, Any]:
            return {"id": "a1", "bucket_name": "a:b:c", "bucket": bucket, "name": name, "data": "1"}

        sides.put(ATTRIBUTES, attribute("a", "b:c"))
        begin(sides)
        sides.put(ATTRIBUTES, attribute("a:b", "c"))
        agree(sides)
        sides.delete(ATTRIBUTES, attribute("a:b", "c"))
        agree(sides)
        assert sides.stored()["attributes"] == []

    def test_keys_that_postgresql_cannot_hold(self, sides: Sides) -> None:
        begin(sides)
        sides.put(ACTORS, actor("a\x00\\0000"))
        sides.put(ACTORS, actor("a\\0000"))
        sides.catch_up()
        assert sides.rejects() == {("actors", "a\\0000\\\\0000", ""): "id contains U+0000"}
        assert [row[0] for row in sides.stored()["actors"]] == ["a\\0000"]
        sides.delete(ACTORS, actor("a\x00\\0000"))
        agree(sides)

    def test_keys_that_dynamodb_cannot_hold(self, sides: Sides) -> None:
        """As those of rows that something else wrote into PostgreSQL."""
        sides.put(ACTORS, actor("a1"))
        begin(sides)
        with sides.state.connect() as connection:
            statement = "INSERT INTO {schema}.properties VALUES ('a1', %(name)s, 'v')"
            connection.execute(sides.state.sql(statement), {"name": "n" * 1500})
            statement = "INSERT INTO {state}.dirty VALUES ('properties', 'a1', %(name)s)"
            connection.execute(sides.state.sql(statement), {"name": "n" * 1500})
        sides.put(PROPERTIES, email("a1"))
        agree(sides)

    def test_items_of_the_largest_size(self, sides: Sides) -> None:
        sides.put(ACTORS, actor("a1"))
        begin(sides)
        applier = sides.applier()
        taken = []
        for text in "xy":
            sides.put(PROPERTIES, *({"id": "a1", "name": f"n{n}", "value": text * 400_000} for n in range(12)))
            sides.read()
            while count := applier.step():
                taken.append(count)
        assert taken == [12, 10, 2], "the size of the items limits how many are read at once"
        agree(sides)

    def test_an_expired_attribute(self, sides: Sides) -> None:
        expired = {"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": "1", "ttl_timestamp": 1}
        sides.put(ATTRIBUTES, expired)
        begin(sides)
        agree(sides)
        sides.delete(ATTRIBUTES, expired)
        agree(sides)

    def test_marker_rows_are_noted_and_not_moved(self, sides: Sides) -> None:
        sides.put(ACTORS, actor(MARKER + "0"))
        begin(sides)
        sides.put(ACTORS, actor(MARKER + "1"))
        sides.read()
        assert sides.fresh() == []
        assert sides.stored()["actors"] == []


class TestActors:
    @pytest.fixture
    def mappings(self) -> Sequence[TableMapping]:
        return (ACTORS, PROPERTIES, SUBSCRIPTIONS, DIFFS, CLAIMS_V2)

    def test_a_row_comes_before_its_actor(self, sides: Sides) -> None:
        begin(sides)
        sides.put(PROPERTIES, email("a1"))
        sides.catch_up()
        assert sides.rejects() == {("properties", "a1", "email"): "unknown actor"}
        sides.put(ACTORS, actor("a1"))
        sides.catch_up()
        assert sides.rejects() == {}
        assert sides.stored() == sides.expected()

    def test_an_orphan_of_the_scan_heals_when_its_actor_appears(self, sides: Sides) -> None:
        sides.put(SUBSCRIPTIONS, {**DOCUMENTS["subscriptions"][0]})  # type: ignore[index]
        sides.prepare()
        sides.scan()
        assert sides.fresh() == [("subscriptions", "a1", "p1:s1")]
        sides.catch_up()
        assert list(sides.rejects().values()) == ["unknown actor"]
        sides.put(ACTORS, actor("a1"))
        sides.catch_up()
        assert sides.rejects() == {}
        assert sides.stored() == sides.expected()

    def test_a_row_loads_the_actor_whose_own_change_is_not_read_yet(self, sides: Sides) -> None:
        begin(sides)
        sides.put(ACTORS, actor("a1"))
        sides.put(PROPERTIES, email("a1"))
        reader = sides.reader()
        while not sides.fresh():
            reader.step()
        with sides.state.connect() as connection:
            connection.execute(sides.state.sql("DELETE FROM {state}.dirty WHERE table_name = 'actors'"))
            connection.execute(
                sides.state.sql("INSERT INTO {state}.dirty VALUES ('properties', 'a1', 'email') ON CONFLICT DO NOTHING")
            )
        sides.applier().step()
        assert [row[0] for row in sides.stored()["actors"]] == ["a1"]
        agree(sides)

    @pytest.mark.parametrize("again", [True, False], ids=["recreated", "gone"])
    def test_an_actor_is_deleted_and_its_rows_stay(self, sides: Sides, again: bool) -> None:
        sides.put(ACTORS, actor("a1"), actor("a2"))
        sides.put(PROPERTIES, email("a1"), email("a2"))
        sides.put(DIFFS, {"id": "a1", "subid_seqnr": "s:7", "subid": "s", "seqnr": 7, "diff": "{}", "timestamp": TIME})
        begin(sides)
        assert sides.look_ups() == {LOOK_UP: "a1"}
        sides.delete(ACTORS, actor("a1"))
        sides.catch_up()
        orphans = {("properties", "a1", "email"): "unknown actor", ("subscription_diffs", "a1", "s:7"): "unknown actor"}
        assert sides.rejects() == orphans
        assert sides.look_ups() == {LOOK_UP: "a2"}
        if again:
            sides.put(ACTORS, actor("a1"))
        else:
            sides.delete(PROPERTIES, email("a1"))
            sides.delete(DIFFS, {"id": "a1", "subid_seqnr": "s:7"})
        sides.catch_up()
        agree(sides)
        assert sides.look_ups() == {LOOK_UP: "a1" if again else "a2"}


class TestRejects:
    @pytest.fixture
    def mappings(self) -> Sequence[TableMapping]:
        return (ACTORS, PROPERTIES, ATTRIBUTES, CLAIMS_V2)

    def test_one_bad_row_blocks_no_other_and_heals(self, sides: Sides) -> None:
        sides.put(ACTORS, *(actor(f"a{number}") for number in range(20)))
        begin(sides)
        bad = {"id": "a3", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": "1" + "0" * 200_000}
        good = [{**bad, "id": f"a{number}", "data": "1"} for number in range(20)]
        sides.put(ATTRIBUTES, *good, bad, {**bad, "id": "a4", "data": '"\\u0000"'})
        sides.catch_up()
        reasons = sides.rejects()
        assert set(reasons) == {("attributes", "a3", "b:n"), ("attributes", "a4", "b:n")}
        assert reasons["attributes", "a4", "b:n"] == "data: data contains U+0000"
        assert len(sides.stored()["attributes"]) == 18
        sides.put(ATTRIBUTES, good[3], good[4])
        sides.catch_up()
        assert sides.rejects() == {}
        assert sides.stored() == sides.expected()

    def test_what_a_reject_was_before_is_gone(self, sides: Sides) -> None:
        good = {"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": "1"}
        deep = {**good, "bucket_name": "b:m", "name": "m"}
        sides.put(ACTORS, actor("a1"))
        sides.put(ATTRIBUTES, good, deep)
        sides.put(PROPERTIES, email("a1"))
        begin(sides)
        agree(sides)
        sides.put(ATTRIBUTES, {**good, "data": '"\\u0000"'}, {**deep, "data": "[" * 20_000 + "]" * 20_000})
        sides.put(PROPERTIES, {**email("a1"), "value": "\x00"})
        sides.catch_up()
        assert len(sides.rejects()) == 3
        assert sides.stored()["attributes"] == sides.stored()["properties"] == []
        assert sides.look_ups() == {}
        sides.put(ATTRIBUTES, good, deep)
        sides.put(PROPERTIES, email("a1"))
        sides.catch_up()
        agree(sides)

    def test_a_row_that_only_the_server_refuses(self, sides: Sides) -> None:
        """The nesting of JSON, for which the library has no limit of its own."""
        sides.put(ACTORS, actor("a1"))
        begin(sides)
        deep = {"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": "[" * 20_000 + "]" * 20_000}
        others = [{**deep, "bucket_name": f"b:{n}", "name": f"{n}", "data": "1"} for n in range(9)]
        sides.put(ATTRIBUTES, deep, *others)
        sides.catch_up()
        assert sides.rejects() == {("attributes", "a1", "b:n"): "PostgreSQL rejects it: StatementTooComplex"}
        assert len(sides.stored()["attributes"]) == 9
        sides.delete(ATTRIBUTES, deep)
        agree(sides)

    def test_the_pause_grows(self, sides: Sides) -> None:
        begin(sides)
        sides.put(PROPERTIES, email("a1"))
        sides.catch_up()
        pauses = []
        for _ in range(12):
            pauses.append(
                sides.value("SELECT extract(epoch FROM due_at - clock_timestamp())::float FROM {state}.dirty")
            )
            sides.due()
            assert sides.applier().step() == 1
        assert pauses[0] <= 1
        assert pauses[0] < pauses[4] < pauses[8] <= pauses[11] <= 600

    def test_rejects_are_tried_while_fresh_keys_keep_coming(self, sides: Sides) -> None:
        sides.put(ACTORS, actor("a1"))
        begin(sides)
        sides.put(PROPERTIES, email("nobody"))
        sides.catch_up()
        sides.put(PROPERTIES, *({"id": "a1", "name": f"n{number}", "value": "v"} for number in range(10)))
        sides.read()
        sides.due()
        applier = sides.applier(batch=1)
        for _ in range(8):
            applier.step()
        assert sides.value("SELECT attempts FROM {state}.dirty WHERE hash = 'nobody'") > 1


class TestLookUps:
    @pytest.fixture
    def mappings(self) -> Sequence[TableMapping]:
        return (ACTORS, PROPERTIES, CLAIMS_V2)

    @pytest.fixture(params=["scanned", "followed"])
    def order(self, request: pytest.FixtureRequest) -> str:
        """Say whether the rows are there before the migration, or come after the scan."""
        return str(request.param)

    def store(self, sides: Sides, order: str, *stored: tuple[Any, dict[str, Any]]) -> None:
        if order == "followed":
            begin(sides)
        for mapping, document in stored:
            sides.put(mapping, document)
        if order == "scanned":
            begin(sides)
        sides.catch_up()

    def holders(self, *ids: str) -> list[tuple[Any, dict[str, Any]]]:
        rows: list[tuple[Any, dict[str, Any]]] = []
        for id_ in ids:
            rows += [(ACTORS, actor(id_)), (PROPERTIES, email(id_))]
        return rows

    def test_the_claimant_keeps_its_value(self, sides: Sides, order: str) -> None:
        self.store(sides, order, *self.holders("a1", "a2", "a3"), (CLAIMS_V2, claim("a3")))
        assert sides.look_ups() == {LOOK_UP: "a3"}
        sides.put(CLAIMS_V2, claim("a2"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a2"}
        sides.delete(CLAIMS_V2, claim("a2"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a1"}

    def test_a_claim_of_an_actor_without_the_value_counts_for_nothing(self, sides: Sides, order: str) -> None:
        self.store(sides, order, *self.holders("a1", "a2"), (ACTORS, actor("a3")), (CLAIMS_V2, claim("a3")))
        assert sides.look_ups() == {LOOK_UP: "a1"}
        sides.put(PROPERTIES, email("a3"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a3"}

    def test_the_older_table_of_claims(self, sides: Sides, order: str) -> None:
        sides.create(CLAIMS_V1)
        older = (CLAIMS_V1, {"property_name": "email", "value": EMAIL, "actor_id": "a2"})
        self.store(sides, order, *self.holders("a1", "a2", "a3"), older)
        assert sides.look_ups() == {LOOK_UP: "a2"}
        sides.put(CLAIMS_V2, claim("a3"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a3"}

    def test_a_name_that_is_not_indexed_has_rows_for_claims_only(self, sides: Sides, order: str) -> None:
        key = compute_lookup_key("phone", "1")
        holders = [(PROPERTIES, {"id": id_, "name": "phone", "value": "1"}) for id_ in ("a1", "a2")]
        self.store(sides, order, (ACTORS, actor("a1")), (ACTORS, actor("a2")), *holders)
        assert sides.look_ups() == {}
        of_phone = {"lookup_key": key, "property_name": "phone", "actor_id": "a2"}
        sides.put(CLAIMS_V2, of_phone)
        sides.catch_up()
        assert sides.look_ups() == {key: "a2"}
        sides.put(PROPERTIES, {"id": "a2", "name": "phone", "value": "2"})
        sides.catch_up()
        assert sides.look_ups() == {}

    def test_nobody_gets_a_value_whose_claimant_is_rejected(self, sides: Sides, order: str) -> None:
        """The claimant's actor is missing; a log-in must not reach the other holder."""
        self.store(sides, order, *self.holders("a1"), (PROPERTIES, email("a9")), (CLAIMS_V2, claim("a9")))
        assert sides.look_ups() == {}
        assert sides.rejects()["properties", "a9", "email"] == "unknown actor"
        sides.put(ACTORS, actor("a9"))
        sides.due()
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a9"}
        sides.due()
        sides.catch_up()
        assert sides.rejects() == {}

    def test_the_value_is_free_when_the_rejected_claimant_gives_it_up(self, sides: Sides, order: str) -> None:
        self.store(sides, order, *self.holders("a1"), (PROPERTIES, email("a9")), (CLAIMS_V2, claim("a9")))
        sides.delete(PROPERTIES, email("a9"))
        sides.catch_up()
        sides.due()
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a1"}
        assert sides.rejects() == {}

    def test_a_claim_that_names_nobody(self, sides: Sides, order: str) -> None:
        broken = (CLAIMS_V2, {"lookup_key": LOOK_UP, "property_name": "email"})
        self.store(sides, order, *self.holders("a1", "a2"), broken)
        assert sides.look_ups() == {}
        assert sides.rejects()["property_lookup_v2", LOOK_UP, ""].startswith("actor_id")
        sides.delete(PROPERTIES, email("a2"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a1"}

    def test_a_value_moves_from_one_actor_to_another(self, sides: Sides, order: str) -> None:
        self.store(sides, order, *self.holders("a1", "a2"), (CLAIMS_V2, claim("a1")))
        sides.put(PROPERTIES, email("a1", "other@example.com"))
        sides.put(CLAIMS_V2, claim("a2"), claim("a1", "other@example.com"))
        sides.catch_up()
        assert sides.look_ups() == {LOOK_UP: "a2", compute_lookup_key("email", "other@example.com"): "a1"}
