"""What is in DynamoDB is in PostgreSQL after export and import: the library answers the same, validation agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from actingweb.db.registry import load_backend
from actingweb.migration.documents import Document
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.migration.library import expected, known, read, write
from tests.migration.loads import load
from tests.migration.nasty import Content, contents, items
from tests.migration.tables import put_documents, source_of
from tests.migration.validation import validate, validate_live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("small_batches")


@dataclass(frozen=True)
class Move:
    """A deployment on DynamoDB, and the PostgreSQL to which it moves."""

    tables: DynamoDBTables
    rows: PostgresTables
    target: Target

    def wipe(self) -> None:
        """Remove all rows from both."""
        self.tables.wipe()
        self.rows.wipe()

    def run(self, actor_ids: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Export, import and validate; return what the library answers before and after."""
        before = read(load_backend("dynamodb"), actor_ids)
        with TemporaryDirectory() as name:
            directory = Path(name) / "export"
            export_tables(source_of(self.tables.environment), directory)
            assert load(self.target, directory).rejected == 0
            for result in (
                validate(self.target, directory),
                validate_live(self.target, self.tables.environment, Path(name)),
            ):
                assert (result.differences, result.first) == (0, [])
        return before, read(load_backend("postgresql"), actor_ids)


@pytest.fixture
def move(
    dynamodb_tables: DynamoDBTables,
    postgres_tables: PostgresTables,
    target: Target,
    deployment: None,
    set_env: SetEnv,
) -> Move:
    """Return a deployment that is empty before and after the test."""
    set_env(**dynamodb_tables.environment, **postgres_tables.environment, INDEXED_PROPERTIES="email")
    return Move(dynamodb_tables, postgres_tables, target)


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the settings of tests on servers."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_what_the_library_wrote(move: Move) -> None:
    @examples(20)
    @given(contents=contents())
    def check(contents: dict[str, Content]) -> None:
        move.wipe()
        write(load_backend("dynamodb"), contents)
        before, after = move.run(list(contents))
        assert known(after, contents) == expected(contents)
        assert after == before

    check()


def test_what_others_wrote(move: Move, ddb: DynamoDBClient) -> None:
    @examples(20)
    @given(documents=items())
    def check(documents: dict[str, list[Document]]) -> None:
        move.wipe()
        put_documents(ddb, move.tables.environment["AWS_DB_PREFIX"], documents)
        before, after = move.run([document["id"] for document in documents["actors"]])
        assert after == before

    check()
