"""DynamoDB straight into PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from actingweb.migration.errors import DuplicateRowError, UsageError
from actingweb.migration.jobs.load import copy_tables
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary, OnCounts
from actingweb.migration.source.scan import DynamoDBSource
from actingweb.migration.target.connection import Target
from actingweb.migration.target.progress import Counts
from testbed.servers import DynamoDBTables
from tests.conftest import SetEnv
from tests.migration.loads import (
    ACTOR,
    DOCUMENTS,
    Documents,
    expected,
    load_options,
    properties,
    rejects_of,
    stored,
    table_exists,
    versions,
)
from tests.migration.tables import put_documents, source_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ORPHANS = [{"id": "nobody", "name": f"n{number}", "value": ""} for number in range(3)]


class StopError(Exception):
    """Stands for a fault at a chosen moment."""


@pytest.fixture
def put(ddb: "DynamoDBClient", dynamodb_tables: DynamoDBTables) -> Iterator[Callable[[Documents], None]]:
    """Return what stores the items of documents."""
    yield lambda documents: put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], documents)
    dynamodb_tables.wipe()


@pytest.fixture
def source(dynamodb_tables: DynamoDBTables, set_env: SetEnv) -> DynamoDBSource:
    """Return the session's tables as a source of two segments."""
    set_env(**dynamodb_tables.environment)
    return source_of(dynamodb_tables.environment)


def copy(
    source: DynamoDBSource, target: Target, options: LoadOptions, on_counts: OnCounts | None = None
) -> LoadSummary:
    return copy_tables(source, target, options, on_counts or (lambda *_: None))


def test_every_table_is_copied(
    put: Callable[[Documents], None], source: DynamoDBSource, target: Target, tmp_path: Path
) -> None:
    put(DOCUMENTS)
    summary = copy(source, target, load_options(tmp_path))
    assert stored(target) == expected(DOCUMENTS)
    assert summary.counts["properties"] == Counts(3, 3, 0, 0)
    assert summary.look_ups == 1
    assert not table_exists(target, "migration_progress")


def test_a_target_with_rows_is_left_alone(
    put: Callable[[Documents], None], source: DynamoDBSource, target: Target, tmp_path: Path
) -> None:
    put(DOCUMENTS)
    copy(source, target, load_options(tmp_path))
    before = versions(target)
    with pytest.raises(UsageError, match="actors has rows already: use --skip-duplicates"):
        copy(source, target, load_options(tmp_path))
    assert not table_exists(target, "migration_progress")
    put({"actors": [{"id": "a9"}]})
    summary = copy(source, target, load_options(tmp_path, skip_duplicates=True))
    assert summary.counts["actors"] == Counts(3, 1, 2, 0)
    assert {table: rows for table, rows in versions(target).items() if rows != before[table]}.keys() == {"actors"}


def test_rejects_have_no_place(
    put: Callable[[Documents], None], source: DynamoDBSource, target: Target, tmp_path: Path
) -> None:
    put({"actors": [ACTOR], "properties": [*properties(5), *ORPHANS]})
    assert copy(source, target, load_options(tmp_path)).counts["properties"] == Counts(8, 5, 0, 3)
    rejects = rejects_of(tmp_path, "properties")
    assert sorted(reject["document"]["name"] for reject in rejects) == ["n0", "n1", "n2"]
    assert {(reject["row"], reject["reason"]) for reject in rejects} == {(None, "unknown actor")}


@pytest.mark.parametrize("table", ["actors", "properties", "trusts"])
def test_an_interrupted_copy_goes_on(
    put: Callable[[Documents], None], source: DynamoDBSource, target: Target, tmp_path: Path, table: str
) -> None:
    good = [*properties(30), *properties(30, "a2")]
    put({**DOCUMENTS, "properties": [*good, *ORPHANS]})

    def stop(name: str, counts: Counts) -> None:
        if name == table and counts.read:
            raise StopError

    with pytest.raises(StopError):
        copy(source, target, load_options(tmp_path), stop)
    assert table_exists(target, "migration_progress")
    summary = copy(source, target, load_options(tmp_path))
    assert summary.counts["properties"] == Counts(63, 60, 0, 3)
    assert stored(target) == expected({**DOCUMENTS, "properties": good})
    assert len(rejects_of(tmp_path, "properties")) == 3


def test_it_goes_on_with_the_same_segments_only(
    put: Callable[[Documents], None],
    source: DynamoDBSource,
    dynamodb_tables: DynamoDBTables,
    target: Target,
    tmp_path: Path,
) -> None:
    put(DOCUMENTS)

    def stop(name: str, counts: Counts) -> None:
        if counts.read:
            raise StopError

    with pytest.raises(StopError):
        copy(source, target, load_options(tmp_path), stop)
    with pytest.raises(UsageError, match="an unfinished copy"):
        copy(source_of(dynamodb_tables.environment, segments=3), target, load_options(tmp_path))


def test_a_row_made_meanwhile_stops_it(
    put: Callable[[Documents], None], source: DynamoDBSource, target: Target, tmp_path: Path
) -> None:
    put({"actors": [ACTOR], "properties": properties(3)})
    # Each segment of the scan comes by.
    insert = "INSERT INTO {schema}.properties VALUES ('a1', 'name 1', 'new') ON CONFLICT DO NOTHING"

    def write(name: str, counts: Counts) -> None:
        if name == "actors" and counts.written:
            with target.connect() as connection:
                connection.execute(target.sql(insert))

    with pytest.raises(DuplicateRowError, match="Failed to import properties: duplicate key value"):
        copy(source, target, load_options(tmp_path), write)
    summary = copy(source, target, load_options(tmp_path, skip_duplicates=True))
    assert summary.counts["properties"] == Counts(3, 2, 1, 0)
    assert [row[2] for row in stored(target)["properties"]] == ["0", "new", "2"]
