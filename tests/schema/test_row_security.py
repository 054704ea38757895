"""Row-level security that hides all rows is found at the start, a policy for the role is the operator's choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import pytest
from alembic.util import CommandError

from actingweb.db import DbError, DbSchemaError, load_backend
from actingweb.db.postgresql.connection import close_pool
from actingweb.db.registry import Backend
from actingweb.db.settings import Settings
from actingweb.migration.errors import UsageError
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv

from .conftest import BASELINE, Place
from .roles import Role, login_role

EVERY = ("DELETE", "INSERT", "SELECT", "UPDATE")


@pytest.fixture
def role(place: Place, postgres_server: PostgresTarget, set_env: SetEnv) -> Iterator[Role]:
    """Return the role of the settings, which may do everything with the tables but own them."""
    place.upgrade()
    place.execute("INSERT INTO actors VALUES ('a1', 'me', '')")
    place.execute("INSERT INTO trusts SELECT 'a1', 'p1', '', '', '', '', '', true, true, true")
    set_env(DATABASE_BACKEND="postgresql")
    with login_role(place, postgres_server, set_env) as made:
        yield made


@pytest.fixture
def library(role: Role) -> Backend:
    """Return the backend, as the role."""
    return load_backend()


def hidden(library: Backend) -> str:
    """Return what a first read says; another read of another table says the same."""
    close_pool()
    reasons = set()
    with pytest.raises(DbSchemaError) as raised:
        library.DbActor.DbActor().get("a1")
    reasons.add(str(raised.value.reason))
    with pytest.raises(DbSchemaError) as raised:
        library.DbTrust.DbTrust().get("a1", "p1")
    reasons.add(str(raised.value.reason))
    (reason,) = reasons
    assert "CREATE POLICY" in reason
    assert "BYPASSRLS" in reason
    return reason


def shown(library: Backend) -> bool:
    """Tell whether rows are read, by a new pool."""
    close_pool()
    return library.DbActor.DbActor().get("a1") is not None and library.DbTrust.DbTrust().get("a1", "p1") is not None


@pytest.mark.parametrize("table", ["actors", "trusts", "property_lookup", "attributes"])
def test_one_table_without_a_policy(role: Role, library: Backend, table: LiteralString) -> None:
    assert shown(library)
    role.run("ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY")
    assert f"{', '.join(EVERY)} on {table}, so" in hidden(library)


def test_several_tables_are_all_named(role: Role, library: Backend) -> None:
    role.run("ALTER TABLE actors ENABLE ROW LEVEL SECURITY", "ALTER TABLE trusts ENABLE ROW LEVEL SECURITY")
    assert f"{', '.join(EVERY)} on actors, trusts, so" in hidden(library)


@pytest.mark.parametrize("command", EVERY)
def test_a_policy_for_all_commands_but_one(role: Role, library: Backend, command: str) -> None:
    """An update or delete without a policy finds no row, which would read as "absent"."""
    role.run("ALTER TABLE trusts ENABLE ROW LEVEL SECURITY")
    policies: dict[str, LiteralString] = {
        "SELECT": "CREATE POLICY s ON trusts FOR SELECT TO {role} USING (true)",
        "INSERT": "CREATE POLICY i ON trusts FOR INSERT TO {role} WITH CHECK (true)",
        "UPDATE": "CREATE POLICY u ON trusts FOR UPDATE TO {role} USING (true)",
        "DELETE": "CREATE POLICY d ON trusts FOR DELETE TO {role} USING (true)",
    }
    role.run(*(text for name, text in policies.items() if name != command))
    assert f" {command} on trusts, so" in hidden(library)
    role.run(policies[command])
    assert shown(library)


def test_a_command_that_the_role_may_not_run_needs_no_policy(role: Role, library: Backend) -> None:
    """The server refuses it aloud."""
    role.run(
        "ALTER TABLE trusts ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY s ON trusts FOR SELECT USING (true)",
        "REVOKE INSERT, UPDATE, DELETE ON trusts FROM {role}",
    )
    assert shown(library)


USELESS: dict[str, tuple[LiteralString, ...]] = {
    "of another role": ("CREATE POLICY p ON trusts TO pg_monitor USING (true)",),
    "restrictive only": ("CREATE POLICY p ON trusts AS RESTRICTIVE USING (true)",),
    "of another table": ("CREATE POLICY p ON actors USING (true)",),
}
USEFUL: dict[str, tuple[LiteralString, ...]] = {
    "for everybody": ("CREATE POLICY p ON trusts USING (true)",),
    "for the role": ("CREATE POLICY p ON trusts TO {role} USING (true)",),
    "for the role among others": ("CREATE POLICY p ON trusts TO pg_monitor, {role} USING (true)",),
    "for a role that it is a member of": (
        "GRANT pg_monitor TO {role}",
        "CREATE POLICY p ON trusts TO pg_monitor USING (true)",
    ),
    "owner": (
        "GRANT CREATE ON SCHEMA {schema} TO {role}",
        "ALTER TABLE trusts OWNER TO {role}",
    ),
    "bypass": ("ALTER ROLE {role} BYPASSRLS",),
    "superuser": ("ALTER ROLE {role} SUPERUSER",),
    "with a condition that holds for all": ("CREATE POLICY p ON trusts USING (id <> '')",),
}


@pytest.mark.parametrize("statements", USELESS.values(), ids=list(USELESS))
def test_a_policy_that_is_not_the_role_s(role: Role, library: Backend, statements: tuple[LiteralString, ...]) -> None:
    role.run("ALTER TABLE trusts ENABLE ROW LEVEL SECURITY", *statements)
    assert "on trusts, so" in hidden(library)


@pytest.mark.parametrize("statements", USEFUL.values(), ids=list(USEFUL))
def test_a_role_that_sees_rows(role: Role, library: Backend, statements: tuple[LiteralString, ...]) -> None:
    role.run("ALTER TABLE trusts ENABLE ROW LEVEL SECURITY")
    assert "on trusts, so" in hidden(library)
    role.run(*statements)
    assert shown(library)


def test_the_owner_where_it_is_forced(role: Role, library: Backend) -> None:
    role.run(*USEFUL["owner"], "ALTER TABLE trusts ENABLE ROW LEVEL SECURITY")
    assert shown(library)
    role.run("ALTER TABLE trusts FORCE ROW LEVEL SECURITY")
    assert "on trusts, so" in hidden(library)


def test_policies_that_are_not_switched_on_count_for_nothing(role: Role, library: Backend) -> None:
    role.run("CREATE POLICY p ON trusts TO pg_monitor USING (true)", "ALTER TABLE trusts FORCE ROW LEVEL SECURITY")
    assert shown(library)


def test_a_hidden_revision(role: Role, library: Backend) -> None:
    """It would read as a schema that nobody made."""
    role.run("ALTER TABLE alembic_version ENABLE ROW LEVEL SECURITY")
    assert "SELECT on alembic_version, so" in hidden(library)
    role.run("CREATE POLICY s ON alembic_version FOR SELECT USING (true)")
    assert shown(library)


def test_a_table_that_is_not_ours(role: Role, library: Backend) -> None:
    role.run("CREATE TABLE other (id text)", "ALTER TABLE other ENABLE ROW LEVEL SECURITY")
    assert shown(library)


def test_it_is_looked_for_again_after_a_refusal(role: Role, library: Backend) -> None:
    """Switched on later, it is found by the next pool, and by the first statement that the server refuses."""
    assert shown(library)
    role.run("ALTER TABLE trusts ENABLE ROW LEVEL SECURITY")
    with pytest.raises(DbError, match=r"SELECT, UPDATE on trusts, so"):
        library.DbTrust.DbTrust().create("a1", "p2")
    with pytest.raises(DbSchemaError, match=r"SELECT, UPDATE on trusts, so"):
        library.DbTrust.DbTrust().get("a1", "p1")


def test_the_migration_tool(role: Role, library: Backend) -> None:
    target = Target(Settings.from_environment().postgresql)
    with target.connect() as connection:
        target.check_revision(connection)
        role.run("ALTER TABLE attributes ENABLE ROW LEVEL SECURITY")
        for check in (target.check, target.check_revision):
            with pytest.raises(UsageError, match=r"row-level security has no policy.* on attributes, so"):
                check(connection)
        role.run("CREATE POLICY p ON attributes USING (true)")
        target.check_revision(connection)


def test_an_upgrade_that_would_not_see_the_rows(place: Place, postgres_server: PostgresTarget, set_env: SetEnv) -> None:
    place.upgrade(BASELINE)
    with login_role(place, postgres_server, set_env) as role:
        role.run(
            "GRANT ALL ON SCHEMA {schema} TO {role}",
            "ALTER TABLE properties OWNER TO {role}",
            "ALTER TABLE properties ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE properties FORCE ROW LEVEL SECURITY",
        )
        layout = place.layout()
        with pytest.raises(CommandError, match=r"row-level security has no policy.* on properties, so"):
            place.upgrade()
        assert place.layout() == layout
