"""What follows from loaded rows: the look-up rows of indexed properties, and the planner's statistics."""

from collections.abc import Sequence

from psycopg import sql

from actingweb.migration.tables import FORMS
from actingweb.migration.target import Connection, Target, unlimited

__all__ = ["LOOKUP_KEY", "analyze", "insert_missing_claims"]

# Without a backslash, which means another thing if standard_conforming_strings is off.
LOOKUP_KEY = sql.SQL(
    "encode(sha256(convert_to(name, 'UTF8') || decode('00', 'hex') || convert_to(value, 'UTF8')), 'hex')"
)
"""The key of a property's look-up row."""

_INSERT_CLAIMS = """
INSERT INTO {schema}.property_lookup (lookup_key, property_name, actor_id)
SELECT {lookup_key}, name, min(id COLLATE "C")
FROM {schema}.properties
WHERE name = ANY(%(names)s) AND value <> '' AND EXISTS (SELECT FROM {schema}.actors WHERE actors.id = properties.id)
GROUP BY name, value
ON CONFLICT (lookup_key) DO NOTHING
"""


def insert_missing_claims(target: Target, connection: Connection, names: Sequence[str]) -> int:
    """Claim each value of the properties `names` that nobody claims for the smallest id that has it.

    Return how many claims were made. Raise `psycopg.Error`.
    """
    with connection.transaction():
        unlimited(connection)
        statement = target.sql(_INSERT_CLAIMS, lookup_key=LOOKUP_KEY)
        return connection.execute(statement, {"names": list(names)}).rowcount


def analyze(target: Target, connection: Connection) -> None:
    """Renew the statistics of all tables. Raise `psycopg.Error`."""
    names = [*(form.name for form in FORMS), "property_lookup"]
    tables = sql.SQL(", ").join(sql.Identifier(target.schema, name) for name in names)
    with connection.transaction():
        unlimited(connection)
        connection.execute(sql.SQL("ANALYZE {}").format(tables))
