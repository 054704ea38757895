"""What is stored, read past the library, in one form for all backends."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from actingweb.db import records
from actingweb.db.records import Record
from tests.support import ddb_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = [
    "RECORDS",
    "Connection",
    "Rows",
    "dynamodb_items",
    "dynamodb_rows",
    "memory_rows",
    "plain",
    "postgresql_rows",
]

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table that are not expired, in the order of their keys."""

RECORDS: dict[str, type[Record]] = {
    record.table: record for record in (getattr(records, name) for name in records.__all__ if name != Record.__name__)
}
"""The record type of each table."""

_SUFFIXES = {"subscription_diffs": "subscriptiondiffs", "property_lookup": "property_lookup_v2"}
_JUST_NOW = 600
_EXACT_NUMBERS = 2**53
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:?\d\d")


class _Near:
    """A time that is equal to another within a few seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Near) and abs(self.seconds - other.seconds) < 30

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<now>"


def plain(value: Any) -> Any:
    """Return a value in a form in which equal ones are equal: types are told apart, times of this moment are not."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return "tuple", [plain(item) for item in value]
    if isinstance(value, str):
        return _time_in(value)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return value if value is None else (type(value).__name__, value)


def _time_in(text: str) -> Any:
    if _TIME.fullmatch(text):
        try:
            return _time(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            return text
    return text


def _time(moment: datetime) -> Any:
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    seconds = moment.timestamp()
    return _Near(seconds) if abs(seconds - time.time()) < _JUST_NOW else moment.astimezone(UTC).isoformat()


def _number(value: float) -> Any:
    """Return a number so that a large float equals the integer that jsonb makes of it."""
    if abs(value) < _EXACT_NUMBERS:
        return value
    try:
        return "large", float(value)
    except OverflowError:
        return "large", value.bit_length() if isinstance(value, int) else value


def _deadline(value: Any) -> Any:
    """Return the second at which a row expires, which is counted from the moment of the call."""
    return value if value is None or abs(value - int(time.time())) > 10**7 else _Near(value)


def _row(record: type[Record], values: dict[str, Any]) -> dict[str, Any]:
    row = {name: plain(values.get(name)) for name in record.fields}
    if "ttl_timestamp" in row:
        row["ttl_timestamp"] = _deadline(values.get("ttl_timestamp"))
    # An absent text shows as NULL, as no attribute or as empty.
    return {name: "" if value is None else value for name, value in row.items()}


def _sorted(tables: tuple[str, ...], read: Callable[[str], list[dict[str, Any]]]) -> Rows:
    found: Rows = {}
    for table in tables:
        rows = [_row(RECORDS[table], values) for values in read(table) if not _is_expired(values)]
        found[table] = sorted(rows, key=partial(_key, RECORDS[table]))
    return found


def _is_expired(values: dict[str, Any]) -> bool:
    """Tell whether a server may have removed the row by now."""
    deadline = values.get("ttl_timestamp")
    return deadline is not None and deadline <= time.time()


def _key(record: type[Record], row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in record.key]


def memory_rows(*tables: str) -> Rows:
    """Return the rows of the memory backend."""
    from tests.memory_backend.rows import TABLES

    def read(table: str) -> list[dict[str, Any]]:
        return [row.asdict() for row in TABLES.get(table, {}).values()]

    return _sorted(tables, read)


def postgresql_rows(pg: Connection, *tables: str) -> Rows:
    """Return the rows of PostgreSQL, all read in one statement."""
    parts = [
        sql.SQL("SELECT {}, to_jsonb(t) FROM {} AS t").format(sql.Literal(table), sql.Identifier(table))
        for table in tables
    ]
    found = pg.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall()
    return _sorted(tables, lambda table: [row for name, row in found if name == table])


def dynamodb_rows(ddb: DynamoDBClient, *tables: str) -> Rows:
    """Return the rows of DynamoDB."""
    return _sorted(
        tables, lambda table: [_decoded(_values(RECORDS[table], item)) for item in dynamodb_items(ddb, table)]
    )


def dynamodb_items(ddb: DynamoDBClient, table: str) -> list[Any]:
    """Return the items of a table as they are."""
    name = ddb_table(_SUFFIXES.get(table, table))
    pages = ddb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def _values(record: type[Record], item: Any) -> dict[str, Any]:
    values: dict[str, Any] = {name: False for name, kind in record.types.items() if kind is bool}
    for name, stored in item.items():
        ((kind, value),) = stored.items()
        values[name] = int(value) if kind == "N" else value
    return values


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    if isinstance(values.get("data"), str):
        values["data"] = json.loads(values["data"])
    return values
