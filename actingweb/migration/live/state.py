"""The state of a live migration: a schema of its own beside that of the application.

Everything that a process must not lose is in it, so that any other process can go on.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from actingweb.migration.errors import UsageError
from actingweb.migration.live.keys import MARKER
from actingweb.migration.target.connection import Connection, Target

__all__ = [
    "FLIPPED",
    "FORMAT",
    "FROM_DYNAMODB",
    "FROM_POSTGRESQL",
    "MARKER",
    "PREPARED",
    "ROLLED_BACK",
    "SYNCING",
    "Migration",
    "State",
    "StateError",
]

FORMAT = 1
"""The version of the schema."""

FROM_DYNAMODB, FROM_POSTGRESQL = "from dynamodb", "from postgresql"
PREPARED, SYNCING, FLIPPED, ROLLED_BACK = "prepared", "syncing", "flipped", "rolled back"

_SUFFIX = "_migration"
_LONGEST_NAME = 63

_CREATE: LiteralString = """
CREATE SCHEMA IF NOT EXISTS {state};
CREATE TABLE IF NOT EXISTS {state}.migration (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), format int NOT NULL, direction text NOT NULL, phase text NOT NULL,
    prefix text, region text, endpoint text, options jsonb NOT NULL DEFAULT '{{}}',
    started_at timestamptz NOT NULL DEFAULT now(), started_by text NOT NULL,
    boundary bigint NOT NULL DEFAULT 0, moving_to bigint, system_owner text NOT NULL DEFAULT 'dynamodb');
CREATE TABLE IF NOT EXISTS {state}.tables (
    name text PRIMARY KEY, dynamodb_table text, stream_arn text, present boolean NOT NULL, estimated_rows bigint,
    scanned boolean NOT NULL DEFAULT false, read bigint NOT NULL DEFAULT 0, written bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0, applied_back bigint NOT NULL DEFAULT 0,
    compared_at timestamptz, compared_differences bigint, described_at timestamptz);
CREATE TABLE IF NOT EXISTS {state}.segments (
    table_name text, segment int, checkpoint text, done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (table_name, segment));
CREATE TABLE IF NOT EXISTS {state}.shards (
    stream_arn text, shard_id text, table_name text NOT NULL, parent_id text, position text,
    finished boolean NOT NULL DEFAULT false, read_at timestamptz, caught_up_at timestamptz,
    oldest_unread_at timestamptz, iterator text, marker text, opened_after timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_arn, shard_id));
CREATE TABLE IF NOT EXISTS {state}.dirty (
    table_name text COLLATE "C", hash text COLLATE "C", range text COLLATE "C" NOT NULL DEFAULT '',
    marked_at timestamptz NOT NULL DEFAULT now(), due_at timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0, reason text, accepted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (table_name, hash, range));
CREATE INDEX IF NOT EXISTS dirty_fresh ON {state}.dirty (table_name, hash, range) WHERE reason IS NULL;
CREATE INDEX IF NOT EXISTS dirty_rejects ON {state}.dirty (due_at) WHERE reason IS NOT NULL;
CREATE INDEX IF NOT EXISTS dirty_orphans ON {state}.dirty (hash) WHERE reason IS NOT NULL;
CREATE TABLE IF NOT EXISTS {state}.marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, hash text NOT NULL,
    range text NOT NULL, marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL DEFAULT now(), reason text, accepted boolean NOT NULL DEFAULT false);
CREATE TABLE IF NOT EXISTS {state}.leases (
    name text PRIMARY KEY, holder text NOT NULL, expires_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS {state}.gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, shard_id text, reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(), closed_at timestamptz);
CREATE TABLE IF NOT EXISTS {state}.conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, hash text NOT NULL,
    range text NOT NULL, owner text NOT NULL, owner_digest text, other_digest text, other_row jsonb,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(), settled_at timestamptz);
CREATE TABLE IF NOT EXISTS {state}.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by text NOT NULL, event text NOT NULL, details jsonb NOT NULL DEFAULT '{{}}');
CREATE TABLE IF NOT EXISTS {state}.markers (
    table_name text, hash text, dynamodb_table text NOT NULL, PRIMARY KEY (table_name, hash));
