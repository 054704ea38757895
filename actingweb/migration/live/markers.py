"""Marker items: written to see in the streams that they arrive, and deleted at once.

Each is noted in the state before it is written, so that what a killed process left behind can be deleted.
"""

from collections.abc import Sequence

from actingweb.migration.live.dynamodb import Requests
from actingweb.migration.live.keys import RowKey
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["remove_markers", "write_markers"]

_NOTE = """
INSERT INTO {state}.markers (table_name, hash, dynamodb_table)
SELECT %(name)s, hash, %(table)s FROM unnest(%(hashes)s::text[]) AS hash
"""
_LEFT = "SELECT table_name, hash, dynamodb_table FROM {state}.markers ORDER BY table_name, hash"
_FORGET = "DELETE FROM {state}.markers WHERE table_name = %(name)s AND hash = ANY(%(hashes)s)"


def write_markers(
    state: State, connection: Connection, requests: Requests, name: str, table: str, hashes: Sequence[str]
) -> None:
    """Write and delete markers in a DynamoDB table. Either is a record in the stream.

    Raise `SourceError` and `psycopg.Error`.
    """
    connection.execute(state.sql(_NOTE), {"name": name, "table": table, "hashes": list(hashes)})
    for hash_ in hashes:
        requests.call("PutItem", {"TableName": table, "Item": _key(name, hash_)})
        requests.call("DeleteItem", {"TableName": table, "Key": _key(name, hash_)})
    connection.execute(state.sql(_FORGET), {"name": name, "hashes": list(hashes)})


def remove_markers(state: State, connection: Connection, requests: Requests) -> None:
    """Delete the markers that a process left behind. Raise `SourceError` and `psycopg.Error`."""
    for name, hash_, table in connection.execute(state.sql(_LEFT)).fetchall():
        requests.call("DeleteItem", {"TableName": table, "Key": _key(name, hash_)})
        connection.execute(state.sql(_FORGET), {"name": name, "hashes": [hash_]})


def _key(name: str, hash_: str) -> dict[str, dict[str, str]]:
    return RowKey(name, hash_, "-").item_key
