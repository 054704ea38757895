"""SQL statements, whose table names get the schema when they are first run."""

import re
from functools import cache
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from actingweb.db import records
from actingweb.db.records import Record

__all__ = ["Query", "Statement", "assignments", "columns", "conditions"]


_PLACEHOLDER = re.compile(rb"%(?:\((\w+)\)s|%)")


class Query(NamedTuple):
    """A statement as libpq takes it.

    Attributes:
        text: the SQL, with `$1` and so on where the parameters go.
        names: the names of the parameters, in that order.
    """

    text: bytes
    names: tuple[str, ...]


class Statement:
    """One SQL statement with named parameters.

    Args:
        template: the SQL; `{actors}` stands for that table, `{table}`, `{columns}` and `{key}` for those of `record`.
        record: the type of the rows it is about.
        parts: what stands for other names in braces.
    """

    __slots__ = ("_parts", "_query", "_record", "_schema", "_template")

    def __init__(self, template: LiteralString, record: type[Record] | None = None, **parts: sql.Composable) -> None:
        self._template = template
        self._record = record
        self._parts = parts
        self._schema: str | None = None
        self._query = Query(b"", ())

    def query(self, schema: str) -> Query:
        """Return the SQL for the tables in `schema`, for libpq."""
        if schema != self._schema:
            self._query = _positional(self.text(schema))
            self._schema = schema
        return self._query

    def text(self, schema: str) -> bytes:
        """Return the SQL for the tables in `schema`, for psycopg, with `%(name)s` where the parameters go."""
        parts: dict[str, Any] = _tables(schema) | self._parts
        if self._record is not None:
            key = self._record.key
            parts = {"columns": columns(*self._record.fields), "key": columns(*key), **parts}
            parts["table"] = parts[self._record.table]
        return sql.SQL(self._template).format(**parts).as_bytes(None)


def _positional(text: bytes) -> Query:
    names: list[str] = []

    def place(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            return b"%"
        name = found[1].decode()
        if name not in names:
            names.append(name)
        return b"$%d" % (names.index(name) + 1)

    return Query(_PLACEHOLDER.sub(place, text), tuple(names))


def columns(*names: str) -> sql.Composable:
    """Return a list of columns."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def conditions(*names: str) -> sql.Composable:
    """Return the condition that each column has the value of the parameter of its name."""
    if not names:
        return sql.SQL("TRUE")
    return sql.SQL(" AND ").join(_equation(name) for name in names)


def assignments(*names: str) -> sql.Composable:
    """Return what sets each column to the parameter of its name."""
    return sql.SQL(", ").join(_equation(name) for name in names)


def _equation(name: str) -> sql.Composable:
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))


@cache
def _tables(schema: str) -> dict[str, sql.Composable]:
    types = (getattr(records, name) for name in records.__all__ if name != Record.__name__)
    # The driver reads a single % as the beginning of a parameter.
    return {record.table: sql.Identifier(schema.replace("%", "%%"), record.table) for record in types}
