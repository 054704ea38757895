"""Rows of PostgreSQL as items: exactly those that the library's DynamoDB backend stores for them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from actingweb.db.dynamodb.expressions import Expression
from actingweb.db.dynamodb.items import Item, decode, encode
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.limits import HASH_BYTES, RANGE_BYTES, DynamoLimits, check_item, too_long
from actingweb.db.dynamodb.stored_types import Attribute
from actingweb.db.faults import Fault
from actingweb.db.policy import json_values
from actingweb.migration.live.keys import RowKey, by_table, row_keys
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V2, LOOK_UPS, PROPERTIES, TableMapping
from actingweb.migration.target.connection import Connection

__all__ = [
    "Json",
    "Unstorable",
    "Wanted",
    "answers_alike",
    "change",
    "is_equal",
    "key_problem",
    "layout_of",
    "read_items",
]

Json = dict[str, Any]

# A table of earlier releases has an index on the value, which cannot be empty then. The library reads both alike.
_SPARSE_PROPERTIES = Layout(PROPERTIES.record, PROPERTIES.layout.suffix, sparse=frozenset({"value"}))

_SELECT: LiteralString = """
SELECT {columns} FROM {schema}.{table} WHERE ({key}) IN (SELECT * FROM unnest({arrays}))
"""
_OUTSIDE_ASCII = re.compile("[^ -~]+")
_SMALL = 256
_DATA = "data"

_SEVERAL = "several rows join to this key, of which DynamoDB can hold one"
_EMPTY_KEY = "a key of DynamoDB cannot be an empty text"
_UNREADABLE = "a time in it is out of range"


@dataclass(frozen=True)
class Unstorable:
    """A row that DynamoDB cannot hold.

    Attributes:
        reason: why, without a stored value.
    """

    reason: str


Wanted = Item | Unstorable | None
"""What DynamoDB should store for a key; None for no item."""


def key_problem(key: RowKey) -> str | None:
    """Return why no item can have a key, None if one can."""
    layout = key.mapping.layout
    if not key.hash or (layout.range and not key.range):
        return _EMPTY_KEY
    return too_long(layout.hash, key.hash, HASH_BYTES) or too_long(layout.range or "", key.range, RANGE_BYTES)


def layout_of(mapping: TableMapping) -> Layout:
    """Return the layout of a table's items."""
    return _SPARSE_PROPERTIES if mapping is PROPERTIES else mapping.layout


def read_items(state: State, connection: Connection, keys: Iterable[RowKey]) -> dict[RowKey, Wanted]:
    """Return what DynamoDB should store for each key, by the rows as they are now. Raise `psycopg.Error`.

    The transaction keeps no lock on the tables: whoever alters or truncates one does not wait for it.
    """
    wanted: dict[RowKey, Wanted] = {}
    with connection.transaction(force_rollback=True):
        for _, of_table in by_table(keys):
            for key, rows in _read(state, connection, of_table).items():
                wanted[key] = rows if isinstance(rows, Unstorable) else _wanted(layout_of(key.mapping), key, rows)
    return wanted


def _read(
    state: State, connection: Connection, keys: Sequence[RowKey]
) -> dict[RowKey, list[tuple[Any, ...]] | Unstorable]:
    """Return the rows of keys of one table."""
    mapping = keys[0].mapping
    try:
        rows = connection.execute(_statement(state, mapping), _candidates(keys)).fetchall()
    except (psycopg.DataError, OverflowError):
        # psycopg cannot convert a value. The server has executed the statement, and the transaction goes on.
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.INERROR:
            raise
        if len(keys) == 1:
            return {keys[0]: Unstorable(_UNREADABLE)}
        half = len(keys) // 2
        return _read(state, connection, keys[:half]) | _read(state, connection, keys[half:])
    found: dict[RowKey, list[tuple[Any, ...]]] = {key: [] for key in keys}
    for row in rows:
        # Parts that join to another key are candidates too, and belong to none of these.
        found.get(RowKey.of_row(mapping, row), []).append(row)
    return dict(found)


def _candidates(keys: Sequence[RowKey]) -> dict[str, list[Any]]:
    """Return the keys of all rows that can have one of these keys, by column."""
    candidates = [candidate for key in keys for candidate in row_keys(key)]
    columns = keys[0].mapping.record.key
    return {name: [candidate[index] for candidate in candidates] for index, name in enumerate(columns)}


def _statement(state: State, mapping: TableMapping) -> sql.Composed:
    types = mapping.record.types
    columns = (
        sql.SQL("{}::text" if types[name] is Any else "{}").format(sql.Identifier(name))
        for name in mapping.record.fields
    )
    arrays = (
        sql.SQL("{}::bigint[]" if types[name] is int else "{}::text[]").format(sql.Placeholder(name))
        for name in mapping.record.key
    )
    return state.sql(
        _SELECT,
        table=sql.Identifier(LOOK_UPS if mapping is CLAIMS_V2 else mapping.table),
        columns=sql.SQL(", ").join(columns),
        key=sql.SQL(", ").join(map(sql.Identifier, mapping.record.key)),
        arrays=sql.SQL(", ").join(arrays),
    )


