"""The reads and writes that are the same for all tables. Their statements are built from the record types."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, ClassVar, Generic, LiteralString

from psycopg import sql

from actingweb.db.policy.entity import Limits, R
from actingweb.db.postgresql.executor import read, write
from actingweb.db.postgresql.limits import LIMITS
from actingweb.db.postgresql.statement import Statement, assignments, columns, conditions
from actingweb.db.records import Record

__all__ = ["Rows", "select_many_statement", "select_statement", "update_statement", "upsert_statement"]


class Rows(Generic[R]):
    """Reads and writes the rows of one record type.

    The statements of this module for a key or a whole record name their parameters in the order of its columns, so they
    take the tuple itself as parameters. All other statements take their parameters by name.
    """

    record: ClassVar[Any]
    limits: ClassVar[Limits] = LIMITS

    @classmethod
    def _read(cls, *key: Any) -> R | None:
        rows = read(select_statement(cls.record, len(key)), key)
        if not rows:
            return None
        row: R = cls.record.make(rows[0])
        return row

    @classmethod
    def _list(cls, *key: Any) -> list[R]:
        return cls._as_records(read(select_statement(cls.record, len(key)), key))

    @classmethod
    def _read_many(cls, actor_id: str, parts: list[str]) -> list[R]:
        return cls._as_records(read(select_many_statement(cls.record), {cls.record.key[0]: actor_id, "parts": parts}))

    @classmethod
    def _insert(cls, record: R) -> bool:
        return write(_insert(cls.record), record).rowcount == 1

    @classmethod
    def _update(cls, record: R, changes: Mapping[str, Any]) -> bool:
        statement = update_statement(cls.record, tuple(changes))
        return write(statement, {**record.asdict(), **changes}).rowcount == 1

    @classmethod
    def _delete(cls, *key: Any) -> None:
        cls._wipe(*key)

    @classmethod
    def _wipe(cls, *key: Any) -> None:
        cls._wipe_and_count(*key)

    @classmethod
    def _wipe_and_count(cls, *key: Any) -> int:
        """Delete the rows whose key begins with these parts and return their number."""
        return write(_delete(cls.record, len(key)), key).rowcount

    @classmethod
    def _as_records(cls, rows: list[tuple[Any, ...]]) -> list[R]:
        """Return the rows as records."""
        return list(map(cls.record.make, rows))


@cache
def select_statement(record: type[Record], parts: int) -> Statement:
    order = record.key[parts:]
    template: LiteralString = "SELECT {columns} FROM {table} WHERE {conditions}"
    if order:
        template += " ORDER BY {order}"
    return Statement(template, record, conditions=conditions(*record.key[:parts]), order=columns(*order))


@cache
def select_many_statement(record: type[Record]) -> Statement:
    """Return the statement that reads the rows of one actor whose second key part is one of `parts`."""
    return Statement(
        "SELECT {columns} FROM {table} WHERE {conditions} AND {part} = ANY(%(parts)s)",
        record,
        conditions=conditions(record.key[0]),
        part=columns(record.key[1]),
    )


@cache
def _insert(record: type[Record]) -> Statement:
    return Statement(
        "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO NOTHING",
        record,
        values=_placeholders(record),
    )


@cache
def _delete(record: type[Record], parts: int) -> Statement:
    return Statement("DELETE FROM {table} WHERE {conditions}", record, conditions=conditions(*record.key[:parts]))


def upsert_statement(record: type[Record], kept: tuple[str, ...] = (), returning: LiteralString = "") -> Statement:
    """Return the statement that stores a whole row. If a column in `kept` has a stored value, it stays."""
    others = [name for name in record.fields if name not in record.key]
    template: LiteralString = (
        "INSERT INTO {table} AS stored ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )
    return Statement(
        template + returning,
        record,
        values=_placeholders(record),
        changes=sql.SQL(", ").join(_overwritten(name, name in kept) for name in others),
    )


@lru_cache(maxsize=1024)
def update_statement(record: type[Record], names: tuple[str, ...], condition: LiteralString = "") -> Statement:
    """Return the statement that writes the columns `names` of one row if `condition`, which begins with AND, holds."""
    template: LiteralString = "UPDATE {table} SET {changes} WHERE {row}"
    return Statement(template + condition, record, changes=assignments(*names), row=conditions(*record.key))


def _overwritten(name: str, kept: bool) -> sql.Composable:
    if kept:
        return sql.SQL("{0} = COALESCE(stored.{0}, excluded.{0})").format(sql.Identifier(name))
    # Faster than `format`, which matters because the statements are built at import.
    return sql.SQL(" = excluded.").join([sql.Identifier(name)] * 2)


def _placeholders(record: type[Record]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Placeholder, record.fields))
