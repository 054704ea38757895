"""The roles of `deploy/postgresql/roles.sql`: what each may do, and what the application may not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy.exc import ProgrammingError

from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.postgresql.schema import build_metadata
from actingweb.db.registry import load_backend
from actingweb.db.settings import Settings
from actingweb.embedded import postgres
from actingweb.migration.errors import UsageError
from actingweb.migration.live.state import FROM_POSTGRESQL, State
from actingweb.migration.live.triggers import drop_triggers, install_triggers
from actingweb.migration.target.connection import Target
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.contract.support.calls import ready
from tests.migration.loads import DOCUMENTS, expected, load, stored, write_input
from tests.migration.validation import validate
from tests.schema.databases import BYTE_ORDER, database
from tests.support import new_id

Connection = psycopg.Connection[tuple[Any, ...]]

ROLES = Path(__file__).parents[2] / "deploy" / "postgresql" / "roles.sql"
SCHEMA = "Any-schema"
PASSWORD = "a pass'word"

FORBIDDEN: list[LiteralString] = [
    "CREATE TABLE {schema}.more (id text)",
    "CREATE TABLE public.more (id text)",
    "CREATE TEMP TABLE more (id text)",
    "CREATE SCHEMA more",
    "CREATE VIEW {schema}.more AS SELECT 1",
    "CREATE FUNCTION {schema}.more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX ON {schema}.actors (passphrase)",
    "CREATE TRIGGER more AFTER INSERT ON {schema}.actors EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE {schema}.actors ADD COLUMN more text",
    "ALTER TABLE {schema}.actors RENAME TO more",
    "ALTER TABLE {schema}.actors OWNER TO {application}",
    "ALTER TABLE {schema}.trusts DISABLE TRIGGER USER",
    "ALTER SCHEMA {schema} OWNER TO {application}",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {migration} GRANT ALL ON TABLES TO {application}",
    "DROP TABLE {schema}.trusts",
    "DROP SCHEMA {schema} CASCADE",
    "TRUNCATE {schema}.trusts",
    "COMMENT ON TABLE {schema}.trusts IS 'mine'",
    "UPDATE {schema}.alembic_version SET version_num = 'other'",
    "DELETE FROM {schema}.alembic_version",
    "SET ROLE {migration}",
    "CREATE ROLE more",
    "SELECT pg_read_file('PG_VERSION')",
]


@dataclass(frozen=True)
class Setup:
    """A database with the two roles, or about to have them."""

    server: PostgresTarget
    application: str
    migration: str

    def run_script(self, administrator: str | None = None) -> None:
        """Run roles.sql as the superuser, or as an administrator whose password is PASSWORD."""
        names = {"application_role": self.application, "migration_role": self.migration, "schema": SCHEMA}
        variables = [part for name, value in names.items() for part in ("-v", f"{name}={value}")]
        facts = self.server.environment
        user, password = (administrator, PASSWORD) if administrator else (facts["PG_DB_USER"], facts["PG_DB_PASSWORD"])
        place = ["-h", facts["PG_DB_HOST"], "-p", facts["PG_DB_PORT"], "-d", facts["PG_DB_NAME"], "-U", user]
        command = [_psql(), "-X", *place, *variables, "-f", str(ROLES)]
        environment = {"PGPASSWORD": password, "PATH": "/usr/bin:/bin"}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        for role in (self.application, self.migration):
            self.execute("ALTER ROLE {} PASSWORD {}", Identifier(role), Literal(PASSWORD))

    def execute(self, statement: LiteralString, *parts: Any) -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser."""
        with self.server.connect() as connection:
            cursor = connection.execute(SQL(statement).format(*parts))
            return cursor.fetchall() if cursor.description else []

    def connect(self, role: str) -> Connection:
        """Connect as a role."""
        return psycopg.connect(self.conninfo(role), autocommit=True)

    def conninfo(self, role: str) -> str:
        """Return how a role connects."""
        return make_conninfo(self.server._conninfo(), user=role, password=PASSWORD)

    def settings(self, role: str) -> dict[str, str | None]:
        """Return the settings of an application that logs in as a role; Alembic is the migration role."""
        facts = {**self.server.environment, "PG_DB_USER": role, "PG_DB_PASSWORD": PASSWORD}
        migration = self.conninfo(self.migration)
        return {**facts, "PG_DB_PREFIX": "", "PG_DB_SCHEMA": SCHEMA, "PG_MIGRATION_URL": migration}

    def target(self, role: str) -> Target:
        """Return the target of an import by a role."""
        return Target(Settings.from_environment({k: v for k, v in self.settings(role).items() if v}).postgresql)


