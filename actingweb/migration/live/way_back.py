"""What the way from PostgreSQL to DynamoDB needs: tables, then triggers; for the first copy, a mark for every row."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from actingweb.db.dynamodb.layouts import PROPERTIES_WITH_INDEX, Layout
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.items import Json
from actingweb.migration.live.ownership import EVERYTHING, Side
from actingweb.migration.live.rights import require_rights
from actingweb.migration.live.state import FROM_DYNAMODB, FROM_POSTGRESQL, State
from actingweb.migration.live.tables import Found, SourceTables, open_table, store_shards, store_table
from actingweb.migration.live.triggers import MARKED, install_triggers, mark_all
from actingweb.migration.mapping import CLAIMS_V1, PROPERTIES, TableMapping
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["WayBack", "open_way_back", "prepare_from_postgresql"]

_POLLS, _POLL_SECONDS = 1200, 0.5
_TAKE_ALL = "UPDATE {state}.migration SET boundary = %(boundary)s, system_owner = %(owner)s WHERE phase = 'prepared'"
_IS_MARKED = "SELECT scanned FROM {state}.tables WHERE name = %(name)s"
_IS_PRESENT = "SELECT present FROM {state}.tables WHERE name = %(name)s"
_ANY_MARKED = "SELECT EXISTS (SELECT FROM {state}.tables WHERE scanned AND present)"
_SET_MARKED = "UPDATE {state}.tables SET scanned = true, read = %(rows)s WHERE name = %(name)s"


@dataclass(frozen=True)
class WayBack:
    """How to prepare a migration from PostgreSQL.

    Attributes:
        prefix: of the DynamoDB tables, see `DynamoDBSource`.
        region, endpoint: where the tables are to be; no endpoint is that of AWS.
        indexed_properties: the properties whose values can be looked up.
        use_lookup_table: as the application has it; otherwise the table of properties gets the index on values.
        by: who does it, for the audit trail.
        on_conflict: see `Preparation`.
    """

    prefix: str
    region: str | None
    endpoint: str | None
    indexed_properties: Sequence[str]
    use_lookup_table: bool
    by: str
    on_conflict: str = "owner"


def prepare_from_postgresql(
    state: State,
    requests: Requests,
    options: WayBack,
    progress: Callable[[str], None],
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Create the state of a migration from PostgreSQL, the DynamoDB tables and the triggers, and mark every row.

    Repeat it after a failure. `progress` is called with lines for the user. The rows are copied by the appliers. Raise
    `UsageError`, `SourceError` or `TargetError`.
    """
    with state.connect() as connection, target_errors():
        state.target.check(connection)
        names = [sql.Identifier(state.target.schema, mapping.record.table) for mapping in MARKED]
        require_rights(connection, state.name, "TRIGGER", names)
        _create(state, connection, options)
        tables = SourceTables(requests, options.prefix, sleep)
        _require_empty(state, connection, tables)
        open_way_back(state, connection, tables, options.use_lookup_table, progress)
        for mapping in MARKED:
            if (rows := _mark(state, connection, mapping)) is not None:
                progress(f"{mapping.name}: {rows} rows are marked to be copied")


def open_way_back(
    state: State,
    connection: Connection,
    tables: SourceTables,
    use_lookup_table: bool,
    progress: Callable[[str], None],
) -> None:
    """Create the DynamoDB tables that are missing, then the triggers: from then on every change is marked.

    A migration from DynamoDB calls it before the first actor moves. Raise `psycopg.Error`, `SourceError`, `UsageError`,
    and `TargetError` if a PostgreSQL table stays locked.
    """
    for mapping in (*MARKED, CLAIMS_V1):
        if not _is_open(state, connection, mapping):
            table = tables.find(mapping)
            if mapping is not CLAIMS_V1:
                legacy = mapping is PROPERTIES and not use_lookup_table
                layout = PROPERTIES_WITH_INDEX if legacy else mapping.layout
                table = _completed(tables, table or _created(tables, mapping, layout), layout)
                progress(f"{mapping.name}: DynamoDB has the table {table.name}")
            _store(state, connection, tables, mapping, table)
    install_triggers(state, connection)
    progress("the triggers are installed: every change in PostgreSQL is marked")


def _created(tables: SourceTables, mapping: TableMapping, layout: Layout) -> Found:
    """Create a DynamoDB table as the library does, with a stream, and return it when it can be used."""
    (name, *_) = tables.names(mapping)
    tables.requests.call("CreateTable", _creation(layout, name))
    return _usable(tables, mapping)


