"""Parts of the statements that compare and repair staged and stored rows."""

from typing import Any, LiteralString

from psycopg import sql

from actingweb.migration.mapping import TableMapping

__all__ = ["column_parts", "compared_columns", "is_owned"]

_OWNERLESS = frozenset({"actors", "attributes"})
"""Tables whose rows need not belong to an actor."""

_DIFFERS = sql.SQL("{staged} IS DISTINCT FROM {stored}")
_VALUE = sql.SQL("CASE WHEN staged.id IS NOT NULL AND stored.id IS NOT NULL AND {differs} THEN {value}::text END")


def compared_columns(mapping: TableMapping) -> list[str]:
    """Return the columns to compare: all but the key, on which the rows are joined."""
    return [name for name in mapping.record.fields if name not in mapping.record.key]


def is_owned(mapping: TableMapping) -> bool:
    """Tell whether each row of a table must belong to an actor."""
    return mapping.name not in _OWNERLESS


def column_parts(mapping: TableMapping, show_values: bool) -> dict[str, sql.Composable]:
    """Return parts of statements that compare the columns of `staged` and `stored` rows."""
    staged = [_value(mapping, "staged", name) for name in compared_columns(mapping)]
    stored = [_value(mapping, "stored", name) for name in compared_columns(mapping)]
    differ = [_DIFFERS.format(staged=one, stored=other) for one, other in zip(staged, stored, strict=True)]
    comma = sql.SQL(", ")
    return {
        "differ": comma.join(differ),
        "differs": sql.SQL("({})").format(sql.SQL(" OR ").join(differ)),
        "staged_values": comma.join(map(_shown, differ, staged) if show_values else ()),
        "stored_values": comma.join(map(_shown, differ, stored) if show_values else ()),
    }


def _value(mapping: TableMapping, side: LiteralString, name: str) -> sql.Composable:
    """Return an expression that is equal only for identical values.

    As `jsonb`, 1.0 and 1.00 are equal; as text they are not. The other types are compared as they are.
    """
    column = sql.Identifier(side, name)
    return sql.SQL("{}::text").format(column) if mapping.record.types[name] is Any else column


def _shown(differs: sql.Composable, value: sql.Composable) -> sql.Composed:
    return _VALUE.format(differs=differs, value=value)
