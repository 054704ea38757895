"""The layout of ActingWeb 3.13 to 3.15."""

from alembic import op

revision = "e5f6a7b8c9d0"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE actors (
        id varchar(255) NOT NULL,
        creator varchar(255) NOT NULL,
        passphrase text NOT NULL,
        created_at timestamp,
        CONSTRAINT actors_pkey PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_actors_creator ON actors (creator)",
    """
    CREATE TABLE properties (
        id varchar(255) NOT NULL,
        name text NOT NULL,
        value text NOT NULL,
        CONSTRAINT properties_pkey PRIMARY KEY (id, name)
    )
    """,
    """
    CREATE TABLE property_lookup (
        property_name varchar(255) NOT NULL,
        value text NOT NULL,
        actor_id varchar(255) NOT NULL,
        CONSTRAINT property_lookup_pkey PRIMARY KEY (property_name, value),
        CONSTRAINT fk_property_lookup_actor FOREIGN KEY (actor_id) REFERENCES actors (id)
            ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
    )
    """,
    "CREATE INDEX idx_property_lookup_actor_id ON property_lookup (actor_id)",
    """
    CREATE TABLE trusts (
        id varchar(255) NOT NULL,
        peerid varchar(255) NOT NULL,
        baseuri text NOT NULL,
        type varchar(255) NOT NULL,
        relationship varchar(255) NOT NULL,
        secret varchar(255) NOT NULL,
        "desc" text,
        approved boolean NOT NULL,
        peer_approved boolean NOT NULL,
        verified boolean NOT NULL,
        verification_token varchar(255),
        peer_identifier varchar(255),
        established_via varchar(255),
        created_at timestamp,
        last_accessed timestamp,
        last_connected_via varchar(255),
        client_name varchar(255),
        client_version varchar(255),
        client_platform varchar(255),
        oauth_client_id varchar(255),
        aw_supported text,
        aw_version varchar(50),
        capabilities_fetched_at timestamptz,
        CONSTRAINT trusts_pkey PRIMARY KEY (id, peerid)
    )
    """,
    "CREATE INDEX idx_trusts_secret ON trusts (secret)",
    """
    CREATE TABLE peertrustees (
        id varchar(255) NOT NULL,
        peerid varchar(255) NOT NULL,
        baseuri text NOT NULL,
        type varchar(255) NOT NULL,
        passphrase text NOT NULL,
        CONSTRAINT peertrustees_pkey PRIMARY KEY (id, peerid)
    )
    """,
    """
    CREATE TABLE subscriptions (
        id varchar(255) NOT NULL,
        peer_sub_id varchar(255) NOT NULL,
        peerid varchar(255) NOT NULL,
        subid varchar(255) NOT NULL,
        granularity varchar(255),
        target varchar(255),
        subtarget varchar(255),
        resource varchar(255),
        seqnr integer NOT NULL,
        callback boolean NOT NULL,
        CONSTRAINT subscriptions_pkey PRIMARY KEY (id, peer_sub_id)
    )
    """,
    """
    CREATE TABLE subscription_diffs (
        id varchar(255) NOT NULL,
        subid_seqnr varchar(255) NOT NULL,
        subid varchar(255) NOT NULL,
        timestamp timestamp NOT NULL,
        diff text NOT NULL,
        seqnr integer NOT NULL,
        CONSTRAINT subscription_diffs_pkey PRIMARY KEY (id, subid_seqnr)
    )
    """,
    """
    CREATE TABLE subscription_suspensions (
        id varchar(255) NOT NULL,
        target varchar(255) NOT NULL,
        subtarget varchar(255) NOT NULL DEFAULT '',
        suspended_at timestamptz NOT NULL,
        CONSTRAINT subscription_suspensions_pkey PRIMARY KEY (id, target, subtarget)
    )
    """,
    """
    CREATE TABLE attributes (
        id varchar(255) NOT NULL,
        bucket_name varchar(255) NOT NULL,
        bucket varchar(255) NOT NULL,
        name varchar(255) NOT NULL,
        data jsonb,
        timestamp timestamp,
        ttl_timestamp bigint,
        CONSTRAINT attributes_pkey PRIMARY KEY (id, bucket_name)
    )
    """,
    "CREATE INDEX idx_attributes_ttl ON attributes (ttl_timestamp) WHERE ttl_timestamp IS NOT NULL",
    """
    CREATE INDEX idx_attributes_chain_id ON attributes ((data ->> 'chain_id'))
        WHERE (data ->> 'chain_id') IS NOT NULL
    """,
)
_TABLES = (
    "attributes",
    "subscription_suspensions",
    "subscription_diffs",
    "subscriptions",
    "peertrustees",
    "trusts",
    "property_lookup",
    "properties",
    "actors",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Remove the tables with their rows."""
    for table in _TABLES:
        op.drop_table(table)
