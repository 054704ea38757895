"""Which of the model's rows are stored, found past the library."""

from __future__ import annotations

import json
import time
from typing import Any

from actingweb.db.utils import compute_lookup_key
from tests.contract.support.model import Key, Row

from .raw_rows import RECORDS, plain

__all__ = ["Tables", "found_rows", "lines_of", "raw_name"]

Tables = dict[str, dict[Key, Row]]
"""The tables of a model."""

Line = dict[str, str]
Lines = dict[tuple[str, ...], Line]
"""Rows by key, their columns as texts in which values of different types differ."""

_RAW_NAMES = {"claims": "property_lookup", "diffs": "subscription_diffs", "suspensions": "subscription_suspensions"}


def raw_name(table: str) -> str:
    """Return what the databases call a table of the model."""
    return _RAW_NAMES.get(table, table)


def lines_of(table: str, rows: dict[Key, Row]) -> Lines:
    """Return rows of the model; their columns are some of those that are stored."""
    return {_line_key(table, key): _line(_columns(table, key, row)) for key, row in rows.items()}


def found_rows(
    table: str, before: dict[Key, Row], after: dict[Key, Row], stored: list[dict[str, Any]]
) -> dict[Key, Row]:
    """Return each row as it was before a call or as it is after the whole of it, whichever is stored.

    `stored`: the rows of the database. Fail if one is neither.
    """
    lines = _stored_lines(table, stored)
    found: dict[Key, Row] = {}
    for key in dict.fromkeys([*before, *after]):
        line = lines.pop(_line_key(table, key), None)
        fitting = [row for row in (before.get(key), after.get(key)) if _fits(table, key, row, line)]
        assert fitting, (table, key, line)
        if fitting[0] is not None:
            found[key] = fitting[0]
    assert not lines, (table, lines)
    return found


def _fits(table: str, key: Key, row: Row | None, line: Line | None) -> bool:
    if line is None:
        # What has expired is left out by those who read the raw rows, since DynamoDB removes it at any time.
        return row is None or bool(row.get("expired"))
    if row is None:
        return False
    return _line(_columns(table, key, row)).items() <= line.items()


def _stored_lines(table: str, stored: list[dict[str, Any]]) -> Lines:
    names = RECORDS[raw_name(table)].key
    return {tuple(str(row[name]) for name in names): _line(_with_expiry(row)) for row in stored}


def _with_expiry(row: dict[str, Any]) -> dict[str, Any]:
    deadline = row.get("ttl_timestamp")
    return row if deadline is None else {**row, "expired": deadline != "" and deadline.seconds <= time.time()}


def _line_key(table: str, key: Key) -> tuple[str, ...]:
    return (compute_lookup_key(*key),) if table == "claims" else tuple(map(str, key))


def _columns(table: str, key: Key, row: Row) -> Row:
    columns = {"property_name": key[0], "actor_id": row["id"]} if table == "claims" else row
    return {name: value if name == "expired" else plain(value) for name, value in columns.items()}


def _line(columns: dict[str, Any]) -> Line:
    # An absent text shows as NULL, as no attribute or as empty.
    return {
        name: json.dumps("" if value is None else value, sort_keys=True, default=repr)
        for name, value in columns.items()
    }