CREATE TABLE IF NOT EXISTS {state}.samples (at timestamptz NOT NULL DEFAULT clock_timestamp(), "values" jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS {state}.claims_v2 (lookup_key text, property_name text, actor_id text);
CREATE TABLE IF NOT EXISTS {state}.claims_v1 (property_name text, value text, actor_id text);
CREATE TABLE IF NOT EXISTS {state}.claimed_names (name text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS {state}.comparison (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), began_at timestamptz NOT NULL, equal_at timestamptz);
CREATE TABLE IF NOT EXISTS {state}.changed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, hash text NOT NULL,
    range text NOT NULL)
"""
_DROP = "DROP SCHEMA IF EXISTS {state} CASCADE"
_INSERT = """
INSERT INTO {state}.migration (format, direction, phase, prefix, region, endpoint, options, started_by)
VALUES (%(format)s, %(direction)s, %(phase)s, %(prefix)s, %(region)s, %(endpoint)s, %(options)s, %(by)s)
ON CONFLICT DO NOTHING
"""
_READ: LiteralString = """
SELECT format, direction, phase, prefix, region, endpoint, options, started_at, started_by, boundary, moving_to,
       system_owner
FROM {state}.migration
"""
_EXISTS = "SELECT to_regclass(%(name)s) IS NOT NULL"
_SET_PHASE = "UPDATE {state}.migration SET phase = %(phase)s"
# An advisory lock is fair, unlike a lock on a row: who waits for it gets it before those who come later.
_LOCK: LiteralString = "SELECT pg_advisory_xact_lock{}(hashtextextended(%(name)s, 20261127))"
_TABLES = "SELECT name, dynamodb_table FROM {state}.tables WHERE present"
_FORGET_COMPARISON = "DELETE FROM {state}.comparison"
_AUDIT = "INSERT INTO {state}.audit (by, event, details) VALUES (%(by)s, %(event)s, %(details)s)"

_NONE = "there is no live migration of schema {}: run `migrate prepare` first"
_OTHER = "schema {} belongs to another live migration ({}): end that one by `migrate finish` first"
_OPTIONS = "the live migration of schema {} was prepared with {}: do the same, or end it by `migrate finish` first"
_NEWER = "schema {} is from another release of this tool (format {}, this one has {}): use that release"
_NAMES = {
    "indexed_properties": "INDEXED_PROPERTIES",
    "segments": "--segments",
    "enable_streams": "--enable-streams",
    "on_conflict": "--on-conflict",
    "use_lookup_table": "USE_PROPERTY_LOOKUP_TABLE",
}
"""What the user sets an option by."""
_TOO_LONG = 'the name of schema "{}" has {} bytes: the state of a live migration needs a name of at most {}'


class StateError(UsageError):
    """The state of the live migration does not allow the command, or there is none."""


@dataclass(frozen=True)
class Migration:
    """The migration as it is now.

    Attributes:
        format: the version of the schema.
        direction: `FROM_DYNAMODB` or `FROM_POSTGRESQL`.
        phase: `PREPARED`, `SYNCING`, `FLIPPED` or `ROLLED_BACK`.
        prefix, region, endpoint: where the DynamoDB tables are; no endpoint is that of AWS.
        options: of `prepare`, such as the indexed properties.
        boundary, moving_to, system_owner: who owns which actors.
    """

    format: int
    direction: str
    phase: str
    prefix: str | None
    region: str | None
    endpoint: str | None
    options: dict[str, Any]
    started_at: datetime
    started_by: str
    boundary: int
    moving_to: int | None
    system_owner: str

    @property
    def place(self) -> tuple[str | None, str | None, str | None]:
        """Where the DynamoDB tables are: prefix, region and endpoint."""
        return self.prefix, self.region, self.endpoint

    @property
    def named_place(self) -> str:
        """Where they are, for the user. A URL can have a password, which is left out."""
        host = "AWS" if self.endpoint is None else urlsplit(self.endpoint).netloc.rpartition("@")[2]
        return f"prefix {self.prefix}, region {self.region}, at {host}"

    @property
    def indexed_properties(self) -> tuple[str, ...]:
        """The properties whose values have look-up rows even if nobody claims them."""
        return tuple(self.options.get("indexed_properties", ()))


@dataclass(frozen=True)
class State:
    """The state schema of the migration into, or out of, a schema of the application.

    Its methods run in the transaction of the caller, if there is one, and raise `psycopg.Error`.
    """

    target: Target

    def __post_init__(self) -> None:
        longest = _LONGEST_NAME - len(_SUFFIX)
        if (size := len(self.target.schema.encode())) > longest:
            raise StateError(_TOO_LONG.format(self.target.schema, size, longest))

    @property
    def name(self) -> str:
        """The name of the state schema."""
        return self.target.schema + _SUFFIX

    def sql(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """Return a statement with its placeholders filled in: {state}, {schema} and those of `parts`."""
        return self.target.sql(statement, state=sql.Identifier(self.name), **parts)

    def connect(self) -> Connection:
        """Return a new connection in autocommit mode, see `Target.connect`."""
        return self.target.connect()

    def create(
        self,
        connection: Connection,
        *,
        direction: str,
        prefix: str | None,
        region: str | None,
        endpoint: str | None,
        options: dict[str, Any],
        by: str,
    ) -> Migration:
        """Create the schema if it is absent; return the migration, which begins as `PREPARED`.

        `options` have JSON values. Raise `StateError` if the schema belongs to a migration in another direction, of
        other tables or with other options.
        """
        with connection.transaction():
            # Two that create the same schema at once would collide.
            self.lock_appliers(connection, exclusive=True)
            connection.execute(self.sql(_CREATE))
            values = {"format": FORMAT, "phase": PREPARED, "direction": direction, "by": by}
            values |= {"prefix": prefix, "region": region, "endpoint": endpoint, "options": Jsonb(options)}
            if connection.execute(self.sql(_INSERT), values).rowcount:
                self.audit(connection, by, "prepare", {"direction": direction, **options})
            found = self.read(connection)
            if (found.direction, *found.place) != (direction, prefix, region, endpoint):
                raise StateError(_OTHER.format(self.name, f"{found.direction}, {found.named_place}"))
            other = [name for name in options if found.options.get(name) != options[name]]
            if other:
                former = [f"{_NAMES.get(name, name)} {json.dumps(found.options.get(name))}" for name in other]
                raise StateError(_OPTIONS.format(self.name, ", ".join(former)))
        return found

    def drop(self, connection: Connection) -> None:
        """Remove the schema with all that is in it."""
        connection.execute(self.sql(_DROP))

    def exists(self, connection: Connection) -> bool:
        """Tell whether there is a migration."""
        name = sql.Identifier(self.name, "migration").as_string(connection)
        return connection.execute(_EXISTS, {"name": name}).fetchone() == (True,)

    def read(self, connection: Connection, lock: LiteralString = "") -> Migration:
        """Return the migration; `lock`, as `FOR SHARE`, makes those wait who want to change it.

        Raise `StateError` if there is none, or if another release made it.
        """
        try:
            row = connection.execute(self.sql(_READ + lock)).fetchone()
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
            row = None
        if row is None:
            raise StateError(_NONE.format(self.target.schema))
        found = Migration(*row)
        if found.format != FORMAT:
            raise StateError(_NEWER.format(self.name, found.format, FORMAT))
        return found

    def lock_appliers(self, connection: Connection, *, exclusive: bool) -> None:
        """Take the lock that every applier shares, until the transaction ends.

        Who takes it `exclusive` waits until what appliers have begun is committed, and they wait meanwhile. Take it
        before any other lock.
        """
        statement = sql.SQL(_LOCK).format(sql.SQL("" if exclusive else "_shared"))
        connection.execute(statement, {"name": self.name})

    def set_phase(self, connection: Connection, phase: str, by: str) -> None:
        """Change the phase, and record who did."""
        with connection.transaction():
            connection.execute(self.sql(_SET_PHASE), {"phase": phase})
            self.audit(connection, by, phase, {})

    def dynamodb_tables(self, connection: Connection) -> dict[str, str]:
        """Return the names of the DynamoDB tables that exist, by the names of their mappings."""
        return dict(connection.execute(self.sql(_TABLES)).fetchall())

    def forget_comparison(self, connection: Connection) -> None:
        """Let the next comparison be one of everything, as not all changes since the last one are recorded."""
        connection.execute(self.sql(_FORGET_COMPARISON))

    def audit(self, connection: Connection, by: str, event: str, details: dict[str, Any]) -> None:
        """Record an event in the audit trail. `details` has no stored value."""
        connection.execute(self.sql(_AUDIT), {"by": by, "event": event, "details": Jsonb(details)})
