"""The tool under settings of server or role, over networks and with servers that are trouble."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from testbed.tcp_proxy import TcpProxy, tcp_proxy
from tests.migration.cli_tool import Tool, without_progress
from tests.migration.loads import DOCUMENTS, write_input
from tests.schema.test_sessions import LATER_LIMITS, ODD, limits, options
from tests.support import PATIENCE, new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Connection = psycopg.Connection[tuple[Any, ...]]

BLOCKED: LiteralString = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'actors'::regclass"
IMPORT = ("import", "--input-dir", "files")
VALIDATE = ("validate", "--input-dir", "files")


@pytest.fixture
def tool(
    tmp_path: Path, target: Target, postgres_tables: PostgresTables, dynamodb_tables: DynamoDBTables
) -> Iterator[Tool]:
    """Return the tool with the settings of both servers, and files to import in `files`."""
    write_input(tmp_path / "files", DOCUMENTS)
    variables = {**postgres_tables.environment, **dynamodb_tables.environment}
    yield Tool(tmp_path, {**variables, "PATH": "/usr/bin:/bin", "COLUMNS": "200", "PG_CONNECT_TIMEOUT": "2"})
    dynamodb_tables.wipe()


@pytest.fixture
def network(pg: Connection) -> Iterator[TcpProxy]:
    """Put a network in front of the server."""
    with tcp_proxy(pg.info.host, pg.info.port) as proxy:
        yield proxy
        proxy.silent = proxy.mute = False
        proxy.hang_up()


def run(tool: Tool, *arguments: str) -> dict[str, Any]:
    """Return the summary of a command that does its work."""
    result = tool.run(*arguments, "--json")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


@pytest.mark.parametrize("name", [None, "standard_conforming_strings"])
def test_all_commands_work_with_odd_settings(tool: Tool, ddb: DynamoDBClient, pg: Connection, name: str | None) -> None:
    odd = tool.having(PGOPTIONS=options(ODD if name is None else {name: ODD[name]}))
    run(odd, *IMPORT)
    assert run(odd, *VALIDATE)["differences"] == 0
    # The row that is missing was put aside, which takes bytes as parameters and by COPY.
    pg.execute("DELETE FROM peertrustees")
    rejects = odd.directory / "files" / "rejects" / "peertrustees.ndjson"
    rejects.parent.mkdir(exist_ok=True)
    (trustee,) = DOCUMENTS["peertrustees"]
    rejects.write_text(json.dumps({"line": 1, "reason": "unfit", "document": trustee}) + "\n")
    told = json.loads(odd.run(*VALIDATE, "--json").stdout)
    assert told["differences"] == 1
    run(odd, "replay", "--rejects-dir", "files/rejects")
    assert run(odd, *VALIDATE)["differences"] == 0
    if name is None:
        ddb.put_item(TableName=f"{tool.environment['AWS_DB_PREFIX']}_actors", Item={"id": {"S": "a\\1"}})
        run(odd, "copy", "--skip-duplicates")
        assert pg.execute("SELECT count(*) FROM actors WHERE id = %s", ["a\\1"]).fetchone() == (1,)


@pytest.mark.parametrize(("command", "pooler"), [(IMPORT, "off"), (IMPORT, "on"), (VALIDATE, "on")])
def test_no_limit_ends_a_command(tool: Tool, pg: Connection, command: tuple[str, ...], pooler: str) -> None:
    """It waits for a lock longer than any limit allows."""
    limited = tool.having(PGOPTIONS=limits(pg.info.server_version), PG_POOLER=pooler)
    with pg.transaction():
        pg.execute("LOCK TABLE actors IN ACCESS EXCLUSIVE MODE")
        with limited.start(*command) as process:
            while pg.execute(BLOCKED).fetchone() != (True,):
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(1.5)
            pg.execute("ROLLBACK; BEGIN")
            _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, without_progress(errors)) == (0 if command == IMPORT else 4, "")


def test_an_idle_session_outlives_a_slow_source(tool: Tool, ddb: DynamoDBClient, pg: Connection) -> None:
    """DynamoDB is read slowly; meanwhile PostgreSQL hears nothing."""
    if pg.info.server_version < LATER_LIMITS["idle_session_timeout"] * 10_000:
        pytest.skip("the server has no idle_session_timeout")
    table = f"{tool.environment['AWS_DB_PREFIX']}_actors"
    for number in range(3):
        ddb.put_item(TableName=table, Item={"id": {"S": f"a{number}"}, "passphrase": {"S": "p" * 300_000}})
    limited = tool.having(PGOPTIONS=options({"idle_session_timeout": "500"}))
    assert run(limited, "copy", "--rcu", "40", "--segments", "1")["tables"][0]["written"] == 3


@pytest.mark.parametrize("command", [IMPORT, VALIDATE, ("copy",)], ids=lambda command: command[0])
@pytest.mark.parametrize("fault", ["silent", "mute"])
def test_a_server_that_accepts_and_says_nothing_ends_a_command(
    tool: Tool, network: TcpProxy, command: tuple[str, ...], fault: str
) -> None:
    setattr(network, fault, True)
    result = tool.having(PG_DB_PORT=str(network.port)).run(*command)
    assert result.returncode == 7
    assert "timeout" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_falls_silent_ends_a_command(tool: Tool, pg: Connection, network: TcpProxy) -> None:
    silent = tool.having(PG_DB_PORT=str(network.port), PG_DB_TIMEOUT="1", PG_DB_SSLMODE="disable")
    with pg.transaction():
        pg.execute("LOCK TABLE actors IN SHARE MODE")
        with silent.start(*IMPORT) as process:
            while pg.execute(BLOCKED).fetchone() != (True,):
                assert process.poll() is None
                time.sleep(0.05)
            network.mute = True
            _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 7
    assert "PG_DB_TIMEOUT" in errors
    assert "Traceback" not in errors


def test_the_host_that_takes_writes_is_used(tool: Tool, pg: Connection) -> None:
    """A host that is down stands first, and a session that may not write does not do."""
    both = tool.having(PG_DB_HOST=f"127.0.0.1,{pg.info.host}", PG_DB_PORT=f"1,{pg.info.port}")
    run(both, *IMPORT)
    refused = both.having(PGOPTIONS="-c default_transaction_read_only=on").run(*VALIDATE)
    assert refused.returncode == 7
    assert "read-only" in refused.stderr


def test_a_server_that_is_made_read_only_can_be_validated(tool: Tool) -> None:
    """As before a change of servers."""
    run(tool, *IMPORT)
    stopped = tool.having(PGOPTIONS="-c default_transaction_read_only=on")
    assert run(stopped, *VALIDATE)["differences"] == 0
    assert "default_transaction_read_only" in stopped.run(*IMPORT).stderr


def test_a_password_command_is_asked(tool: Tool) -> None:
    kept = tool.directory / "token"
    kept.write_text(f"{tool.environment['PG_DB_PASSWORD']}\r\n")
    run(tool.having(PG_DB_PASSWORD="wrong", PG_DB_PASSWORD_COMMAND=shlex.join(["cat", str(kept)])), *IMPORT)


# Where a password is sent


def url_of(tool: Tool, **changes: str) -> str:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
    return make_conninfo("", **{name: tool.environment[f"PG_DB_{part}"] for name, part in names.items()} | changes)


@pytest.mark.parametrize(
    ("source", "option"),
    [("PG_DB_PASSWORD", "--pg-host"), ("PG_DB_URL", "--pg-port"), ("PG_DB_PASSWORD_COMMAND", "--pg-user")],
)
def test_no_password_travels_with_an_option_that_names_another(
    tool: Tool, network: TcpProxy, source: str, option: str
) -> None:
    """With it the log-in would succeed where the other name is the same server's."""
    value = {"--pg-host": "localhost", "--pg-port": str(network.port), "--pg-user": "postgres"}[option]
    changes: dict[str, str | None] = {"PG_DB_PASSWORD": tool.environment["PG_DB_PASSWORD"]}
    if source == "PG_DB_PASSWORD_COMMAND":
        changes = {"PG_DB_PASSWORD": None, source: f"printf %s {shlex.quote(tool.environment['PG_DB_PASSWORD'])}"}
    elif source != "PG_DB_PASSWORD":
        changes = {"PG_DB_PASSWORD": None, source: url_of(tool)}
    having = tool.having(**changes)
    result = having.run(*IMPORT, option, value)
    assert result.returncode == 2
    assert "asks for a password" in result.stderr
    if option != "--pg-user":
        run(having, *IMPORT, option, value, "--pg-password", tool.environment["PG_DB_PASSWORD"])


