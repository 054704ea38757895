"""Texts of any length, times with zone, keys in byte order."""

from alembic import op

from actingweb.db.postgresql.migrations.steps import Obstacle, alter, collate, instants, local_times, stop_at

revision = "7be2190f6d3c"
down_revision = "93f5c6a8104e"
branch_labels = None
depends_on = None

_TEXTS = {
    "actors": {"creator": 255},
    "trusts": {
        "type": 255,
        "relationship": 255,
        "secret": 255,
        "verification_token": 255,
        "peer_identifier": 255,
        "established_via": 255,
        "last_connected_via": 255,
        "client_name": 255,
        "client_version": 255,
        "client_platform": 255,
        "oauth_client_id": 255,
        "aw_version": 50,
    },
    "peertrustees": {"type": 255},
}


def upgrade() -> None:
    """Change the columns."""
    c = collate()
    ids = [f"ALTER {name} TYPE varchar(255){c}" for name in ("id", "peerid")]
    alter("actors", ids[0], *_texts("actors"), *instants("created_at"), "ALTER created_at SET DEFAULT now()")
    alter("properties", ids[0], f"ALTER name TYPE text{c}")
    alter("trusts", *ids, *_texts("trusts"), *instants("created_at", "last_accessed"))
    alter("peertrustees", *ids, *_texts("peertrustees"))
    op.execute("ALTER INDEX ix_actors_creator RENAME TO idx_actors_creator")
    op.execute("CREATE INDEX idx_properties_value ON properties (name, hashtextextended(value, 0))")


def downgrade() -> None:
    """Stop, changing nothing, if a text is longer than its old column."""
    stop_at(_too_long(table) for table in _TEXTS)
    ids = [f"ALTER {name} TYPE varchar(255)" for name in ("id", "peerid")]
    op.execute("DROP INDEX idx_properties_value")
    op.execute("ALTER INDEX idx_actors_creator RENAME TO ix_actors_creator")
    alter("peertrustees", *ids, *_limited("peertrustees"))
    alter("trusts", *ids, *_limited("trusts"), *local_times("created_at", "last_accessed"))
    alter("properties", ids[0], "ALTER name TYPE text")
    alter("actors", ids[0], *_limited("actors"), "ALTER created_at DROP DEFAULT", *local_times("created_at"))


def _texts(table: str) -> list[str]:
    return [f"ALTER {name} TYPE text" for name in _TEXTS[table]]


def _limited(table: str) -> list[str]:
    return [f"ALTER {name} TYPE varchar({width})" for name, width in _TEXTS[table].items()]


def _too_long(table: str) -> Obstacle:
    tests = " OR ".join(f"char_length({name}) > {width}" for name, width in _TEXTS[table].items())
    widths = " or ".join(str(width) for width in sorted(set(_TEXTS[table].values()), reverse=True))
    return Obstacle(
        f"rows of {table} with a text of more than {widths} characters",
        f"SELECT * FROM {table} WHERE {tests}",  # noqa: S608
    )
