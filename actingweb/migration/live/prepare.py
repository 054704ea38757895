"""The preparation of a live migration from DynamoDB: streams on, shards stored, before the first page is scanned."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.rights import require_rights
from actingweb.migration.live.state import FROM_DYNAMODB, State
from actingweb.migration.live.tables import Found, SourceTables, open_table, store_table
from actingweb.migration.mapping import ACTORS, CLAIMS, LOOK_UPS, MAPPINGS, TableMapping
from actingweb.migration.target.connection import Connection, target_errors

__all__ = ["Preparation", "prepare"]

_HAS_ROWS = "SELECT EXISTS (SELECT FROM {schema}.{table})"
_BEGUN = "SELECT EXISTS (SELECT FROM {state}.segments WHERE checkpoint IS NOT NULL OR done)"


@dataclass(frozen=True)
class Preparation:
    """How to prepare.

    Attributes:
        prefix: of the DynamoDB tables, see `DynamoDBSource`.
        region, endpoint: where the tables are; no endpoint is that of AWS.
        indexed_properties: the properties whose values have look-up rows even if nobody claims them.
        segments: of each scan.
        enable_streams: whether streams that are off may be switched on; otherwise they are an error.
        by: who does it, for the audit trail.
        on_conflict: of a write to the side that does not own its actor: `owner` restores the owner's row at once,
            `stop` leaves both rows to the operator and keeps the gate closed.
    """

    prefix: str
    region: str | None
    endpoint: str | None
    indexed_properties: Sequence[str]
    segments: int
    enable_streams: bool
    by: str
    on_conflict: str = "owner"


def prepare(
    state: State,
    requests: Requests,
    options: Preparation,
    progress: Callable[[str], None],
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Create the state of a migration from DynamoDB and store all shards of the streams; repeat it after a failure.

    `progress` is called with lines for the user. Raise `UsageError`, `SourceError` or `TargetError`. Nothing but the
    state is written in PostgreSQL, and in DynamoDB nothing but the setting of a stream, if that is allowed.
    """
    tables = SourceTables(requests, options.prefix, sleep)
    with state.connect() as connection, target_errors():
        state.target.check(connection)
        written = (*(mapping.table for mapping in MAPPINGS), LOOK_UPS)
        names = [sql.Identifier(state.target.schema, table) for table in written]
        require_rights(connection, state.name, "UPDATE", names)
        found = {mapping: tables.find(mapping) for mapping in (*MAPPINGS, *CLAIMS)}
        _check_source(tables, found, options)
        _create(state, connection, options)
        for mapping, table in found.items():
            if table is None:
                with connection.transaction():
                    store_table(state, connection, mapping, None)
                progress(f"{mapping.name}: there is no table yet; it is looked for again")
                continue
            if table.stream_arn is None:
                progress(f"{mapping.name}: switching the stream of {table.name} on")
            shards = open_table(state, connection, tables, table, options.segments)
            progress(f"{mapping.name}: the stream of {table.name} is enabled, with {shards} shards")


def _check_source(tables: SourceTables, found: dict[TableMapping, Found | None], options: Preparation) -> None:
    if found[ACTORS] is None:
        names = " or ".join(tables.names(ACTORS))
        raise SourceError(
            f"there is no DynamoDB table {names}: check --table-prefix (AWS_DB_PREFIX), the region, and the account"
        )
    off = [table.name for table in found.values() if table is not None and table.stream_arn is None]
    if off and not options.enable_streams:
        raise UsageError(f"the streams of {', '.join(off)} are off: switch them on, or let --enable-streams do it")


def _create(state: State, connection: Connection, options: Preparation) -> None:
    chosen = {
        "indexed_properties": list(options.indexed_properties),
        "segments": options.segments,
        "enable_streams": options.enable_streams,
        "on_conflict": options.on_conflict,
    }
    with connection.transaction():
        state.create(
            connection,
            direction=FROM_DYNAMODB,
            prefix=options.prefix,
            region=options.region,
            endpoint=options.endpoint,
            options=chosen,
            by=options.by,
        )
        if not _is_true(connection, state.sql(_BEGUN)):
            _require_empty(state, connection)


def _require_empty(state: State, connection: Connection) -> None:
    """Raise `UsageError` if there are rows that the migration did not load, since nothing would make them equal."""
    statement: LiteralString = _HAS_ROWS
    for table in (*(mapping.table for mapping in MAPPINGS), LOOK_UPS):
        if _is_true(connection, state.sql(statement, table=sql.Identifier(table))):
            raise UsageError(f'{table} in schema "{state.target.schema}" has rows already: begin with empty tables')


def _is_true(connection: Connection, statement: sql.Composed) -> bool:
    return connection.execute(statement).fetchone() == (True,)
