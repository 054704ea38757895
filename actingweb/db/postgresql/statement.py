"""SQL statements with named parameters. The first run of a statement adds the schema to the names of its tables."""

import re
from functools import cache
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from actingweb.db import records
from actingweb.db.records import Record

__all__ = ["Query", "Statement", "assignments", "columns", "conditions"]


_PLACEHOLDER = re.compile(rb"%(?:\((\w+)\)s|%)")


class Query(NamedTuple):
    """A statement in the form that libpq takes.

    Attributes:
        text: the SQL, with the placeholders `$1`, `$2` and so on.
        names: the names of the parameters, in the order of their numbers.
    """

    text: bytes
    names: tuple[str, ...]


class Statement:
    """One SQL statement with named parameters.

    Args:
        template: the SQL. `{actors}` stands for the table of that name, `{table}`, `{columns}` and `{key}` for table,
            columns and key of `record`.
        record: the type of the rows.
        parts: the SQL for other names in braces.
    """

    __slots__ = ("_parts", "_query", "_record", "_schema", "_template")

    def __init__(self, template: LiteralString, record: type[Record] | None = None, **parts: sql.Composable) -> None:
        self._template = template
        self._record = record
        self._parts = parts
        self._schema: str | None = None
        self._query = Query(b"", ())

    def query(self, schema: str) -> Query:
        """Return the statement for the tables in `schema`, in the form that libpq takes."""
        if schema != self._schema:
            self._query = _positional(self.text(schema))
            self._schema = schema
        return self._query

    def text(self, schema: str) -> bytes:
        """Return the SQL for the tables in `schema`, with psycopg's placeholders `%(name)s`."""
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
    """Return the names of columns, separated by commas."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def conditions(*names: str) -> sql.Composable:
    """Return the condition that each column equals the parameter with its name."""
    if not names:
        return sql.SQL("TRUE")
    return sql.SQL(" AND ").join(_equation(name) for name in names)


def assignments(*names: str) -> sql.Composable:
    """Return the assignments that set each column to the parameter with its name."""
    return sql.SQL(", ").join(_equation(name) for name in names)


def _equation(name: str) -> sql.Composable:
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))


@cache
def _tables(schema: str) -> dict[str, sql.Composable]:
    types = (getattr(records, name) for name in records.__all__ if name != Record.__name__)
    # psycopg reads a single % as the beginning of a placeholder.
    return {record.table: sql.Identifier(schema.replace("%", "%%"), record.table) for record in types}
