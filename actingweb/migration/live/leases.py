"""Leases: which process does a piece of work, until when by the clock of the server."""

from actingweb.migration.live.state import State
from actingweb.migration.target.connection import Connection

__all__ = ["SECONDS", "release_lease", "take_lease"]

SECONDS = 15
"""How long a lease lasts unless it is renewed, so that a process that died is replaced within 30 seconds."""

_TAKE = """
INSERT INTO {state}.leases AS taken (name, holder, expires_at)
VALUES (%(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE taken.expires_at < clock_timestamp() OR taken.holder = excluded.holder
"""
_RELEASE = "DELETE FROM {state}.leases WHERE name = %(name)s AND holder = %(holder)s"


def take_lease(state: State, connection: Connection, name: str, holder: str, seconds: float = SECONDS) -> bool:
    """Take or renew a lease; tell whether `holder`, which no other process uses, has it now. Raise `psycopg.Error`.

    A lease saves double work. It protects nothing by itself, since its holder can be slower than it thinks.
    """
    taken = connection.execute(state.sql(_TAKE), {"name": name, "holder": holder, "seconds": seconds})
    return taken.rowcount == 1


def release_lease(state: State, connection: Connection, name: str, holder: str) -> None:
    """Give a lease back, if `holder` has it. Raise `psycopg.Error`."""
    connection.execute(state.sql(_RELEASE), {"name": name, "holder": holder})
