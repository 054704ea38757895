"""Numbers in attribute data are the same in PostgreSQL as the library reads them in DynamoDB."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.db.registry import load_backend
from actingweb.migration.jobs.load import copy_tables
from actingweb.migration.target.connection import Target
from testbed.servers import DynamoDBTables, PostgresTables
from tests.conftest import SetEnv
from tests.contract.test_attribute_numbers import FOREIGN, NUMBERS
from tests.migration.loads import ACTOR, Documents, load, load_options, rejects_of, write_input
from tests.migration.tables import put_documents, source_of
from tests.migration.validation import validate, validate_live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TEXTS = [*FOREIGN, '{"t": 1700000000.1234567, "u": [12345678901234567890, -0.0, 5e-324]}', " [ 1.0E+23 ,\n 0.10 ] "]


def documents() -> Documents:
    rows = [
        {"id": "a1", "bucket_name": f"b:{number}", "bucket": "b", "name": str(number), "data": text}
        for number, text in enumerate(TEXTS)
    ]
    return {"actors": [ACTOR], "attributes": rows}


def answers(name: str) -> Any:
    bucket = load_backend(name).DbAttribute.DbAttribute.get_bucket("a1", "b")
    return {name: entry["data"] for name, entry in bucket.items()}


@pytest.fixture
def before(
    ddb: DynamoDBClient,
    deployment: None,
    dynamodb_tables: DynamoDBTables,
    postgres_tables: PostgresTables,
    set_env: SetEnv,
) -> Any:
    """Put the data into DynamoDB and return what the library reads there."""
    set_env(**dynamodb_tables.environment, **postgres_tables.environment)
    put_documents(ddb, dynamodb_tables.environment["AWS_DB_PREFIX"], documents())
    attribute = load_backend("dynamodb").DbAttribute.DbAttribute
    for number, value in enumerate(NUMBERS):
        attribute.set_attr("a1", "b", f"own {number}", [value])
    return answers("dynamodb")


def check_swaps(before: dict[str, Any]) -> None:
    """Check that what was read in DynamoDB matches in PostgreSQL, where it came to."""
    attribute = load_backend("postgresql").DbAttribute.DbAttribute
    assert answers("postgresql") == before
    for name, data in before.items():
        assert attribute.conditional_update_attr("a1", "b", name, data, "swapped") is True, name


def test_a_copy_answers_the_same(
    before: dict[str, Any], target: Target, dynamodb_tables: DynamoDBTables, tmp_path: Path
) -> None:
    summary = copy_tables(source_of(dynamodb_tables.environment), target, load_options(tmp_path), lambda *_: None)
    assert summary.rejected == 0
    result = validate_live(target, dynamodb_tables.environment, tmp_path)
    assert (result.differences, result.first) == (0, [])
    check_swaps(before)


@pytest.mark.usefixtures("small_batches")
def test_an_import_answers_the_same(before: dict[str, Any], target: Target, tmp_path: Path) -> None:
    directory = write_input(tmp_path, documents())
    assert load(target, directory).rejected == 0
    assert validate(target, directory).differences == 0
    check_swaps({name: data for name, data in before.items() if not name.startswith("own")})


@pytest.mark.parametrize("text", ["1e200000", "-1e131072", "[" + "9" * 5000 + "]"], ids=len)
def test_a_number_that_postgresql_cannot_hold_is_rejected_with_a_reason(
    target: Target, tmp_path: Path, text: str
) -> None:
    row = {"id": "a1", "bucket_name": "b:n", "bucket": "b", "name": "n", "data": text}
    directory = write_input(
        tmp_path, {"actors": [ACTOR], "attributes": [row, {**row, "name": "m", "bucket_name": "b:m", "data": "1"}]}
    )
    summary = load(target, directory)
    assert (summary.rejected, summary.counts["attributes"].written) == (1, 1)
    (reject,) = rejects_of(directory, "attributes")
    assert reject["reason"] in (
        "PostgreSQL rejects it: NumericValueOutOfRange",
        f"data: data holds a whole number of more than {sys.get_int_max_str_digits()} digits",
    )