@pytest.fixture
def setup(postgres_server: PostgresTarget) -> Iterator[Setup]:
    """Return a new database, and names of roles that do not exist yet."""
    number = new_id()[:10]
    with database(postgres_server, BYTE_ORDER) as server:
        assert server is not None
        made = Setup(server, f'application "{number}', f"migration '{number}")
        yield made
        for role in (made.application, made.migration, f"administrator {number}"):
            if made.execute("SELECT oid FROM pg_roles WHERE rolname = {}", Literal(role)):
                made.execute("ALTER DATABASE {} OWNER TO CURRENT_USER", Identifier(server.environment["PG_DB_NAME"]))
                made.execute("DROP OWNED BY {} CASCADE", Identifier(role))
        for role in (made.application, made.migration, f"administrator {number}"):
            made.execute("DROP ROLE IF EXISTS {}", Identifier(role))


def _nothing(setup: Setup, set_env: SetEnv) -> None:
    setup.run_script()


def _an_ordinary_administrator(setup: Setup, set_env: SetEnv) -> None:
    """The roles are made by one who owns the database and may make roles, as with hosted servers."""
    administrator = f"administrator {setup.application[-10:]}"
    setup.execute("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}", Identifier(administrator), Literal(PASSWORD))
    name = Identifier(setup.server.environment["PG_DB_NAME"])
    setup.execute("ALTER DATABASE {} OWNER TO {}", name, Identifier(administrator))
    setup.run_script(administrator)


def _a_role_that_did_everything(setup: Setup, set_env: SetEnv) -> None:
    """The tables are there, and database, schema and tables are the application role's, which is a superuser."""
    application = Identifier(setup.application)
    setup.execute("CREATE ROLE {} LOGIN SUPERUSER PASSWORD {}", application, Literal(PASSWORD))
    name = Identifier(setup.server.environment["PG_DB_NAME"])
    setup.execute("ALTER DATABASE {} OWNER TO {}", name, application)
    setup.execute("GRANT ALL PRIVILEGES ON DATABASE {} TO {}", name, application)
    set_env(**setup.settings(setup.application) | {"PG_MIGRATION_URL": None})
    upgrade("e5f6a7b8c9d0")
    setup.execute("GRANT ALL ON ALL TABLES IN SCHEMA {} TO PUBLIC", Identifier(SCHEMA))
    setup.run_script()


def _the_script_twice(setup: Setup, set_env: SetEnv) -> None:
    setup.run_script()
    set_env(**setup.settings(setup.application))
    upgrade()
    setup.execute("GRANT {} TO {}", Identifier(setup.migration), Identifier(setup.application))
    setup.execute("GRANT ALL ON SCHEMA {} TO PUBLIC", Identifier(SCHEMA))
    setup.run_script()


@pytest.fixture(params=[_nothing, _an_ordinary_administrator, _a_role_that_did_everything, _the_script_twice])
def deployed(request: pytest.FixtureRequest, setup: Setup, set_env: SetEnv) -> Setup:
    """Return a database that the migration role has upgraded; the settings are the application's."""
    prepare: Callable[[Setup, SetEnv], None] = request.param
    prepare(setup, set_env)
    set_env(**setup.settings(setup.application))
    upgrade()
    return setup


def test_the_application_can_all_that_it_needs(deployed: Setup) -> None:
    backend = load_backend("postgresql")
    assert backend.DbActor.DbActor().create(actor_id="a", creator="a@example.com")
    for call in ready(backend, "a").values():
        call()


def test_the_application_cannot_alter_the_schema(deployed: Setup) -> None:
    names = {"schema": SCHEMA, "application": deployed.application, "migration": deployed.migration}
    parts = {name: Identifier(text) for name, text in names.items()}
    with deployed.connect(deployed.application) as connection:
        for statement in FORBIDDEN:
            try:
                connection.execute(SQL(statement).format(**parts))
            except psycopg.errors.InsufficientPrivilege:
                continue
            pytest.fail(f"allowed: {statement}")


