"""A missing right is named, with its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import LiteralString

import pytest

from actingweb.db import DbError, load_backend, transaction
from actingweb.db.registry import Backend
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv

from .conftest import Place
from .roles import Role, login_role

Call = Callable[[Backend], object]
DENIED = "permission denied: GRANT the role "


@pytest.fixture
def role(place: Place, postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Role]:
    """Return the role of the settings, which may do everything with the tables but own them."""
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a1', 'me', '')")
    set_env(DATABASE_BACKEND="postgresql")
    with login_role(place, postgres_server, set_env) as made:
        yield made


def reason_of(call: Call) -> str:
    with pytest.raises(DbError) as raised:
        call(load_backend())
    assert type(raised.value) is DbError
    return str(raised.value.reason)


def read(library: Backend) -> object:
    return library.DbTrust.DbTrust().get("a1", "p1")


def write(library: Backend) -> object:
    return library.DbTrust.DbTrust().create("a1", "p1")


def delete(library: Backend) -> object:
    trusts = library.DbTrust.DbTrustList()
    trusts.fetch("a1")
    return trusts.delete()


def index(library: Backend) -> object:
    return library.DbProperty.DbProperty().set("a1", "email", "me@example.com")


CASES: dict[str, tuple[LiteralString, Call, str]] = {
    "select": ("REVOKE SELECT ON trusts FROM {role}", read, "SELECT on trusts"),
    "insert": ("REVOKE INSERT ON trusts FROM {role}", write, "INSERT on trusts"),
    "update": ("REVOKE UPDATE ON trusts FROM {role}", write, "UPDATE on trusts"),
    "delete": ("REVOKE DELETE ON trusts FROM {role}", delete, "DELETE on trusts"),
    "another table": ("REVOKE INSERT ON property_lookup FROM {role}", index, "INSERT on property_lookup"),
    "all of a table": ("REVOKE ALL ON trusts FROM {role}", read, "DELETE, INSERT, SELECT, UPDATE on trusts"),
    "several tables": (
        "REVOKE SELECT ON trusts, peertrustees FROM {role}",
        read,
        "SELECT on peertrustees, trusts",
    ),
    "different rights": (
        "REVOKE SELECT ON trusts FROM {role}; REVOKE DELETE ON actors FROM {role}",
        read,
        "DELETE on actors; SELECT on trusts",
    ),
    "schema": ("REVOKE USAGE ON SCHEMA {schema} FROM {role}", read, "USAGE on the schema"),
    "columns": (
        "REVOKE SELECT ON trusts FROM {role}; GRANT SELECT (id, peerid) ON trusts TO {role}",
        read,
        "SELECT (approved, ",
    ),
}


@pytest.mark.parametrize(("change", "call", "right"), CASES.values(), ids=list(CASES))
def test_what_is_missing_is_named(role: Role, change: LiteralString, call: Call, right: str) -> None:
    role.run(*change.split("; "))
    reason = reason_of(call)
    assert reason.startswith(DENIED + right)
    if not right.endswith(", "):
        assert reason == DENIED + right


def test_rights_on_columns_are_as_good_as_those_on_the_table(role: Role) -> None:
    role.run(
        "REVOKE SELECT ON peertrustees, trusts FROM {role}",
        "GRANT SELECT (id, peerid, baseuri, type, passphrase) ON peertrustees TO {role}",
    )
    assert reason_of(read) == DENIED + "SELECT on trusts"


def test_a_right_that_comes_back_is_enough(role: Role) -> None:
    role.run("REVOKE SELECT ON trusts FROM {role}")
    assert reason_of(read) == DENIED + "SELECT on trusts"
    role.run("GRANT SELECT ON trusts TO PUBLIC")
    assert read(load_backend()) is None


def test_in_a_transaction(role: Role, set_env: SetEnv) -> None:
    """Without a second connection there is a reason too."""
    role.run("REVOKE SELECT ON trusts FROM {role}")
    for size, right in (("2", "SELECT on trusts"), ("1", "SELECT, INSERT, UPDATE and DELETE on the tables")):
        set_env(PG_POOL_MAX_SIZE=size, PG_POOL_MIN_SIZE="1")
        with pytest.raises(DbError) as raised, transaction():
            read(load_backend())
        assert raised.value.reason == DENIED + right


def test_a_row_that_a_policy_refuses(role: Role) -> None:
    role.run("ALTER TABLE trusts ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON trusts USING (peerid <> 'p1')")
    assert "policies of row-level security" in reason_of(write)
