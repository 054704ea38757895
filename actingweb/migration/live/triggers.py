"""Triggers on the tables of the application, which mark the rows that it changes.

A mark is a row of its own in `marks`, so no write of the application ever waits for an applier. The triggers run with
the rights of their owner: the role of the application needs none on the state schema. What a transaction writes in
which `actingweb.sync` is `on`, as the workers set it, is not marked but recorded, see `changes`.

A value that a property gives up is marked too, as a claim of the older table, which has values: who else holds the
value may get the look-up.
"""

import time
from typing import LiteralString

import psycopg
from psycopg import sql

from actingweb.migration.errors import TargetError
from actingweb.migration.live.keys import ESCAPE, hash_expression, range_expression
from actingweb.migration.live.state import State
from actingweb.migration.mapping import CLAIMS_V1, CLAIMS_V2, LOOK_UPS, MAPPINGS, PROPERTIES, TableMapping
from actingweb.migration.target.connection import Connection

__all__ = ["MARKED", "drop_triggers", "install_triggers", "mark_all", "triggers_installed"]

MARKED: tuple[TableMapping, ...] = (*MAPPINGS, CLAIMS_V2)
"""The tables whose rows are marked. Look-up rows are marked with the key that they have in DynamoDB."""

_ROW, _TRUNCATE, _RECORD = "actingweb_mark_row", "actingweb_mark_truncate", "actingweb_record_row"
_ATTEMPTS, _PAUSE = 60, 0.5
_GIVE_UP_SOON = "SET LOCAL lock_timeout = '1s'"

_ROW_FUNCTION: LiteralString = """
CREATE FUNCTION {state}.{function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    {unless}
    IF tg_op <> 'INSERT' THEN
        INSERT INTO {state}.{keys} (table_name, hash, range) VALUES ({name}, {old});
    END IF;
    IF tg_op = 'INSERT' OR (tg_op = 'UPDATE' AND ({new_key}) IS DISTINCT FROM ({old_key})) THEN
        INSERT INTO {state}.{keys} (table_name, hash, range) VALUES ({name}, {new});
    END IF;
    {more}
    RETURN NULL;
END $body$;
REVOKE ALL ON FUNCTION {state}.{function}() FROM PUBLIC;
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {schema}.{table} FOR EACH ROW
WHEN (pg_catalog.current_setting('actingweb.sync', true) IS {synced} 'on') EXECUTE FUNCTION {state}.{function}()
"""
_UNLESS_RECORDED: LiteralString = """
    IF NOT EXISTS (SELECT FROM {state}.comparison) THEN
        RETURN NULL;
    END IF;
"""
_GIVEN_UP: LiteralString = """
    IF tg_op <> 'INSERT' AND old.value <> '' AND EXISTS (SELECT FROM {state}.claimed_names WHERE name = old.name) THEN
        IF tg_op = 'DELETE' OR (new.id, new.name, new.value) IS DISTINCT FROM (old.id, old.name, old.value) THEN
            INSERT INTO {state}.{keys} (table_name, hash, range) VALUES ({claims}, {old_name}, {old_value});
        END IF;
    END IF;
"""
# The value that a look-up was about is known by the property.
_FOUND_BY: LiteralString = """
    IF tg_op <> 'INSERT' THEN
        INSERT INTO {state}.{keys} (table_name, hash, range) VALUES ({properties}, {old_actor_id}, {old_property_name});
    END IF;
"""
_NAMES = "INSERT INTO {state}.claimed_names SELECT unnest(%(names)s::text[]) ON CONFLICT DO NOTHING"

# Truncated rows are marked before they are gone.
_TRUNCATE_FUNCTION: LiteralString = """
CREATE FUNCTION {state}.{truncate_function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    INSERT INTO {state}.marks (table_name, hash, range) SELECT {name}, {stored} FROM {schema}.{table} AS stored;
    RETURN NULL;
END $body$;
REVOKE ALL ON FUNCTION {state}.{truncate_function}() FROM PUBLIC;
CREATE TRIGGER {truncate} BEFORE TRUNCATE ON {schema}.{table} FOR EACH STATEMENT
WHEN (pg_catalog.current_setting('actingweb.sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION {state}.{truncate_function}()
"""
# The triggers go with their functions. Dropping them by name takes the owner of the table.
_DROP: LiteralString = """
DROP FUNCTION IF EXISTS {state}.{mark_function}(), {state}.{record_function}(), {state}.{truncate_function}() CASCADE
"""
# A trigger that was disabled, or made for a table that was replaced since, marks nothing.
_INSTALLED: LiteralString = """
SELECT count(*) FROM pg_catalog.pg_trigger AS made
JOIN pg_catalog.pg_class AS owner ON owner.oid = made.tgrelid
JOIN pg_catalog.pg_namespace AS place ON place.oid = owner.relnamespace
WHERE place.nspname = %(schema)s AND owner.relname = ANY(%(tables)s) AND made.tgname = ANY(%(names)s)
  AND made.tgenabled IN ('O', 'A')
"""
_MARK_ALL: LiteralString = """
INSERT INTO {state}.marks (table_name, hash, range) SELECT {name}, {stored} FROM {schema}.{table} AS stored
"""