def _completed(tables: SourceTables, table: Found, layout: Layout) -> Found:
    """Complete a table that this migration has created, perhaps before it was interrupted: time to live and stream."""
    if layout.ttl is not None:
        about = {"TableName": table.name}
        status = tables.requests.call("DescribeTimeToLive", about)["TimeToLiveDescription"]["TimeToLiveStatus"]
        if status not in ("ENABLED", "ENABLING"):
            ttl = {"Enabled": True, "AttributeName": layout.ttl}
            tables.requests.call("UpdateTimeToLive", about | {"TimeToLiveSpecification": ttl})
    return tables.with_stream(_usable(tables, table.mapping))


def _usable(tables: SourceTables, mapping: TableMapping) -> Found:
    """Wait until a table that was just created can be used."""
    for _ in range(_POLLS):
        table = tables.find(mapping)
        if table is not None and table.usable:
            return table
        tables.sleep(_POLL_SECONDS)
    raise SourceError(f"a DynamoDB table for {mapping.name} is being created for too long: try again later")


def _creation(layout: Layout, name: str) -> Json:
    """Return the request that creates the table of a layout."""
    attributes = [*layout.key_names, *layout.indexes.values()]
    request: Json = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _keys(layout.key_names),
        "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in dict.fromkeys(attributes)],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    }
    if layout.indexes:
        request["GlobalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": _keys([attribute]), "Projection": {"ProjectionType": "ALL"}}
            for index, attribute in layout.indexes.items()
        ]
    return request


def _keys(names: Sequence[str]) -> list[Json]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def _store(
    state: State, connection: Connection, tables: SourceTables, mapping: TableMapping, table: Found | None
) -> None:
    """Store what is known of a table. One that a migration from DynamoDB lacked is scanned, though it is empty."""
    migration = state.read(connection)
    if table is not None and migration.direction == FROM_DYNAMODB:
        open_table(state, connection, tables, table, migration.options["segments"])
        return
    with connection.transaction():
        store_table(state, connection, mapping, table)
        if table is not None and table.stream_arn is not None:
            store_shards(state, connection, mapping.name, table.stream_arn, tables.shards(table))


def _is_open(state: State, connection: Connection, mapping: TableMapping) -> bool:
    """Tell whether a table is known to exist."""
    return connection.execute(state.sql(_IS_PRESENT), {"name": mapping.name}).fetchone() == (True,)


def _mark(state: State, connection: Connection, mapping: TableMapping) -> int | None:
    """Mark all rows of a table once; return how many, None if that was done before."""
    with connection.transaction():
        if connection.execute(state.sql(_IS_MARKED), {"name": mapping.name}).fetchone() == (True,):
            return None
        rows = mark_all(state, connection, mapping)
        connection.execute(state.sql(_SET_MARKED), {"name": mapping.name, "rows": rows})
    return rows


def _create(state: State, connection: Connection, options: WayBack) -> None:
    chosen = {"indexed_properties": list(options.indexed_properties), "segments": 1, "enable_streams": False}
    with connection.transaction():
        state.create(
            connection,
            direction=FROM_POSTGRESQL,
            prefix=options.prefix,
            region=options.region,
            endpoint=options.endpoint,
            options=chosen | {"use_lookup_table": options.use_lookup_table, "on_conflict": options.on_conflict},
            by=options.by,
        )
        connection.execute(state.sql(_TAKE_ALL), {"boundary": EVERYTHING, "owner": Side.POSTGRESQL})


def _require_empty(state: State, connection: Connection, tables: SourceTables) -> None:
    """Raise `UsageError` if DynamoDB has items that the migration did not copy, as nothing would make them equal."""
    if connection.execute(state.sql(_ANY_MARKED)).fetchone() == (True,):
        return
    for mapping in (*MARKED, CLAIMS_V1):
        table = tables.find(mapping)
        if table is not None and _has_items(tables, table):
            raise UsageError(f"DynamoDB table {table.name} has items already: begin with empty tables")


def _has_items(tables: SourceTables, table: Found) -> bool:
    request = {"TableName": table.name, "Limit": 1, "ConsistentRead": True}
    page = json.loads(tables.requests.call("Scan", request)["Body"])
    return bool(page["Items"] or page.get("LastEvaluatedKey"))
