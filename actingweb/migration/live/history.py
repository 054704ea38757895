"""What happened in a live migration: samples, audit trail and conflicts, without stored values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["History", "read_history"]

_LAST = 20
# As many points as a plot can show, but no more than there are samples, of which `sync` stores one in 15 s.
_SAMPLES = """
WITH recent AS (SELECT at, "values" FROM {state}.samples WHERE at > clock_timestamp() - interval '24 hours'),
     width AS (SELECT greatest(15, extract(epoch FROM max(at) - min(at)) / 240) AS seconds FROM recent)
SELECT max(at) AS at, max(("values"->>'done')::bigint) AS done,
       max(("values"->>'dirty')::bigint + ("values"->>'marks')::bigint) AS waiting,
       max(("values"->>'lag')::float) AS lag
FROM recent, width GROUP BY floor(extract(epoch FROM at) / seconds) ORDER BY 1
"""
_AUDIT = "SELECT at, by, event, details FROM {state}.audit ORDER BY id DESC LIMIT %(last)s"
_CONFLICTS = """
SELECT table_name AS table, owner, found_at, settled_at FROM {state}.conflicts ORDER BY id DESC LIMIT %(last)s
"""


@dataclass(frozen=True)
class History:
    """What happened so far; the newest event comes first, the newest sample last.

    Attributes:
        samples: `at`, `done` (rows scanned and changes applied so far), `waiting` (changes) and `lag` (seconds) of at
            most 24 hours.
        audit: `at`, `by`, `event` and `details` of the last events.
        conflicts: `table`, `owner`, `found_at` and `settled_at` of the last conflicts.
    """

    samples: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    conflicts: list[dict[str, datetime | str | None]]


def read_history(state: State, connection: Connection) -> History:
    """Return what happened. Raise `psycopg.Error`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        samples, audit, conflicts = (
            cursor.execute(state.sql(statement), {"last": _LAST}).fetchall()
            for statement in (_SAMPLES, _AUDIT, _CONFLICTS)
        )
    return History(samples, audit, conflicts)