@pytest.mark.parametrize("variable", ["PG_DB_HOST", "PG_DB_PORT", "PG_DB_USER"])
def test_no_password_of_the_file_travels_with_a_variable_that_names_another(
    tool: Tool, network: TcpProxy, variable: str
) -> None:
    names = ("HOST", "PORT", "USER", "PASSWORD")
    lines = [f"PG_DB_{name}={json.dumps(tool.environment[f'PG_DB_{name}'])}" for name in names]
    (tool.directory / ".env").write_text("\n".join(lines) + "\n")
    bare = tool.having(**{f"PG_DB_{name}": None for name in names})
    other = {"PG_DB_HOST": "localhost", "PG_DB_PORT": str(network.port), "PG_DB_USER": "postgres"}[variable]
    result = bare.having(**{variable: other}).run(*IMPORT)
    assert result.returncode == 2
    assert "asks for a password" in result.stderr
    run(bare, *IMPORT)


def test_a_url_of_the_file_is_no_server_of_the_environment_s(tool: Tool) -> None:
    (tool.directory / ".env").write_text("PG_DB_URL=postgresql://u:p@127.0.0.1:1/d\n")
    run(tool, *IMPORT)


def test_a_password_that_another_run_carried_is_not_used(tool: Tool) -> None:
    leftover = tool.having(PG_DB_PASSWORD=None, ACTINGWEB_MIGRATE_PG_PASSWORD=f"1:{tool.environment['PG_DB_PASSWORD']}")
    assert leftover.run(*IMPORT).returncode == 2
    run(tool.having(PG_DB_PASSWORD=None), *IMPORT, "--pg-password", tool.environment["PG_DB_PASSWORD"])