def _wanted(layout: Layout, key: RowKey, rows: list[tuple[Any, ...]]) -> Wanted:
    if not rows:
        return None
    if len(rows) > 1:
        return Unstorable(_SEVERAL)
    try:
        item = encode(layout, layout.record.make(rows[0]))
    except OverflowError:
        return Unstorable(_UNREADABLE)
    if (problem := key_problem(key) or _problem(layout, item)) is not None:
        return Unstorable(problem)
    if _DATA in item and _DATA in layout.record.types:
        item[_DATA] = {"S": _OUTSIDE_ASCII.sub(_escaped, item[_DATA]["S"])}
    return item


def _escaped(found: re.Match[str]) -> str:
    """Return characters of JSON text as the library writes them."""
    return json.dumps(found[0])[1:-1]


def _problem(layout: Layout, item: Item) -> str | None:
    limits = DynamoLimits(layout)
    for name in layout.indexes.values():
        if name in item and (problem := limits.field(layout.record, name, item[name]["S"])) is not None:
            return problem
    try:
        check_item(item)
    except Fault as fault:
        return fault.reason
    return None


def is_equal(layout: Layout, stored: Item | None, wanted: Item | None) -> bool:
    """Tell whether an item has the wanted attributes, leaving out of account those that the layout does not know."""
    if stored is None or wanted is None:
        return stored is wanted
    return not _different(layout, stored, wanted)


def answers_alike(layout: Layout, one: Item | None, other: Item | None) -> bool:
    """Tell whether the library reads the same of two items, whatever types their attributes have."""
    if is_equal(layout, one, other):
        return True
    if one is None or other is None:
        return False
    try:
        first, second = (decode(layout.record, item) for item in (one, other))
    except Fault:
        return False
    return all(map(json_values.equal, first, second))


def _different(layout: Layout, stored: Item, wanted: Item) -> list[str]:
    """Return the names of the known attributes that differ."""
    return [name for name in _known(layout) if not _same(layout, name, stored.get(name), wanted.get(name))]


def _known(layout: Layout) -> list[str]:
    return [*layout.record.fields, *([layout.composed] if layout.composed else [])]


def _same(layout: Layout, name: str, one: Attribute | None, other: Attribute | None) -> bool:
    if one == other:
        return True
    if layout.record.types.get(name) is not Any or not one or not other or "S" not in one or "S" not in other:
        return False
    try:
        return json_values.equal(_exact(one["S"]), _exact(other["S"]))
    except (ValueError, RecursionError):
        return False


def _exact(text: str) -> Any:
    """Return the value of JSON text, with all digits of its numbers."""
    return json.loads(text, parse_float=Decimal)


def change(layout: Layout, key: Mapping[str, Attribute], stored: Item | None, wanted: Item | None) -> tuple[str, Json]:
    """Return the operation and the request, without the table, that make a stored item equal to the wanted one.

    Both may not be equal already. The attributes that the layout does not know stay. The request has the condition that
    the item still is as it was read: a request that arrives late, after others, then changes nothing.
    """
    if wanted is None:
        return "DeleteItem", _deletion(layout, key, stored or {})
    if stored is None:
        expression = Expression()
        condition = {"ConditionExpression": expression.absent(layout.hash)} | expression.arguments()
        return "PutItem", {"Item": wanted, **condition}
    return "UpdateItem", _update(layout, key, stored, wanted)


def _deletion(layout: Layout, key: Mapping[str, Attribute], stored: Item) -> Json:
    expression = Expression()
    small = [name for name in _known(layout) if len(str(stored.get(name))) < _SMALL]
    condition = _unchanged(expression, layout, small, stored)
    return {"Key": key, "ConditionExpression": condition} | expression.arguments()


def _update(layout: Layout, key: Mapping[str, Attribute], stored: Item, wanted: Item) -> Json:
    expression = Expression()
    names = _different(layout, stored, wanted)
    condition = _unchanged(expression, layout, names, stored)
    sets = ", ".join(expression.assign(name, wanted[name]) for name in names if name in wanted)
    removes = ", ".join(expression.name(name) for name in names if name not in wanted)
    update = " ".join(f"{clause} {what}" for clause, what in (("SET", sets), ("REMOVE", removes)) if what)
    return {"Key": key, "UpdateExpression": update, "ConditionExpression": condition} | expression.arguments()


def _unchanged(expression: Expression, layout: Layout, names: Sequence[str], stored: Item) -> str:
    """Return the condition that an item exists and still has these attributes as they were read."""
    tests = [expression.exists(layout.hash)]
    for name in names:
        if name in stored:
            tests.append(expression.compare(name, "=", stored[name]))
        else:
            tests.append(expression.absent(name))
    return " AND ".join(tests)
