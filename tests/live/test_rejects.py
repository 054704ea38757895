"""Rejects of a live migration: listed with reasons, accepted by name, and tried again when their rows change."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import pytest

from actingweb.db.registry import load_backend
from actingweb.db.utils import compute_lookup_key
from actingweb.migration.errors import UsageError
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.live.backward import BackwardApplier
from actingweb.migration.live.keys import BY_NAME, RowKey
from actingweb.migration.live.ownership import EVERYTHING
from actingweb.migration.live.rejects import LiveReject, accept, identities, read_rejects
from actingweb.migration.live.share import Progress, Share
from actingweb.migration.live.state import SYNCING
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.live.tables import SourceTables
from actingweb.migration.live.way_back import open_way_back
from actingweb.migration.mapping import ACTORS, CLAIMS_V1, PROPERTIES
from testbed.servers import PostgresTables
from tests.conftest import SetEnv
from tests.live.sides import Sides
from tests.support import wait_until

ORPHAN = {"id": "nobody", "name": "n", "value": "secret"}
VALUE = "one@example.com\x00"


def rejects(sides: Sides) -> list[LiveReject]:
    with sides.state.connect() as connection:
        return list(read_rejects(sides.state, connection))


def status(sides: Sides) -> Status:
    with sides.state.connect() as connection:
        return read_status(sides.state, connection)


def accepted(sides: Sides, path: Path, lines: list[dict[str, Any]], *, undo: bool = False) -> set[RowKey]:
    """Accept the rejects of a file; return those of its keys that are none."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with sides.state.connect() as connection:
        return accept(sides.state, connection, identities(AcceptedRows((path,))), not undo)


def is_held_up(sides: Sides) -> bool:
    return any("rows were rejected" in reason for reason in status(sides).gate().reasons)


def open_both_ways(sides: Sides) -> None:
    with sides.state.connect() as connection:
        open_way_back(sides.state, connection, SourceTables(sides.requests, sides.prefix), True, lambda _: None)
        sides.state.set_phase(connection, SYNCING, "test")


def own(sides: Sides, boundary: int) -> None:
    """Let PostgreSQL own the actors below a boundary."""
    with sides.state.connect() as connection:
        connection.execute(sides.state.sql("UPDATE {state}.migration SET boundary = %(b)s"), {"b": boundary})


def apply_all(sides: Sides) -> None:
    """Apply everything in both directions, rejects too."""
    forward = sides.applier()
    backward = sides.opened(BackwardApplier(sides.state, sides.requests, sides.state.connect))
    for _ in range(2):
        sides.select("UPDATE {state}.dirty SET due_at = now() RETURNING 1")
        sides.select("UPDATE {state}.marks SET due_at = now() RETURNING 1")
        sides.read()
        wait_until(lambda: forward.step() + backward.step() == 0)


@pytest.fixture
def synced(sides: Sides, postgres_tables: PostgresTables, set_env: SetEnv) -> Sides:
    set_env(**sides.environment, **postgres_tables.environment)
    sides.prepare()
    sides.scan()
    return sides


def test_rejects_of_postgresql(synced: Sides, tmp_path: Path) -> None:
    synced.create(CLAIMS_V1)
    synced.reader().discover()
    synced.scan()
    attribute = {"id": "a", "bucket_name": "b:c:n", "bucket": "b", "name": 1}
    claim = {"property_name": "email", "value": VALUE, "actor_id": "a"}
    for mapping, document in ((PROPERTIES, ORPHAN), (BY_NAME["attributes"], attribute), (CLAIMS_V1, claim)):
        synced.put(mapping, document)
    synced.catch_up()
    lines = [reject.fields() for reject in rejects(synced)]
    claimed = {"property_name": "email", "lookup_key": compute_lookup_key("email", VALUE)}
    found = {line["table"]: (line["key"], line["rejected_by"], line["accepted"]) for line in lines}
    assert found == {
        "attributes": ({"id": "a", "bucket_name": "b:c:n"}, "postgresql", False),
        "properties": ({"id": "nobody", "name": "n"}, "postgresql", False),
        "property_lookup_v1": (claimed, "postgresql", False),
    }
    assert "secret" not in json.dumps(lines)
    assert VALUE[:-1] not in json.dumps(lines)
    assert is_held_up(synced)
    path = tmp_path / "accepted.ndjson"
    other = {"table": "actors", "key": {"id": "other"}}
    assert accepted(synced, path, [*lines, other]) == {RowKey("actors", "other")}
    assert not is_held_up(synced)
    assert sum(table.accepted for table in status(synced).tables) == 3
    accepted(synced, path, lines[:1], undo=True)
    assert is_held_up(synced)
    with pytest.raises(UsageError, match="line 1: the key is incomplete"):
        accepted(synced, path, [{"table": "attributes", "key": {"id": "a", "bucket": "b"}}])


def test_an_accepted_row_that_changes_is_tried_again(synced: Sides, tmp_path: Path) -> None:
    open_both_ways(synced)
    synced.put(PROPERTIES, ORPHAN)
    synced.catch_up()
    accepted(synced, tmp_path / "accepted.ndjson", [reject.fields() for reject in rejects(synced)])
    synced.put(PROPERTIES, ORPHAN | {"value": "other"})
    synced.read()
    # Nothing may be moved before it was tried, as it may be possible now.
    share = synced.opened(Share(synced.state, synced.requests, synced.state.connect, "test"))
    share.begin(Decimal(100))
    share.fence()
    reader, applier = synced.reader(), synced.applier()
    wait_until(lambda: reader.step() == 0 and share.step(move=False) == Progress(rows=1))
    wait_until(lambda: applier.step() == 0)
    assert [reject.accepted for reject in rejects(synced)] == [True]
    wait_until(lambda: share.step(move=False) == Progress())
    share.abort()
    synced.put(ACTORS, {"id": "nobody", "passphrase": "p"})
    synced.catch_up()
    assert rejects(synced) == []
    assert synced.stored() == synced.expected()