# As whom the tool logs in


@pytest.fixture
def application(tool: Tool, target: Target) -> Iterator[Tool]:
    """Return the tool as a role with the application's rights only."""
    name = new_id("app")
    role = sql.Identifier(name)
    with target.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'").format(role))
        admin.execute(target.sql("GRANT USAGE ON SCHEMA {schema} TO {role}", role=role))
        admin.execute(
            target.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}", role=role)
        )
        yield tool.having(PG_DB_USER=name, PG_DB_PASSWORD="p")
        admin.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(role, role))


def test_the_owner_s_log_in_is_used(tool: Tool, application: Tool) -> None:
    refused = application.run(*IMPORT)
    assert refused.returncode == 2
    assert f'the role "{application.environment["PG_DB_USER"]}" lacks CREATE on schema' in refused.stderr
    both = application.having(PG_MIGRATION_URL=url_of(tool))
    run(both, *IMPORT)
    assert run(both, *VALIDATE)["differences"] == 0


def test_an_option_wins_over_the_owner_s_log_in(tool: Tool) -> None:
    elsewhere = tool.having(PG_MIGRATION_URL="postgresql://nobody:p@127.0.0.1:1/d")
    assert "port 1 " in elsewhere.run(*IMPORT).stderr
    run(elsewhere, *IMPORT, "--pg-database", tool.environment["PG_DB_NAME"])


def test_a_log_in_of_the_file_is_no_match_for_a_server_of_the_environment(tool: Tool) -> None:
    (tool.directory / ".env").write_text("PG_MIGRATION_URL=postgresql://nobody:p@127.0.0.1:1/d\n")
    run(tool, *IMPORT)


def test_the_password_of_the_owner_s_log_in_is_asked_for(tool: Tool) -> None:
    url = tool.having(PG_MIGRATION_URL=url_of(tool, user="postgres", password=""))
    result = url.run(*IMPORT)
    assert (result.returncode, "PG_MIGRATION_URL" in result.stderr) == (2, True)