def test_the_application_cannot_pass_its_rights_on(deployed: Setup) -> None:
    """The server does not refuse the statement, since the role has rights to the table; it does nothing."""
    trusts = Identifier(SCHEMA, "trusts")
    rights = "SELECT relacl::text FROM pg_class WHERE oid = {}::regclass"
    before = deployed.execute(rights, Literal(trusts.as_string()))
    with deployed.connect(deployed.application) as connection:
        connection.execute(SQL("GRANT ALL ON {} TO PUBLIC").format(trusts))
    assert deployed.execute(rights, Literal(trusts.as_string())) == before


def test_tables_of_later_migrations_are_open_to_the_application(deployed: Setup) -> None:
    with deployed.connect(deployed.migration) as owner:
        owner.execute(SQL("CREATE TABLE {} (id text)").format(Identifier(SCHEMA, "later")))
    with deployed.connect(deployed.application) as connection:
        later = Identifier(SCHEMA, "later")
        connection.execute(SQL("INSERT INTO {} VALUES ('a')").format(later))
        connection.execute(SQL("UPDATE {} SET id = 'b'").format(later))
        assert connection.execute(SQL("DELETE FROM {} RETURNING id").format(later)).fetchall() == [("b",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(SQL("DROP TABLE {}").format(later))


def test_the_migration_role_owns_everything(deployed: Setup) -> None:
    owners = deployed.execute(
        "SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = {}::regnamespace",
        Literal(Identifier(SCHEMA).as_string()),
    )
    assert {owner for _, owner in owners} == {deployed.migration}
    assert {name for name, _ in owners} >= {*build_metadata(None).tables, "alembic_version"}
    assert deployed.execute("SELECT rolsuper FROM pg_roles WHERE rolname = {}", Literal(deployed.migration)) == [
        (False,)
    ]


def test_other_roles_get_nothing(deployed: Setup) -> None:
    stranger = f"administrator {deployed.application[-10:]}x"
    deployed.execute("CREATE ROLE {} LOGIN PASSWORD {}", Identifier(stranger), Literal(PASSWORD))
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            deployed.connect(stranger)
    finally:
        deployed.execute("DROP ROLE {}", Identifier(stranger))


def test_the_application_cannot_upgrade(setup: Setup, set_env: SetEnv) -> None:
    setup.run_script()
    set_env(**setup.settings(setup.application))
    upgrade("e5f6a7b8c9d0")
    set_env(PG_MIGRATION_URL=None)
    with pytest.raises(ProgrammingError, match="InsufficientPrivilege"):
        upgrade()
    set_env(**setup.settings(setup.application))
    upgrade()


def test_the_migration_role_imports_and_validates(deployed: Setup, tmp_path: Path) -> None:
    directory = write_input(tmp_path / "files", DOCUMENTS)
    with pytest.raises(
        UsageError, match=rf'lacks CREATE on schema "{SCHEMA}"; TEMPORARY on database ".*": as the owner'
    ):
        load(deployed.target(deployed.application), directory)
    target = deployed.target(deployed.migration)
    load(target, directory)
    assert stored(target) == expected(DOCUMENTS)
    assert validate(target, directory).differences == 0
    with pytest.raises(UsageError, match="lacks TEMPORARY on database"):
        validate(deployed.target(deployed.application), directory)


def test_the_migration_role_migrates_live(deployed: Setup) -> None:
    """Writes of the application are marked, though it can neither read nor write the state."""
    state = State(deployed.target(deployed.migration))
    with state.connect() as connection:
        options: dict[str, Any] = {"prefix": "", "region": None, "endpoint": None, "options": {}, "by": "me"}
        state.create(connection, direction=FROM_POSTGRESQL, **options)
        install_triggers(state, connection)
    backend = load_backend("postgresql")
    assert backend.DbActor.DbActor().create(actor_id="a", creator="a@example.com")
    marks = SQL("SELECT hash FROM {}").format(Identifier(state.name, "marks"))
    with deployed.connect(deployed.application) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(marks)
    with state.connect() as connection:
        assert connection.execute(marks).fetchall() == [("a",)]
        drop_triggers(state, connection)
        state.drop(connection)
    assert backend.DbActor.DbActor().create(actor_id="b", creator="b@example.com")


def _psql() -> str:
    wheel = postgres._wheel_directory()
    own = None if wheel is None else wheel / "pginstall" / "bin" / "psql"
    return str(own) if own is not None and own.exists() else shutil.which("psql") or pytest.fail("there is no psql")