def test_rejects_of_dynamodb(synced: Sides, tmp_path: Path) -> None:
    open_both_ways(synced)
    own(synced, EVERYTHING)
    library = load_backend("postgresql")
    assert library.DbActor.DbActor().create(actor_id="a1", creator="c", passphrase="p")
    applier = synced.opened(BackwardApplier(synced.state, synced.requests, synced.state.connect))
    change: LiteralString = (
        "INSERT INTO {schema}.properties VALUES ('a1', 'n', %(value)s) "
        "ON CONFLICT (id, name) DO UPDATE SET value = excluded.value"
    )

    def write(size: int) -> None:
        with synced.state.connect() as connection:
            connection.execute(synced.state.sql(change), {"value": "x" * size})
        wait_until(lambda: applier.step() == 0)

    write(500_000)
    (reject,) = rejects(synced)
    assert (reject.side, reject.key, reject.accepted) == ("dynamodb", RowKey("properties", "a1", "n"), False)
    assert is_held_up(synced)
    assert accepted(synced, tmp_path / "accepted.ndjson", [reject.fields()]) == set()
    write(600_000)
    (reject,) = rejects(synced)
    assert (reject.accepted, synced.value("SELECT count(*) FROM {state}.marks")) == (True, 1)
    assert not is_held_up(synced)
    write(5)
    assert rejects(synced) == []
    assert [item["value"] for item in synced.documents(PROPERTIES)] == ["x" * 5]


@pytest.mark.parametrize("document", [ORPHAN, {"id": "a1", "name": "n", "value": "\x00"}], ids=["orphan", "nul"])
def test_an_accepted_item_stays_in_dynamodb(synced: Sides, document: dict[str, str], tmp_path: Path) -> None:
    """It is all that there is of the row: a rollback needs it."""
    open_both_ways(synced)
    synced.put(ACTORS, {"id": "a1", "passphrase": "p"})
    synced.put(PROPERTIES, document)
    synced.catch_up()
    lines = [reject.fields() for reject in rejects(synced)]
    accepted(synced, tmp_path / "accepted.ndjson", lines)
    for boundary in (EVERYTHING, 0):
        own(synced, boundary)
        apply_all(synced)
        assert synced.documents(PROPERTIES) == [document]
        assert [(reject.fields()["key"], reject.accepted) for reject in rejects(synced)] == [(lines[0]["key"], True)]
        assert not is_held_up(synced)
        assert synced.select("SELECT * FROM {state}.conflicts") == []
    # A write that comes after the change of the owner is one that should not have been, also of such a row.
    own(synced, EVERYTHING)
    apply_all(synced)
    synced.put(PROPERTIES, document | {"value": "late"})
    apply_all(synced)
    assert (synced.documents(PROPERTIES), rejects(synced)) == ([], [])
    assert [row["value"] for (row,) in synced.select("SELECT other_row FROM {state}.conflicts")] == [{"S": "late"}]


def test_an_accepted_row_stays_in_postgresql(synced: Sides, tmp_path: Path) -> None:
    open_both_ways(synced)
    own(synced, EVERYTHING)
    library = load_backend("postgresql")
    assert library.DbActor.DbActor().create(actor_id="a1", creator="c", passphrase="p")
    assert library.DbProperty.DbProperty().set(actor_id="a1", name="n", value="x" * 500_000)
    apply_all(synced)
    (reject,) = rejects(synced)
    accepted(synced, tmp_path / "accepted.ndjson", [reject.fields()])
    for boundary in (0, EVERYTHING):
        own(synced, boundary)
        apply_all(synced)
        assert synced.select("SELECT name, length(value) FROM {schema}.properties") == [("n", 500_000)]
        assert [(reject.key, reject.accepted) for reject in rejects(synced)] == [(reject.key, True)]
        assert not is_held_up(synced)
        assert synced.select("SELECT * FROM {state}.conflicts") == []
    own(synced, 0)
    apply_all(synced)
    with synced.state.connect() as connection:
        connection.execute(synced.state.sql("UPDATE {schema}.properties SET value = 'late'"))
    apply_all(synced)
    assert synced.select("SELECT * FROM {schema}.properties") == []
    assert [row["value"] for (row,) in synced.select("SELECT other_row FROM {state}.conflicts")] == [{"S": "late"}]


def test_a_reject_that_is_not_accepted_does_not_stay_when_the_owner_changes(synced: Sides, tmp_path: Path) -> None:
    """A cutover waits for such rows; this one is no longer accepted afterwards. Its content is kept in the record."""
    open_both_ways(synced)
    synced.put(PROPERTIES, ORPHAN)
    synced.catch_up()
    lines = [reject.fields() for reject in rejects(synced)]
    accepted(synced, tmp_path / "accepted.ndjson", lines)
    own(synced, EVERYTHING)
    accepted(synced, tmp_path / "accepted.ndjson", lines, undo=True)
    apply_all(synced)
    assert (synced.documents(PROPERTIES), rejects(synced)) == ([], [])
    assert [row["value"] for (row,) in synced.select("SELECT other_row FROM {state}.conflicts")] == [{"S": "secret"}]
