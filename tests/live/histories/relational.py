"""PostgreSQL's side: the writes of an application, and the rows that are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection, sql

from actingweb.db.utils import compute_lookup_key
from actingweb.migration.mapping import CLAIMS_V2, LOOK_UPS, TableMapping
from actingweb.migration.target.connection import Target
from tests.live.histories.expected import Row, comparable

__all__ = ["Relational"]

AnyConnection = Connection[tuple[Any, ...]]

_HOLDS = """
SELECT actor_id FROM {schema}.property_lookup AS claim
JOIN {schema}.properties ON id = actor_id AND name = property_name AND value = %(value)s
WHERE lookup_key = %(key)s
"""
_CLAIM = """
INSERT INTO {schema}.property_lookup (lookup_key, property_name, actor_id) VALUES (%(key)s, %(name)s, %(actor)s)
ON CONFLICT (lookup_key) DO UPDATE SET actor_id = excluded.actor_id
"""
_RELEASE = "DELETE FROM {schema}.property_lookup WHERE lookup_key = %(key)s AND actor_id = %(actor)s"
_VALUE = "SELECT value FROM {schema}.properties WHERE (id, name) = (%(actor)s, %(name)s)"


class Relational:
    """The tables of a schema. Raises `psycopg.Error`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def put(self, connection: AnyConnection, mapping: TableMapping, row: Row) -> None:
        """Store a row, whatever was stored with its key."""
        names = mapping.record.fields
        statement = self._target.sql(
            "INSERT INTO {schema}.{table} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {changes}",
            table=sql.Identifier(mapping.table),
            names=_joined(names),
            values=sql.SQL(", ").join(sql.Placeholder() for _ in names),
            key=_joined(mapping.record.key),
            changes=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names),
        )
        connection.execute(statement, row)

    def delete(self, connection: AnyConnection, mapping: TableMapping, row: Row) -> None:
        """Delete the row that has the key of this one."""
        key = mapping.record.key
        statement = self._target.sql(
            "DELETE FROM {schema}.{table} WHERE ({key}) = ({values})",
            table=sql.Identifier(mapping.table),
            key=_joined(key),
            values=sql.SQL(", ").join(sql.Placeholder() for _ in key),
        )
        connection.execute(statement, row[: len(key)])

    def claim(self, connection: AnyConnection, actor: str, name: str, value: str) -> None:
        """Claim the value that a property gets, unless another actor has a valid claim."""
        values = {"key": compute_lookup_key(name, value), "name": name, "actor": actor, "value": value}
        if connection.execute(self._target.sql(_HOLDS), values).fetchone() is None:
            connection.execute(self._target.sql(_CLAIM), values)

    def release(self, connection: AnyConnection, actor: str, name: str, value: str) -> None:
        """Release the claim on a value that a property loses."""
        values = {"key": compute_lookup_key(name, value), "actor": actor}
        connection.execute(self._target.sql(_RELEASE), values)

    def value(self, connection: AnyConnection, actor: str, name: str) -> str | None:
        """Return the value of a property."""
        row = connection.execute(self._target.sql(_VALUE), {"actor": actor, "name": name}).fetchone()
        return None if row is None else str(row[0])

    def rows(self, connection: AnyConnection, mapping: TableMapping) -> set[Row]:
        """Return all rows of a table; those of `CLAIMS_V2` are the look-up rows."""
        names = sql.SQL(", ").join(
            sql.SQL("data::text") if name == "data" else sql.Identifier(name) for name in mapping.record.fields
        )
        table = sql.Identifier(LOOK_UPS if mapping is CLAIMS_V2 else mapping.table)
        query = self._target.sql("SELECT {names} FROM {schema}.{table}", names=names, table=table)
        return {comparable(row) for row in connection.execute(query)}


def _joined(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