def install_triggers(state: State, connection: Connection) -> None:
    """Create the triggers, or replace them. Raise `psycopg.Error`, and `TargetError` if a table stays locked.

    Every transaction that was writing to a table has ended then, and all later ones are marked.
    """
    names = list(state.read(connection).indexed_properties)
    connection.execute(state.sql(_NAMES), {"names": names})
    for mapping in MARKED:
        made = _row_trigger(state, mapping, "marks"), _row_trigger(state, mapping, "changed")
        _when_free(
            connection, mapping, _filled(state, _DROP, mapping), *made, _filled(state, _TRUNCATE_FUNCTION, mapping)
        )


def drop_triggers(state: State, connection: Connection) -> None:
    """Remove the triggers. Raise `psycopg.Error`, and `TargetError` if a table stays locked."""
    for mapping in MARKED:
        _when_free(connection, mapping, _filled(state, _DROP, mapping))


def _when_free(connection: Connection, mapping: TableMapping, *statements: sql.Composed) -> None:
    """Execute statements that lock a table, in one transaction, when nobody else has it for long.

    Whoever waits for such a lock makes all later writers wait behind it, so it gives up soon and tries again.
    """
    for _ in range(_ATTEMPTS):
        try:
            with connection.transaction():
                connection.execute(_GIVE_UP_SOON)
                for statement in statements:
                    connection.execute(statement)
            return
        except psycopg.errors.LockNotAvailable:
            time.sleep(_PAUSE)
    raise TargetError(f"{_table(mapping)} is locked by a long transaction: end it, and run the command again")


def triggers_installed(state: State, connection: Connection) -> bool:
    """Tell whether every table has its triggers and none is disabled. Raise `psycopg.Error`."""
    tables = [_table(mapping) for mapping in MARKED]
    values = {"schema": state.target.schema, "tables": tables, "names": [_ROW, _TRUNCATE, _RECORD]}
    return connection.execute(_INSTALLED, values).fetchone() == (3 * len(tables),)


def mark_all(state: State, connection: Connection, mapping: TableMapping) -> int:
    """Mark every row of a table; return how many there are. Raise `psycopg.Error`."""
    return connection.execute(_filled(state, _MARK_ALL, mapping)).rowcount


def _table(mapping: TableMapping) -> str:
    """Return the PostgreSQL table whose rows are marked under the name of a mapping."""
    return LOOK_UPS if mapping is CLAIMS_V2 else mapping.table


def _row_trigger(state: State, mapping: TableMapping, keys: str) -> sql.Composed:
    """Return what creates the trigger that adds the keys of changed rows to the table `marks` or `changed`."""
    marks = keys == "marks"
    more: sql.Composable = sql.SQL("")
    names: dict[str, sql.Composable] = {"keys": sql.Identifier(keys), "claims": sql.Literal(CLAIMS_V1.name)}
    if mapping is PROPERTIES:
        more = state.sql(_GIVEN_UP, **names, **_old("name", "value"))
    elif mapping is CLAIMS_V2 and not marks:
        properties = sql.Literal(PROPERTIES.name)
        more = state.sql(_FOUND_BY, **names, properties=properties, **_old("actor_id", "property_name"))
    return _filled(
        state,
        _ROW_FUNCTION,
        mapping,
        keys=sql.Identifier(keys),
        trigger=sql.Identifier(_ROW if marks else _RECORD),
        function=sql.Identifier(f"{'mark' if marks else 'record'}_{_table(mapping)}"),
        synced=sql.SQL("DISTINCT FROM" if marks else "NOT DISTINCT FROM"),
        unless=sql.SQL("") if marks else state.sql(_UNLESS_RECORDED),
        more=more,
    )


def _old(*columns: str) -> dict[str, sql.Composable]:
    """Return SQL for columns of the old row, as the state schema stores texts."""
    return {f"old_{name}": sql.SQL(ESCAPE).format(sql.Identifier("old", name)) for name in columns}


def _filled(state: State, statement: LiteralString, mapping: TableMapping, **parts: sql.Composable) -> sql.Composed:
    table = _table(mapping)
    return state.sql(
        statement,
        **parts,
        name=sql.Literal(mapping.name),
        table=sql.Identifier(table),
        truncate=sql.Identifier(_TRUNCATE),
        mark_function=sql.Identifier(f"mark_{table}"),
        record_function=sql.Identifier(f"record_{table}"),
        truncate_function=sql.Identifier(f"mark_truncated_{table}"),
        old=_key(mapping, "old"),
        new=_key(mapping, "new"),
        stored=_key(mapping, "stored"),
        old_key=_columns(mapping, "old"),
        new_key=_columns(mapping, "new"),
    )


def _key(mapping: TableMapping, row: LiteralString) -> sql.Composed:
    return sql.SQL("{}, {}").format(hash_expression(mapping, row), range_expression(mapping, row))


def _columns(mapping: TableMapping, row: LiteralString) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(row, name) for name in mapping.record.key)
