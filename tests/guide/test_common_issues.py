"""Each of the guide's common issues: it appears with the message shown, and what the guide says mends it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Literal

from tests.support import wait_until

from .blocks import Block, section
from .conftest import ALEMBIC, Desk, needs_jq
from .reader import Reader, prints, superuser_conninfo

_CONNECT = 'poetry run python -c \'import psycopg; psycopg.connect(host="127.0.0.1", dbname="actingweb", {})\''
_TOOL = "poetry run python scripts/migrate_dynamodb_to_postgresql.py"


@pytest.fixture(autouse=True)
def _files(reader: Reader) -> None:
    """Have files to import."""
    directory = reader.export_directory
    directory.mkdir(exist_ok=True)
    tables = ("attributes", "trusts", "peertrustees", "subscriptions", "subscription_diffs")
    for table in tables:
        (directory / f"{table}.json").write_text("[]")
    (directory / "actors.json").write_text(json.dumps([{"id": "a", "creator": "c", "passphrase": "p"}]))
    _write_properties(directory, ["one"])


def _write_properties(directory: Path, values: list[str]) -> None:
    rows = [{"id": "a", "name": "n", "value": value} for value in values]
    (directory / "properties.json").write_text(json.dumps(rows))


def fixes(heading: str) -> list[Block]:
    """Return the blocks of an issue that run."""
    return [block for block in section(heading) if block.language != "text" and not block.mark.startswith("not run")]


def messages(heading: str) -> list[Block]:
    """Return the messages of an issue."""
    return [block for block in section(heading) if block.mark == "message"]


def fails(reader: Reader, commands: str, message: Block) -> str:
    """Run commands that fail with a message, and return what they print."""
    result = reader.attempt(commands)
    assert result.returncode != 0
    assert prints(result.stdout, reader.text_of(message)), result.stdout
    return result.stdout


def imports(reader: Reader) -> str:
    """Import, which works now."""
    return reader.type(f"{_TOOL} import --input-dir {reader.export_directory} --skip-duplicates")


def test_connection_refused(desk: Desk, reader: Reader) -> None:
    (message,) = messages("Connection refused")
    is_ready, reload = fixes("Connection refused")
    desk.server.kill()
    fails(reader, _CONNECT.format('user="actingweb"'), message)
    answer = reader.attempt(f"{_TOOL} import --input-dir {reader.export_directory}")
    assert "OperationalError" in answer.stdout
    assert "Connection refused" in answer.stdout
    assert "no response" in reader.attempt(reader.text_of(is_ready)).stdout
    desk.server.restart()
    assert "accepting connections" in reader.run(is_ready)
    reader.run(reload)
    imports(reader)


def test_the_line_of_pg_hba(desk: Desk, reader: Reader) -> None:
    """Where no other line lets the role in, the guide's does, once the file has been read again."""
    (line,) = (block.text for block in section("Connection refused") if block.mark == "pg_hba.conf")
    file = desk.server.directory / "data" / "pg_hba.conf"
    before = file.read_text()
    others = "host  all  postgres  127.0.0.1/32  scram-sha-256\n"
    try:
        for text, works in ((others, False), (others + line, True)):
            file.write_text(text)
            reader.run(fixes("Connection refused")[-1])
            _wait_for_log_in(reader, "1 row" if works else "no pg_hba.conf entry")
    finally:
        file.write_text(before)
        reader.run(fixes("Connection refused")[-1])


def _wait_for_log_in(reader: Reader, expected: str) -> None:
    """Try to log in until psql says what is expected: the server reads its files a little later than asked to."""
    log_in = "psql -h 127.0.0.1 -U actingweb -d actingweb -c 'SELECT 1'"
    wait_until(lambda: expected in reader.attempt(log_in).stdout)


def test_authentication_failed(reader: Reader) -> None:
    (message,) = messages("Authentication failed")
    (fix,) = fixes("Authentication failed")
    reader.environment["PG_DB_PASSWORD"] = "wrong"
    fails(reader, _CONNECT.format('user="actingweb", password="wrong"'), message)
    answer = reader.attempt(f"{_TOOL} import --input-dir {reader.export_directory}")
    assert 'password authentication failed for user "actingweb"' in answer.stdout
    reader.run(fix)
    imports(reader)


def test_tables_of_an_earlier_release(reader: Reader) -> None:
    not_up_to_date, tool_says, _ = messages("Schema already exists")
    upgrade, *_ = fixes("Schema already exists")
    reader.type(ALEMBIC.format("downgrade e5f6a7b8c9d0"))
    fails(reader, ALEMBIC.format("check"), not_up_to_date)
    fails(reader, f"{_TOOL} import --input-dir {reader.export_directory}", tool_says)
    assert "e5f6a7b8c9d0" in reader.run(upgrade)
    imports(reader)


def test_a_lost_revision(reader: Reader) -> None:
    *_, exists = messages("Schema already exists")
    _, stamp, _ = fixes("Schema already exists")
    reader.type("psql -U actingweb -d actingweb -c 'DROP TABLE alembic_version'")
    fails(reader, ALEMBIC.format("upgrade head"), exists)
    assert "No new upgrade operations detected" in reader.run(stamp)
    imports(reader)


def test_dropping_everything(reader: Reader) -> None:
    *_, drop = fixes("Schema already exists")
    imports(reader)
    reader.run(drop)
    counted = reader.type("psql -U actingweb -d actingweb -Atc 'SELECT count(*) FROM actors'")
    assert counted.strip() == "0"
    imports(reader)


@needs_jq
def test_duplicates_in_the_export(reader: Reader) -> None:
    heading = "The import fails: duplicate key"
    (message,) = messages(heading)
    find, skip = fixes(heading)
    _write_properties(reader.export_directory, ["one", "two"])
    fails(reader, f"{_TOOL} import --input-dir {reader.export_directory}", message)
    assert reader.run(find) == '"a:n"\n'
    reader.run(skip)
    found = reader.type("psql -U actingweb -d actingweb -Atc 'SELECT value FROM properties'")
    assert found == "one\n"


@needs_jq
def test_rows_that_were_there_before(desk: Desk, reader: Reader) -> None:
    heading = "The import fails: duplicate key"
    find, skip = fixes(heading)
    imports(reader)
    result = reader.attempt(f"{_TOOL} import --input-dir {reader.export_directory}")
    assert result.returncode == 7
    assert reader.run(find) == ""
    with psycopg.connect(superuser_conninfo(desk.server), dbname="actingweb") as connection:
        connection.execute(SQL("UPDATE properties SET value = {}").format(Literal("changed since")))
    reader.run(skip)
    found = reader.type("psql -U actingweb -d actingweb -Atc 'SELECT value FROM properties'")
    assert found == "changed since\n"


def test_slow_statements(reader: Reader) -> None:
    blocks = fixes("Slower than before")
    indexes, plan, *rest = [reader.run(block) for block in blocks]
    for name in ("idx_actors_creator", "idx_trusts_secret", "properties_pkey", "idx_property_lookup_actor_id"):
        assert name in indexes
    assert "Execution Time" in plan
    assert [text.split() for text in rest] == [["ANALYZE", "ANALYZE"], ["VACUUM"]]
