"""What is checked before the first write."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString

import pytest

from actingweb.db.postgresql.revision import HEAD
from actingweb.migration.errors import SourceError, TargetError, UsageError
from actingweb.migration.mapping import MAPPINGS
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.manifest import Manifest, TableEntry, write_manifest
from actingweb.migration.target.connection import Target, lift_timeouts
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    expected,
    load,
    stored,
    table_exists,
    write_input,
)
from tests.migration.roles import Role


def with_manifest(directory: Path, *, complete: bool = True) -> Path:
    tables = {
        mapping.name: TableEntry(
            table=mapping.name,
            source="here",
            sha256=hashlib.sha256((directory / f"{mapping.name}.json").read_bytes()).hexdigest(),
        )
        for mapping in MAPPINGS
    }
    write_manifest(directory, Manifest(segments=1, started_at=datetime.now(UTC), complete=complete, tables=tables))
    return directory


def test_files_that_the_manifest_knows(target: Target, tmp_path: Path) -> None:
    load(target, with_manifest(write_input(tmp_path, DOCUMENTS)))
    assert stored(target) == expected(DOCUMENTS)


def test_an_unfinished_export(target: Target, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        load(target, with_manifest(write_input(tmp_path, DOCUMENTS), complete=False))


def test_nothing_of_a_damaged_export_is_loaded(target: Target, tmp_path: Path) -> None:
    path = with_manifest(write_input(tmp_path, DOCUMENTS)) / "attributes.json"
    path.write_bytes(path.read_bytes().replace(b"12345678901234567890", b"12345678901234567891"))
    with pytest.raises(SourceError, match=r"attributes\.json is not what was exported"):
        load(target, tmp_path)
    assert stored(target) == expected({})
    assert not table_exists(target, "migration_progress")


def test_a_schema_that_is_not_at_head(target: Target, tmp_path: Path) -> None:
    with target.connect() as connection:
        revision = connection.execute(target.sql("UPDATE {schema}.alembic_version SET version_num = 'e5f6a7b8c9d0'"))
        assert revision.rowcount == 1
    try:
        with pytest.raises(
            UsageError, match=r"at revision e5f6a7b8c9d0, this release needs .*: run `.* alembic upgrade head`"
        ):
            load(target, write_input(tmp_path, DOCUMENTS))
    finally:
        with target.connect() as connection:
            connection.execute(target.sql("UPDATE {schema}.alembic_version SET version_num = %s"), [HEAD])
    assert stored(target) == expected({})


def test_time_limits_of_the_role_do_not_matter(target: Target) -> None:
    with target.connect() as connection:
        connection.execute("SET statement_timeout = '1h'")
        with connection.transaction():
            lift_timeouts(connection, synchronous=False)
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1h",)


USAGE: LiteralString = "GRANT USAGE ON SCHEMA {schema} TO {role}"
READ: LiteralString = "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
WRITE: LiteralString = "GRANT INSERT, DELETE, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}"
CREATE: LiteralString = "GRANT CREATE ON SCHEMA {schema} TO {role}"


@pytest.mark.parametrize(
    ("rights", "message"),
    [
        ([], r"SELECT on alembic_version; USAGE on schema .*GRANT USAGE ON SCHEMA "),
        (
            [USAGE, READ],
            r'the role "role.*" lacks INSERT, DELETE on actors, .*; CREATE on schema ".*": as the owner run `'
            r'GRANT INSERT, DELETE ON ".*"\."actors", .* TO "role.*"; GRANT CREATE ON SCHEMA .* TO "role.*"`',
        ),
        ([USAGE, READ, WRITE], r'the role "role.*" lacks CREATE on schema ".*": .* set PG_MIGRATION_URL'),
        ([USAGE, READ, WRITE, CREATE, "ALTER ROLE {role} SET default_transaction_read_only = on"], "read-only"),
    ],
)
def test_a_role_that_may_not_write(
    target: Target, as_role: Role, tmp_path: Path, rights: list[LiteralString], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load(as_role(*rights), write_input(tmp_path, DOCUMENTS))
    assert stored(target) == expected({})
    assert not table_exists(target, "migration_progress")


def test_a_role_that_may(target: Target, as_role: Role, tmp_path: Path) -> None:
    load(as_role(USAGE, READ, WRITE, CREATE), write_input(tmp_path, DOCUMENTS))
    assert stored(target) == expected(DOCUMENTS)


def test_the_statements_of_the_message_are_enough(target: Target, as_role: Role, tmp_path: Path) -> None:
    role = as_role()
    with pytest.raises(UsageError, match=r"the role .* lacks") as caught:
        load(role, write_input(tmp_path, DOCUMENTS))
    with target.connect() as connection:
        for statement in str(caught.value).split("`")[1].split("; "):
            connection.execute(statement.encode())
    load(role, tmp_path)
    assert stored(target) == expected(DOCUMENTS)


def test_a_full_disk_of_the_server_is_told(target: Target, tmp_path: Path) -> None:
    """The server says so by this code."""
    full: LiteralString = """
        CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.properties EXECUTE FUNCTION {schema}.full_disk()
    """
    with target.connect() as connection:
        connection.execute(target.sql(full))
        try:
            with pytest.raises(TargetError, match="DiskFull: could not extend file: make room on the server, then run"):
                load(target, write_input(tmp_path, DOCUMENTS))
        finally:
            connection.execute(target.sql("DROP FUNCTION {schema}.full_disk() CASCADE"))
    load(target, tmp_path)
    assert stored(target) == expected(DOCUMENTS)


def test_no_server(target: Target, tmp_path: Path) -> None:
    nowhere = Target(target.settings.replace(url=None, host="127.0.0.1", port="1"))
    with pytest.raises(TargetError, match="OperationalError"):
        load(nowhere, write_input(tmp_path, DOCUMENTS))


def test_identities_tell_contents_apart(tmp_path: Path) -> None:
    one = ExportDirectory.at(write_input(tmp_path / "one", DOCUMENTS)).identities()
    assert one == ExportDirectory.at(write_input(tmp_path / "two", DOCUMENTS)).identities()
    other = ExportDirectory.at(write_input(tmp_path / "three", {**DOCUMENTS, "actors": [ACTOR]})).identities()
    assert {table for table in one if one[table] != other[table]} == {"actors"}
