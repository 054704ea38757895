"""The rows that one side cannot hold, as lines of a file that names those which are not to be moved."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from actingweb.migration.errors import UsageError
from actingweb.migration.live.keys import BY_NAME, RowKey
from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["accept", "key_line", "read_keys", "rejects"]

_REJECTS = """
SELECT table_name, hash, range, reason FROM {state}.dirty WHERE reason IS NOT NULL AND NOT accepted
UNION SELECT table_name, hash, range, reason FROM {state}.marks WHERE reason IS NOT NULL AND NOT accepted
ORDER BY 1, 2, 3
"""
_ACCEPT = """
WITH given AS (SELECT * FROM unnest(%(tables)s::text[], %(hashes)s::text[], %(ranges)s::text[])),
     forward AS (UPDATE {state}.dirty SET accepted = true
                 WHERE reason IS NOT NULL AND (table_name, hash, range) IN (SELECT * FROM given) RETURNING 1),
     backward AS (UPDATE {state}.marks SET accepted = true
                  WHERE reason IS NOT NULL AND (table_name, hash, range) IN (SELECT * FROM given) RETURNING 1)
SELECT (SELECT count(*) FROM forward) + (SELECT count(*) FROM backward)
"""


def rejects(state: State, connection: Connection) -> Iterator[tuple[RowKey, str]]:
    """Yield the rows that are rejected and not accepted, with the reason. Raise `psycopg.Error`."""
    for *key, reason in connection.execute(state.sql(_REJECTS)):
        yield RowKey.of_stored(*key), reason


def accept(state: State, connection: Connection, keys: Iterable[RowKey]) -> int:
    """Let rejects no longer count; return how many there were. Raise `psycopg.Error`.

    One that can be moved later is moved. If its row is rejected anew after that, it counts again.
    """
    stored = [key.stored for key in keys]
    given = {name: [key[index] for key in stored] for index, name in enumerate(("tables", "hashes", "ranges"))}
    ((count,),) = connection.execute(state.sql(_ACCEPT), given)
    return int(count)


def key_line(key: RowKey, what: str) -> str:
    """Return a line about a row: its table, its key in DynamoDB, and what is to be said of it."""
    item_key = {name: value["S"] for name, value in key.item_key.items()}
    return json.dumps({"table": key.table, "key": item_key, "what": what}) + "\n"


def read_keys(path: Path) -> list[RowKey]:
    """Return the keys of a file of such lines. Raise `UsageError` naming a line that is none."""
    try:
        with path.open(encoding="utf-8") as file:
            return [_key_of(f"{path}, line {number}", line) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _key_of(place: str, line: str) -> RowKey:
    try:
        fields: dict[str, Any] = json.loads(line)
        mapping = BY_NAME[fields["table"]]
        return RowKey.of_item(mapping, {name: {"S": text} for name, text in fields["key"].items()})
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UsageError(
            f"{place}: this is not a JSON object with the `table` and the DynamoDB `key` of a row"
        ) from None
