"""What is checked before the first write."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString, Protocol

import pytest
from psycopg import sql

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
from tests.support import new_id


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


class Role(Protocol):
    """Make the target as a new role sees it, with these rights."""

    def __call__(self, *rights: LiteralString) -> Target: ...


@pytest.fixture
def as_role(target: Target) -> Iterator[Role]:
    name = new_id("role")
    role = sql.Identifier(name)

    def make(*rights: LiteralString) -> Target:
        for right in rights:
            admin.execute(target.sql(right, role=role))
        return Target(target.settings.replace(url=None, user=name, password="p"))

    with target.connect() as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p'").format(role))
        yield make
        admin.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(role, role))


USAGE: LiteralString = "GRANT USAGE ON SCHEMA {schema} TO {role}"
READ: LiteralString = "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
WRITE: LiteralString = "GRANT INSERT, DELETE, UPDATE ON ALL TABLES IN SCHEMA {schema} TO {role}"
CREATE: LiteralString = "GRANT CREATE ON SCHEMA {schema} TO {role}"


@pytest.mark.parametrize(
    ("rights", "message"),
    [
        ([USAGE, READ], r"the role may not read and write .*actors"),
        ([USAGE, READ, WRITE], "the role may not create tables in schema"),
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


def test_no_server(target: Target, tmp_path: Path) -> None:
    nowhere = Target(target.settings.replace(url=None, host="127.0.0.1", port="1"))
    with pytest.raises(TargetError, match="OperationalError"):
        load(nowhere, write_input(tmp_path, DOCUMENTS))


def test_identities_tell_contents_apart(tmp_path: Path) -> None:
    one = ExportDirectory.at(write_input(tmp_path / "one", DOCUMENTS)).identities()
    assert one == ExportDirectory.at(write_input(tmp_path / "two", DOCUMENTS)).identities()
    other = ExportDirectory.at(write_input(tmp_path / "three", {**DOCUMENTS, "actors": [ACTOR]})).identities()
    assert {table for table in one if one[table] != other[table]} == {"actors"}
