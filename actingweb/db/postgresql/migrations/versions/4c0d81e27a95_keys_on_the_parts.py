"""Key rows by the parts of the composed columns."""

from actingweb.db.postgresql.migrations.steps import Obstacle, alter, collate, instants, local_times, stop_at

revision = "4c0d81e27a95"
down_revision = "e5f6a7b8c9d0"
branch_labels = None
depends_on = None

_KEYS = {
    "subscriptions": ("id", "peerid", "subid"),
    "subscription_diffs": ("id", "subid", "seqnr"),
    "attributes": ("id", "bucket", "name"),
}
_COMPOSED = {
    "subscriptions": ("peer_sub_id", "peerid || ':' || subid"),
    "subscription_diffs": ("subid_seqnr", "subid || ':' || seqnr"),
    "attributes": ("bucket_name", "bucket || ':' || name"),
}
_TEXTS = {
    "subscriptions": ("granularity", "target", "subtarget", "resource"),
    "subscription_suspensions": ("target", "subtarget"),
    "attributes": ("bucket", "name"),
}
_NUMBERED = ("subscriptions", "subscription_diffs")


def upgrade() -> None:
    """Stop, changing nothing, if rows have the same parts under different composed keys."""
    stop_at(_clashes())
    c = collate()
    key = {table: _key(table, columns) for table, columns in _KEYS.items()}
    alter(
        "subscriptions",
        *("DROP CONSTRAINT subscriptions_pkey", "DROP peer_sub_id"),
        *_types(f"varchar(255){c}", "id", "peerid", "subid"),
        *_types("text", "granularity", "target", "subtarget", "resource"),
        *("ALTER seqnr TYPE bigint", key["subscriptions"]),
    )
    alter(
        "subscription_diffs",
        *("DROP CONSTRAINT subscription_diffs_pkey", "DROP subid_seqnr"),
        *_types(f"varchar(255){c}", "id", "subid"),
        *("ALTER seqnr TYPE bigint", *instants("timestamp"), key["subscription_diffs"]),
    )
    alter(
        "subscription_suspensions",
        *_types(f"varchar(255){c}", "id"),
        *_types(f"text{c}", "target", "subtarget"),
        "ALTER subtarget SET DEFAULT ''",
    )
    alter(
        "attributes",
        *("DROP CONSTRAINT attributes_pkey", "DROP bucket_name"),
        *_types(f"varchar(255){c}", "id"),
        *_types(f"text{c}", "bucket", "name"),
        *instants("timestamp"),
        "ADD bucket_name text GENERATED ALWAYS AS (bucket || ':' || name) STORED",
        key["attributes"],
    )


def downgrade() -> None:
    """Stop, changing nothing, if rows do not fit the old columns."""
    stop_at([*_too_long(), *_too_big(), *_composing_alike()])
    for table, (composed, _) in _COMPOSED.items():
        alter(
            table,
            *(f"DROP CONSTRAINT {table}_pkey", f"DROP COLUMN IF EXISTS {composed}"),
            f"ADD {composed} varchar(255)",
        )
    alter(
        "subscriptions",
        *_types("varchar(255)", "id", "peerid", "subid", *_TEXTS["subscriptions"]),
        *("ALTER seqnr TYPE integer", *_rebuilt("subscriptions")),
    )
    alter(
        "subscription_diffs",
        *_types("varchar(255)", "id", "subid"),
        *("ALTER seqnr TYPE integer", *local_times("timestamp"), *_rebuilt("subscription_diffs")),
    )
    alter(
        "subscription_suspensions",
        *_types("varchar(255)", "id", "target", "subtarget"),
        "ALTER subtarget SET DEFAULT ''",
    )
    alter(
        "attributes",
        *_types("varchar(255)", "id", "bucket", "name"),
        *(*local_times("timestamp"), *_rebuilt("attributes")),
    )


def _types(kind: str, *columns: str) -> list[str]:
    return [f"ALTER {column} TYPE {kind}" for column in columns]


def _key(table: str, columns: tuple[str, ...]) -> str:
    return f"ADD CONSTRAINT {table}_pkey PRIMARY KEY ({', '.join(columns)})"


def _rebuilt(table: str) -> list[str]:
    composed, parts = _COMPOSED[table]
    return [
        f"ALTER {composed} TYPE varchar(255) USING {parts}",
        f"ALTER {composed} SET NOT NULL",
        _key(table, ("id", composed)),
    ]


def _clashes() -> list[Obstacle]:
    return [_alike(f"keys of {table} that several rows have", table, key) for table, key in _KEYS.items()]


def _composing_alike() -> list[Obstacle]:
    return [
        _alike(f"values of {composed} that several rows of {table} compose to", table, ("id", parts))
        for table, (composed, parts) in _COMPOSED.items()
    ]


def _alike(what: str, table: str, parts: tuple[str, ...]) -> Obstacle:
    listed = ", ".join(parts)
    query = f"SELECT {listed}, count(*) FROM {table} GROUP BY {listed} HAVING count(*) > 1"  # noqa: S608
    return Obstacle(what, query)


def _too_long() -> list[Obstacle]:
    widths = {table: list(columns) for table, columns in _TEXTS.items()}
    for table, (_, parts) in _COMPOSED.items():
        widths.setdefault(table, []).append(parts)
    return [
        Obstacle(f"rows of {table} with a text of more than 255 characters", _longer(table, texts))
        for table, texts in widths.items()
    ]


def _longer(table: str, texts: list[str]) -> str:
    tests = " OR ".join(f"char_length({text}) > 255" for text in texts)
    return f"SELECT * FROM {table} WHERE {tests}"  # noqa: S608


def _too_big() -> list[Obstacle]:
    return [
        Obstacle(
            f"rows of {table} with a number of more than 32 bits",
            f"SELECT * FROM {table} WHERE seqnr NOT BETWEEN -2147483648 AND 2147483647",  # noqa: S608
        )
        for table in _NUMBERED
    ]
