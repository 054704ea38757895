"""The keys of rows as DynamoDB has them, and how PostgreSQL stores and computes them.

A change record has nothing but this key, and a composed key cannot be split for sure. So what is made equal is always
the item with a key on one side, and all rows with that key on the other.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from actingweb.db.dynamodb.items import Item
from actingweb.db.dynamodb.layouts import DELIMITER
from actingweb.migration.mapping import CLAIMS, MAPPINGS, TableMapping

__all__ = [
    "BY_NAME",
    "ESCAPE",
    "MARKER",
    "RowKey",
    "arrays",
    "by_table",
    "hash_expression",
    "is_marker",
    "is_storable",
    "range_expression",
    "row_keys",
]

MARKER = "_actingweb_marker_"
"""What the hash key of a marker row begins with: a row that is written to see it arrive, and is never moved."""

BY_NAME: Mapping[str, TableMapping] = {mapping.name: mapping for mapping in (*MAPPINGS, *CLAIMS)}
"""All tables by name."""

_UNSTORABLE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|[0-9a-f]{4})")
ESCAPE: LiteralString = "replace({}, chr(92), chr(92) || chr(92))"
"""SQL for a text of PostgreSQL as the state schema stores it."""


class RowKey(NamedTuple):
    """The key of an item.

    Attributes:
        table: the name of the `TableMapping`.
        hash, range: the texts of the key attributes; `range` is empty if the table has none.
    """

    table: str
    hash: str
    range: str = ""

    @classmethod
    def of_item(cls, mapping: TableMapping, item: Mapping[str, Mapping[str, Any]]) -> "RowKey":
        """Return the key of an item, or of the `Keys` of a stream record. Raise `KeyError` if it has none of texts."""
        return cls(mapping.name, *(item[name]["S"] for name in mapping.layout.key_names))

    @classmethod
    def of_row(cls, mapping: TableMapping, values: tuple[Any, ...]) -> "RowKey":
        """Return the key of a PostgreSQL row, whose columns begin with those of the record's key."""
        return cls(mapping.name, *mapping.layout.key_texts(values[: len(mapping.record.key)]))

    @classmethod
    def of_stored(cls, table: str, hash_: str, range_: str) -> "RowKey":
        """Return the key of a row of the state schema."""
        return cls(table, _plain(hash_), _plain(range_))

    @property
    def stored(self) -> tuple[str, str, str]:
        """The key as the state schema has it: without U+0000 and lone surrogates, which PostgreSQL cannot store."""
        return self.table, _escaped(self.hash), _escaped(self.range)

    @property
    def mapping(self) -> TableMapping:
        """The table."""
        return BY_NAME[self.table]

    @property
    def item_key(self) -> Item:
        """The key attributes, for a request."""
        names = self.mapping.layout.key_names
        return {name: {"S": text} for name, text in zip(names, (self.hash, self.range), strict=False)}


def arrays(keys: Iterable[RowKey]) -> dict[str, list[str]]:
    """Return the parameters `tables`, `hashes` and `ranges` of a statement, which are keys as the schema has them."""
    stored = [key.stored for key in keys]
    return {name: [key[index] for key in stored] for index, name in enumerate(("tables", "hashes", "ranges"))}


def by_table(keys: Iterable[RowKey]) -> Iterator[tuple[str, list[RowKey]]]:
    """Yield the name of each table with its keys, in order."""
    for table, group in groupby(sorted(keys), key=lambda key: key.table):
        yield table, list(group)


def is_marker(key: RowKey) -> bool:
    """Tell whether this is the key of a marker row."""
    return key.hash.startswith(MARKER)


def row_keys(key: RowKey) -> list[tuple[Any, ...]]:
    """Return the keys of all PostgreSQL rows that can have this key, as values of the columns of the record's key.

    There is one for a table without composed keys. None has U+0000 or a lone surrogate.
    """
    if not is_storable(key.hash + key.range):
        return []
    columns, layout = key.mapping.record.key, key.mapping.layout
    if not layout.composed:
        return [(key.hash, key.range)[: len(columns)]]
    return [(key.hash, *parts) for parts in _splits(key.range, key.mapping.record.types[columns[2]] is int)]


def _splits(composed: str, numbered: bool) -> Iterator[tuple[Any, ...]]:
    """Yield the pairs of parts that join to a composed key; the second part is a number if `numbered`."""
    pieces = composed.split(DELIMITER)
    pairs = {("", composed), (composed, "")}
    for count in range(1, len(pieces)):
        pairs.add((DELIMITER.join(pieces[:count]), DELIMITER.join(pieces[count:])))
    for first, second in sorted(pairs):
        # A split beside a leading or trailing delimiter has an empty part, which joining leaves out.
        if DELIMITER.join(part for part in (first, second) if part) != composed:
            continue
        if not numbered:
            yield first, second
        elif (number := _number(second)) is not None:
            yield first, number


def _number(text: str) -> int | None:
    """Return the number that is written like this and fits into a column."""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > len(str(-(2**63))):
        return None
    number = int(text)
    return number if str(number) == text and -(2**63) <= number < 2**63 else None


def hash_expression(mapping: TableMapping, row: LiteralString) -> sql.Composed:
    """Return SQL for the hash key, as the state schema stores it, of the row `row`."""
    return sql.SQL(ESCAPE).format(sql.Identifier(row, mapping.record.key[0]))


def range_expression(mapping: TableMapping, row: LiteralString) -> sql.Composed:
    """Return SQL for the range key, as the state schema stores it, of the row `row`."""
    parts = [sql.SQL("nullif({}::text, '')").format(sql.Identifier(row, name)) for name in mapping.record.key[1:]]
    joined = sql.SQL("concat_ws({}, {})").format(DELIMITER, sql.SQL(", ").join(parts))
    return sql.SQL(ESCAPE).format(joined) if parts else sql.SQL("{}").format("")


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL can store a text: it has neither U+0000 nor lone surrogates."""
    return all(part == "\\" for part in _UNSTORABLE.findall(text))


def _escaped(text: str) -> str:
    return _UNSTORABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return "\\\\" if found[0] == "\\" else f"\\{ord(found[0]):04x}"


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1], 16)), text)
