"""Key look-up rows by a digest, which takes values of any size."""

from alembic import op
from psycopg.errors import ProgramLimitExceeded
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from actingweb.db.postgresql.migrations.steps import Obstacle, alter, collate, digest, stop_at
from actingweb.db.settings import Settings

revision = "93f5c6a8104e"
down_revision = "4c0d81e27a95"
branch_labels = None
depends_on = None

_DIGEST = digest("p.name", "p.value")
# The smallest actor id in byte order, of the actors that exist.
_BACKFILL = f"""
    INSERT INTO property_lookup (lookup_key, property_name, actor_id)
    SELECT {_DIGEST}, p.name, min(p.id COLLATE "C")
    FROM properties p JOIN actors a ON a.id = p.id
    WHERE p.name = ANY(:names) AND p.value <> ''
    GROUP BY 1, 2
    ON CONFLICT (lookup_key) DO NOTHING
"""  # noqa: S608
_RESTORE_VALUES = f"""
    UPDATE property_lookup l SET value = p.value
    FROM properties p JOIN actors a ON a.id = p.id
    WHERE p.id = l.actor_id AND p.name = l.property_name AND {_DIGEST} = l.lookup_key
"""  # noqa: S608
_LONG_VALUES = """
    SELECT p.id, p.name, octet_length(p.value)
    FROM property_lookup l JOIN properties p ON p.id = l.actor_id AND p.name = l.property_name
    WHERE octet_length(p.name) + octet_length(p.value) > 2600
"""


def upgrade() -> None:
    """Replace the values by digests and add the rows that are missing."""
    c = collate()
    alter(
        "property_lookup",
        *("DROP CONSTRAINT fk_property_lookup_actor", "DROP CONSTRAINT property_lookup_pkey"),
        f"ALTER value TYPE text{c} USING {digest('property_name', 'value')}",
        f"ALTER actor_id TYPE varchar(255){c}",
        "ALTER property_name TYPE text",
        "ADD CONSTRAINT property_lookup_pkey PRIMARY KEY (value)",
    )
    op.execute("ALTER TABLE property_lookup RENAME value TO lookup_key")
    op.get_bind().execute(text(_BACKFILL), {"names": _indexed_names()})


def downgrade() -> None:
    """Take the values from the properties, dropping look-up rows without one.

    Stop, changing nothing, if a name or a value is too long for the old layout.
    """
    stop_at(
        [
            Obstacle(
                "look-up rows with a property name of more than 255 characters",
                "SELECT actor_id, property_name FROM property_lookup WHERE char_length(property_name) > 255",
            )
        ]
    )
    alter("property_lookup", "ADD value text")
    op.execute(_RESTORE_VALUES)
    op.execute("DELETE FROM property_lookup WHERE value IS NULL")
    alter(
        "property_lookup",
        *("DROP lookup_key", "ALTER value SET NOT NULL"),
        *("ALTER property_name TYPE varchar(255)", "ALTER actor_id TYPE varchar(255)"),
    )
    _key_by_value()
    alter(
        "property_lookup",
        "ADD CONSTRAINT fk_property_lookup_actor FOREIGN KEY (actor_id) REFERENCES actors (id)"
        " ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    )


def _indexed_names() -> list[str]:
    names = Settings.from_environment().indexed_properties
    return [name for name in names if not name.startswith("list:")]


def _key_by_value() -> None:
    try:
        with op.get_bind().begin_nested():
            alter("property_lookup", "ADD CONSTRAINT property_lookup_pkey PRIMARY KEY (property_name, value)")
    except OperationalError as error:
        if isinstance(error.orig, ProgramLimitExceeded):
            stop_at([Obstacle("look-up rows with a value that an index may not hold", _LONG_VALUES)])
        raise
