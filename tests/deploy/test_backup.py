"""The commands of docs/deployment.md: those for backups are run, the others compared with what AWS knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import psycopg
import pytest
from botocore import xform_name
from psycopg.sql import SQL, Identifier, Literal

from actingweb.db import get_actor, get_attribute, get_property, get_trust, load_backend
from actingweb.db.postgresql.schema import build_metadata
from actingweb.embedded.postgres import PostgresServer
from testbed.servers import DynamoDBTables
from tests import forked
from tests.conftest import SetEnv
from tests.guide.blocks import Block, blocks
from tests.guide.reader import SUPERUSER_PASSWORD, name_superuser, superuser_conninfo
from tests.supply.packages import ROOT

PAGE = ROOT / "docs" / "deployment.md"
BLOCKS = blocks(PAGE)
MIGRATION, APPLICATION = "migration's own", "application's own"
RUN = ("back up", "restore", "check", "export", "import", "signs a token")


def block(mark: str) -> Block:
    """Return the block with a mark."""
    (found,) = (one for one in BLOCKS if one.mark == mark)
    return found


def parameters() -> dict[str, str]:
    """Return the parameters of the page that are PostgreSQL's own."""
    rows = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    return {name: value for name, value in rows if "." not in name and name != "shared_preload_libraries"}


class Operator:
    """Whoever follows the page, in a directory of their own."""

    def __init__(self, home: Path, server: PostgresServer) -> None:
        self.home = home
        self.server = server
        programs = Path(os.readlink(f"/proc/{server.pid}/exe")).parent
        self.environment = {
            "HOME": str(home),
            "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.connection.port),
        }
        (home / "deploy").symlink_to(ROOT / "deploy")
        passwords = {"postgres": SUPERUSER_PASSWORD, "actingweb_migration": MIGRATION}
        file = home / ".pgpass"
        file.touch(0o600)
        file.write_text("".join(f"*:*:*:{user}:{password}\n" for user, password in passwords.items()))

    def settings(self, user: str, password: str, database: str = "actingweb") -> dict[str, str]:
        """Return the settings of a role."""
        return {
            "DATABASE_BACKEND": "postgresql",
            "PG_DB_HOST": "127.0.0.1",
            "PG_DB_PORT": self.environment["PGPORT"],
            "PG_DB_NAME": database,
            "PG_DB_USER": user,
            "PG_DB_PASSWORD": password,
        }

    def run(self, commands: str) -> None:
        """Run commands in a shell, on the server of the test instead of that of the page."""
        commands = re.sub("^export PGHOST=.*\n", "", commands)
        shell = ["bash", "-euo", "pipefail", "-c", commands]
        done = subprocess.run(shell, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def run_tool(self, commands: str, settings: Mapping[str, str]) -> str:
        """Run lines of `[NAME=VALUE] actingweb-db ...`; return what they print."""
        printed = ""
        for line in commands.splitlines():
            before, _, arguments = line.partition("actingweb-db ")
            variables = {**self.environment, **settings, **dict(one.split("=") for one in before.split())}
            done = forked.run(["-m", "actingweb_db", *arguments.split()], self.home, variables)
            assert done.returncode == 0, done.stdout + done.stderr
            printed += done.stdout
        return printed

    def rows(self, database: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables."""
        tables = [table.name for table in build_metadata(None).sorted_tables]
        with psycopg.connect(superuser_conninfo(self.server), dbname=database) as connection:
            return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in tables}


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Set up a server with the page's parameters, and a database with the two roles and the schema."""
    with PostgresServer(fsync=False, settings=parameters()) as server:
        name_superuser(server)
        operator = Operator(tmp_path_factory.mktemp("operator"), server)
        operator.run(
            "createdb --username=postgres --template=template0 --locale=C --encoding=UTF8 actingweb\n"
            "psql --username=postgres --dbname=actingweb --quiet --file=deploy/postgresql/roles.sql\n"
        )
        with psycopg.connect(superuser_conninfo(server)) as connection:
            for role, password in (("actingweb", APPLICATION), ("actingweb_migration", MIGRATION)):
                connection.execute(SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal(password)))
        operator.run_tool("actingweb-db schema upgrade", operator.settings("actingweb_migration", MIGRATION))
        yield operator


def test_the_server_takes_the_parameters(operator: Operator) -> None:
    assert len(parameters()) > 10
    with psycopg.connect(superuser_conninfo(operator.server)) as connection:
        for name, value in parameters().items():
            found = connection.execute("SELECT setting FROM pg_settings WHERE name = %s", [name]).fetchone()
            assert found == (value,), name


def write_an_actor(actor_id: str) -> None:
    """Store an actor with something in several tables."""
    config = load_backend()
    get_actor(config).create(actor_id=actor_id, creator="Åsa 'x'", passphrase="pass\\phrase\t")
    get_property(config).set(actor_id=actor_id, name="email", value=f"{actor_id}@example.com")
    get_trust(config).create(actor_id=actor_id, peerid="peer", relationship="friend", secret="geheim\n")
    get_attribute(config).set_attr(
        actor_id=actor_id, bucket="b", name="n", data={"a": [1, None, "é"]}, ttl_seconds=9999
    )


def test_a_dump_restores_every_row_and_right(operator: Operator, set_env: SetEnv) -> None:
    set_env(**operator.settings("actingweb", APPLICATION))
    write_an_actor("alice")
    before = operator.rows("actingweb")
    assert sum(map(bool, before.values())) == 5
    operator.run(block("back up").text)
    assert (operator.home / "actingweb.dump").stat().st_mode & 0o077 == 0
    set_env()
    operator.run("dropdb --username=postgres --force actingweb")
    operator.run(block("restore").text)
    assert operator.rows("restored") == before
    shown = operator.run_tool(block("check").text, operator.settings("actingweb", APPLICATION))
    assert "with every table, column and index of this release" in shown
    set_env(**operator.settings("actingweb", APPLICATION, "restored"))
    write_an_actor("bob")
    assert get_property(load_backend()).get_actor_id_from_property("email", "alice@example.com") == "alice"
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(
            superuser_conninfo(operator.server), dbname="restored", user="actingweb", password=APPLICATION
        ) as connection,
    ):
        connection.execute("DROP TABLE trusts")
    set_env()


