"""Constraints as a cluster reports them: with a shard number after the names of constraint and table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import errors
from psycopg.sql import SQL, Identifier

from actingweb.db.exceptions import DbError, DbUnknownActorError
from actingweb.db.faults import DriverError
from actingweb.db.postgresql.constraints import OWNED, foreign_key, primary_key
from actingweb.db.postgresql.errors import fault_of
from actingweb.db.records import Record
from actingweb.db.registry import Backend

from .conftest import PgConnection

pytestmark = pytest.mark.backends("postgresql")

SHARD = "_102008"

CREATE: dict[str, tuple[str, dict[str, Any]]] = {
    "properties": ("DbProperty.DbProperty.set", {"name": "n", "value": "v"}),
    "property_lookup": ("DbPropertyLookup.DbPropertyLookup.create", {"property_name": "n", "value": "v"}),
    "trusts": ("DbTrust.DbTrust.create", {"peerid": "p"}),
    "peertrustees": ("DbPeerTrustee.DbPeerTrustee.create", {"peerid": "p", "peer_type": "t"}),
    "subscriptions": ("DbSubscription.DbSubscription.create", {"peerid": "p", "subid": "s"}),
    "subscription_diffs": ("DbSubscriptionDiff.DbSubscriptionDiff.create", {"subid": "s", "diff": "d"}),
    "subscription_suspensions": ("DbSubscriptionSuspension.DbSubscriptionSuspension.suspend", {"target": "t"}),
}
"""The call that stores a row for an actor in each table."""


def store(backend: Backend, table: str, actor_id: str) -> object:
    path, arguments = CREATE[table]
    module, kind, method = path.split(".")
    if table == "property_lookup":
        from actingweb.db.postgresql.property_lookup import DbPropertyLookup

        return DbPropertyLookup().create(actor_id=actor_id, **arguments)
    made = getattr(getattr(backend, module), kind)
    if table == "subscription_suspensions":
        return getattr(made(actor_id), method)(**arguments)
    return getattr(made(), method)(actor_id=actor_id, **arguments)


def rename(pg: PgConnection, table: str, constraint: str, other: str) -> None:
    statement = SQL("ALTER TABLE {} RENAME CONSTRAINT {} TO {}")
    pg.execute(statement.format(Identifier(table), Identifier(constraint), Identifier(other)))


@pytest.fixture(params=[False, True], ids=["constraint", "table"])
def sharded(request: pytest.FixtureRequest, pg: PgConnection) -> Iterator[None]:
    """Rename constraints and tables as in a shard, and create views with the names of the tables."""
    names = [record.table for record in OWNED]
    for name in names:
        rename(pg, name, f"fk_{name}_actor", f"fk_{name}_actor{SHARD}")
        if request.param:
            shard = Identifier(name + SHARD)
            pg.execute(SQL("ALTER TABLE {} RENAME TO {}").format(Identifier(name), shard))
            pg.execute(SQL("CREATE VIEW {} AS SELECT * FROM {}").format(Identifier(name), shard))
    yield
    for name in names:
        if request.param:
            shard = Identifier(name + SHARD)
            pg.execute(SQL("DROP VIEW {}").format(Identifier(name)))
            pg.execute(SQL("ALTER TABLE {} RENAME TO {}").format(shard, Identifier(name)))
        rename(pg, name, f"fk_{name}_actor{SHARD}", f"fk_{name}_actor")


def test_every_table_of_an_actors_rows_is_tried() -> None:
    assert set(CREATE) == {record.table for record in OWNED}


@pytest.mark.parametrize("table", CREATE)
def test_an_unknown_actor_is_known_by_the_shard_of_a_constraint(table: str, backend: Backend, sharded: None) -> None:
    with pytest.raises(DbUnknownActorError, match="unknown actor") as raised:
        store(backend, table, "nobody")
    cause = raised.value.__cause__
    assert isinstance(cause, DriverError)
    assert str(cause) == f"ForeignKeyViolation 23503 fk_{table}_actor"


@pytest.mark.parametrize("table", CREATE)
def test_rows_of_an_actor_are_stored_in_a_shard(table: str, backend: Backend, actor_id: str, sharded: None) -> None:
    assert store(backend, table, actor_id) is True


@pytest.mark.parametrize(
    ("table", "name"), [("notes", "fk_notes_actor"), ("notes", "fk_properties_actor"), ("Properties_", "fk_x_actor")]
)
def test_a_key_of_an_applications_own_table_is_no_unknown_actor(
    table: str, name: str, backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    """Its rows keep the actor from being deleted."""
    create = SQL("CREATE TABLE {} (actor varchar CONSTRAINT {} REFERENCES actors (id))")
    pg.execute(create.format(Identifier(table), Identifier(name)))
    pg.execute(SQL("INSERT INTO {} VALUES (%s)").format(Identifier(table)), [actor_id])
    try:
        actor = backend.DbActor.DbActor()
        assert actor.get(actor_id)
        with pytest.raises(DbError) as raised:
            actor.delete()
        assert type(raised.value) is DbError
    finally:
        pg.execute(SQL("DROP TABLE {}").format(Identifier(table)))


def test_a_key_to_something_else_is_no_unknown_actor(backend: Backend, actor_id: str, pg: PgConnection) -> None:
    pg.execute("CREATE TABLE peers (id varchar PRIMARY KEY)")
    pg.execute("ALTER TABLE trusts ADD CONSTRAINT fk_trusts_actor_peers FOREIGN KEY (peerid) REFERENCES peers (id)")
    try:
        with pytest.raises(DbError) as raised:
            store(backend, "trusts", actor_id)
        assert type(raised.value) is DbError
    finally:
        pg.execute("DROP TABLE peers CASCADE")


class Reported(errors.ForeignKeyViolation):
    """An error with these fields."""

    def __init__(self, message: str, constraint: str | None = None, table: str | None = None) -> None:
        super().__init__(message)
        self._fields = {"message_primary": message, "constraint_name": constraint, "table_name": table}

    @property
    def diag(self) -> Any:
        return type("Diagnostic", (), self._fields)


@pytest.mark.parametrize("record", OWNED)
@pytest.mark.parametrize("quotes", ['"{}"', "»{}«", "„{}“", "« {} »"])
def test_where_the_fields_are_not_handed_on_the_name_in_the_message_counts(record: type[Record], quotes: str) -> None:
    """As a coordinator reports the message of another server, in any language."""
    quoted = quotes.format(f"{foreign_key(record)}{SHARD}")
    fault = fault_of(Reported(f"verletzt Fremdschlüssel-Constraint {quoted}"))
    assert fault.error is DbUnknownActorError
    assert str(fault.cause) == f"Reported 23503 {foreign_key(record)}"


@pytest.mark.parametrize("name", ["fk_notes_actor", "my_fk_trusts_actor", "fk_trusts_actor_x", "fk_trusts_actor1"])
def test_another_name_in_the_message_is_no_unknown_actor(name: str) -> None:
    assert fault_of(Reported(f'violates foreign key constraint "{name}"')).error is DbError
    assert fault_of(Reported("", name, "trusts")).error is DbError


def test_the_number_of_a_shard_is_taken_off_the_names_of_the_layout_only() -> None:
    for record in OWNED:
        assert str(fault_of(Reported("", f"{primary_key(record)}{SHARD}")).cause).endswith(f" {primary_key(record)}")
    assert str(fault_of(Reported("", "mine_1")).cause).endswith(" mine_1")
