"""Tie rows to their actor."""

from alembic import context, op

from actingweb.db.postgresql.migrations.steps import alter, count, listing

revision = "c27d4b90e5f1"
down_revision = "7be2190f6d3c"
branch_labels = None
depends_on = None

_OWNERS = {
    "properties": "id",
    "property_lookup": "actor_id",
    "trusts": "id",
    "peertrustees": "id",
    "subscriptions": "id",
    "subscription_diffs": "id",
    "subscription_suspensions": "id",
}


def upgrade() -> None:
    """Add the foreign keys. Rows of missing actors stay, are counted and leave their table's key not validated."""
    for table, owner in _OWNERS.items():
        reference = f"FOREIGN KEY ({owner}) REFERENCES actors (id) ON DELETE CASCADE NOT VALID"
        alter(table, f"ADD CONSTRAINT fk_{table}_actor {reference}")
        orphans = f"SELECT * FROM {table} t WHERE NOT EXISTS (SELECT FROM actors a WHERE a.id = t.{owner})"  # noqa: S608
        rows = count(orphans)
        if rows:
            _report(table, rows, orphans)
        else:
            alter(table, f"VALIDATE CONSTRAINT fk_{table}_actor")
    # Changed columns and new indexes have no statistics, and nothing else would soon gather them.
    for table in (*_OWNERS, "actors", "attributes"):
        op.execute(f"ANALYZE {table}")


def downgrade() -> None:
    """Remove the foreign keys."""
    for table in _OWNERS:
        alter(table, f"DROP CONSTRAINT fk_{table}_actor")


def _report(table: str, rows: int, orphans: str) -> None:
    context.config.print_stdout(
        f"{rows} rows of {table} belong to no actor. They stay, and fk_{table}_actor is not validated. "
        f"List: {listing(orphans)}"
    )
