"""What the revisions share."""

from collections.abc import Iterable
from dataclasses import dataclass

from alembic import op
from alembic.util import CommandError
from psycopg.sql import Identifier
from sqlalchemy import text

from actingweb.db.postgresql.schema import key_collation

__all__ = ["Obstacle", "alter", "collate", "count", "digest", "instants", "listing", "local_times", "stop_at"]


@dataclass(frozen=True)
class Obstacle:
    """Rows that a step cannot take along: what they are, and a query that lists them."""

    what: str
    query: str


def stop_at(obstacles: Iterable[Obstacle]) -> None:
    """Raise `CommandError` with the counts and queries of the obstacles that have rows."""
    counted = [(count(obstacle.query), obstacle) for obstacle in obstacles]
    found = [f"{rows} {one.what}. List: {listing(one.query)}" for rows, one in counted if rows]
    if found:
        raise CommandError("nothing was changed, because the new layout cannot hold:\n" + "\n".join(found))


def count(query: str) -> int:
    """Return how many rows `query` lists."""
    return int(op.get_bind().execute(text(f"SELECT count(*) FROM ({query}) AS rows")).scalar_one())  # noqa: S608


def listing(query: str) -> str:
    """Return `query` as text that lists the same rows in any session."""
    schema = Identifier(op.get_bind().dialect.default_schema_name or "").as_string()
    return f"SET search_path TO {schema}; {' '.join(query.split())};"


def alter(table: str, *changes: str) -> None:
    """Make all changes in one statement, so that the table is rewritten once at most, but for constraints.

    These are added after the others, by statements of their own: in a distributed schema Citus refuses anything else.
    """
    constraints = [change for change in changes if change.startswith("ADD CONSTRAINT")]
    together = ", ".join(change for change in changes if change not in constraints)
    for change in filter(None, [together, *constraints]):
        op.execute(f"ALTER TABLE {table} {change}")


def collate() -> str:
    """Return the clause that makes a text column sort by bytes, empty where the database does so by itself."""
    name = key_collation(op.get_bind())
    return f' COLLATE "{name}"' if name else ""


def instants(*columns: str) -> list[str]:
    """Return the changes from UTC times without zone to times with zone."""
    return [f"ALTER {name} TYPE timestamptz USING {name} AT TIME ZONE 'UTC'" for name in columns]


def local_times(*columns: str) -> list[str]:
    """Return the changes from times with zone to UTC times without zone."""
    return [f"ALTER {name} TYPE timestamp USING {name} AT TIME ZONE 'UTC'" for name in columns]


def digest(name: str, value: str) -> str:
    """Return the SQL of the look-up key of two text expressions, as `compute_lookup_key` makes it."""
    # Without a backslash, which means another thing if standard_conforming_strings is off.
    pair = f"convert_to({name}, 'UTF8') || decode('00', 'hex') || convert_to({value}, 'UTF8')"
    return f"encode(sha256({pair}), 'hex')"