def test_an_export_of_dynamodb_is_loaded_into_postgresql(
    operator: Operator, dynamodb_tables: DynamoDBTables, set_env: SetEnv
) -> None:
    set_env(**dynamodb_tables.environment, DATABASE_BACKEND="dynamodb")
    write_an_actor("carol")
    operator.run_tool(block("export").text, dynamodb_tables.environment)
    dynamodb_tables.wipe()
    operator.run("createdb --username=postgres --owner=actingweb_migration --template=template0 --locale=C imported")
    settings = operator.settings("actingweb_migration", MIGRATION, "imported")
    operator.run_tool(block("import").text, settings)
    set_env(**settings)
    assert get_property(load_backend()).get_actor_id_from_property("email", "carol@example.com") == "carol"
    set_env()


def test_no_command_has_a_password() -> None:
    for one in BLOCKS:
        assert not re.search(r"--password|PGPASSWORD=|PG_DB_PASSWORD=|://\S+:\S+@", one.text), one


def test_a_token_is_signed_without_a_request(operator: Operator) -> None:
    """The last line, which prints it, is not on the page."""
    program = block("signs a token").text + (
        "print(rds.generate_db_auth_token(DBHostname=writer, Port=5432, DBUsername='actingweb'))\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
    command = [sys.executable, "-c", program]
    environment = {**operator.environment, **keys}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("actingweb.cluster-abc.eu-north-1.rds.amazonaws.com:5432/?Action=connect"), (
        done.stderr
    )


def test_every_block_is_run_or_says_what_is_missing() -> None:
    assert len(BLOCKS) == len(re.findall("^```[a-z]+$", PAGE.read_text(), re.MULTILINE))
    for one in BLOCKS:
        assert one.mark in RUN or one.mark.startswith("not run here: needs "), one
        if one.language == "bash":
            subprocess.run(["bash", "-n"], input=one.text, text=True, check=True)


def test_aws_knows_the_commands_and_options() -> None:
    model = botocore.session.get_session().get_service_model("dynamodb")
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    text = "\n".join(one.text for one in BLOCKS).replace("\\\n", " ")
    commands = re.findall(r"aws dynamodb ([\w-]+)(.*)", text)
    assert len(commands) == 2
    for command, options in commands:
        shape = model.operation_model(operations[command]).input_shape
        assert shape is not None
        given = set(re.findall(r"--([\w-]+)", options))
        assert given <= {xform_name(name, "-") for name in shape.members}
        assert {xform_name(name, "-") for name in shape.required_members} <= given
