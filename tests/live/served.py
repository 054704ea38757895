"""The state of a live migration that has something of everything, and its status over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPConnection, HTTPMessage
from typing import Any, LiteralString
from urllib.parse import urlsplit

from psycopg import sql

from actingweb.migration.cli.serve import Monitor, serving
from actingweb.migration.live.ownership import boundary_of
from actingweb.migration.live.state import FROM_DYNAMODB, State

SECRET = "stored-value-of-a-person"
SAMPLES = 40

_FILLED: LiteralString = """
INSERT INTO {state}.tables (name, dynamodb_table, present, estimated_rows, scanned, read, written, applied,
                            applied_back, compared_at, compared_differences) VALUES
    ('actors', 'p_actors', true, 1000, true, 1000, 998, 50, 7, now() - interval '5 minutes', 2),
    ('properties', 'p_properties', true, 4000, false, 1500, 1500, 0, 0, NULL, NULL),
    ('property_lookup_v1', NULL, false, NULL, false, 0, 0, 0, 0, NULL, NULL);
INSERT INTO {state}.dirty (table_name, hash, range, marked_at, reason, accepted) VALUES
    ('properties', {secret}, '1', now() - interval '90 s', NULL, false), ('properties', 'a', '2', now(), NULL, false),
    ('properties', 'a', '3', now(), NULL, false), ('properties', 'a', '4', now(), {secret}, false),
    ('properties', 'a', '5', now(), {secret}, true);
INSERT INTO {state}.marks (table_name, hash, range) VALUES ('actors', {secret}, ''), ('actors', 'b', '');
INSERT INTO {state}.shards (stream_arn, shard_id, table_name, oldest_unread_at, read_at) VALUES
    ('arn:properties', 'shard-1', 'properties', now() - interval '6 hours', now() + interval '1 hour');
INSERT INTO {state}.leases VALUES ('process one', 'one', now() + interval '1 hour');
INSERT INTO {state}.gaps (table_name, shard_id, reason) VALUES ('properties', 'shard-0', {secret});
INSERT INTO {state}.conflicts (table_name, hash, range, owner, other_row, settled_at) VALUES
    ('properties', {secret}, 'x', 'postgresql', jsonb_build_object('value', {secret}), NULL),
    ('actors', {secret}, 'y', 'dynamodb', NULL, now());
UPDATE {state}.migration SET boundary = {boundary}, phase = 'syncing'
"""
_SAMPLE = """
INSERT INTO {state}.samples (at, "values")
SELECT now() - number * interval '1 minute', jsonb_build_object(
    'done', 6000 - 60 * number, 'dirty', number, 'marks', 1, 'rejects', 0, 'lag', number / 10.0, 'retention', 0.1)
FROM generate_series(0, %(last)s) AS number
"""


def create(state: State, details: dict[str, Any] | None = None) -> None:
    """Create the state; `details` are of an event in the audit trail."""
    by = "operator@host"
    with state.connect() as connection:
        state.create(connection, direction=FROM_DYNAMODB, prefix="p", region=None, endpoint=None, options={}, by=by)
        if details is not None:
            state.audit(connection, by, "share moved", details)


def fill(state: State) -> None:
    """Create the state with rows in all of its tables."""
    create(state, {"share": "10", "pause": 1.5})
    parts = {"secret": sql.Literal(SECRET), "boundary": sql.Literal(boundary_of(Decimal(10)))}
    with state.connect() as connection:
        connection.execute(state.sql(_FILLED, **parts))
    change(state, _SAMPLE, last=SAMPLES - 1)


def change(state: State, statement: Any, **parameters: Any) -> None:
    """Change the state."""
    with state.connect() as connection:
        connection.execute(state.sql(statement), parameters or None)


def drop(state: State) -> None:
    """Remove the state."""
    with state.connect() as connection:
        state.drop(connection)


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.text)


@contextmanager
def served(state: State) -> Iterator[str]:
    """Yield the URL of the status."""
    with serving(Monitor(state), "127.0.0.1", 0) as url:
        yield url


def ask(url: str, path: str, method: str = "GET") -> Reply:
    """Send a request."""
    connection = HTTPConnection(str(urlsplit(url).netloc))
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()
