"""Run Alembic on the database and the schema that the settings name, in one transaction."""

import logging

from alembic import context
from alembic.util import CommandError
from psycopg.sql import Identifier
from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.schema import CreateSchema

from actingweb.db.postgresql.direct import DirectConnection, connect
from actingweb.db.postgresql.schema import build_metadata, key_collation
from actingweb.db.postgresql.schema_facts import DISTRIBUTED, facts_of
from actingweb.db.postgresql.schema_state import hazard_of, schema_state
from actingweb.db.postgresql.session import SessionError
from actingweb.db.settings import PostgresSettings, Settings


def run() -> None:
    """Run the command that Alembic was given.

    Concurrent runs wait for one another. Raise `CommandError`, with nothing changed, if this release does not know the
    revision, the database is not in UTF8, or row-level security hides rows.
    """
    if context.is_offline_mode():
        raise CommandError("the migrations look at the stored rows: --sql is not supported")
    settings = Settings.from_environment().postgresql
    session = _connected(settings)
    with _engine(session).begin() as connection:
        # First: another encoding may lack the characters of the schema's name.
        _require_usable_database(session, settings.schema)
        _enter(connection, settings.schema, session.lift_timeouts_sql)
        _require_known_revision(session, settings.schema)
        metadata = build_metadata(key_collation(connection))
        context.configure(
            connection=connection,
            target_metadata=metadata,
            include_name=lambda name, kind, _: kind != "table" or name in metadata.tables,
            compare_server_default=True,
        )
        _migrate(connection, settings.schema)


def _engine(session: DirectConnection) -> Engine:
    # Parameters may contain stored values.
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: session,
        poolclass=NullPool,
        isolation_level="READ COMMITTED",
        hide_parameters=True,
    )


def _connected(settings: PostgresSettings) -> DirectConnection:
    try:
        return connect(settings, migration=True)
    except SessionError as error:
        refusal = str(error)
    raise CommandError(refusal)


def _enter(connection: Connection, schema: str, lift_timeouts_sql: bytes) -> None:
    if lift_timeouts_sql:
        connection.execute(text(lift_timeouts_sql.decode()))
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        raise CommandError("the server is read-only: it is a standby, or default_transaction_read_only is on")
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
    connection.execute(lock, {"name": f"actingweb.db.postgresql {schema}"})
    found = text("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = :schema")
    if not connection.execute(found, {"schema": schema}).scalar():
        connection.execute(CreateSchema(schema))
    path = Identifier(schema).as_string()
    connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": path})
    connection.dialect.default_schema_name = schema


def _require_usable_database(driver: DirectConnection, schema: str) -> None:
    if (hazard := hazard_of(facts_of(driver, schema))) is not None:
        raise CommandError(hazard)


def _require_known_revision(driver: DirectConnection, schema: str) -> None:
    state = schema_state(driver, schema)
    if state.is_unreadable or not state.has_known_revisions:
        raise CommandError(state.problem)


def _migrate(connection: Connection, schema: str) -> None:
    distributed = connection.execute(text(f"SELECT {DISTRIBUTED}")).scalar_one()
    try:
        context.run_migrations()
    except NotSupportedError as error:
        if not distributed:
            raise
        name = Identifier(schema).as_string()
        raise CommandError(
            f"the server does not support a statement of the migrations: {str(error.orig).strip()}\n"
            "On Citus, change the schema before it is distributed: run "
            f"`SELECT citus_schema_undistribute('{name}')`, Alembic, then `SELECT citus_schema_distribute('{name}')`"
        ) from None


if context.config.cmd_opts is not None:
    logging.basicConfig(format="%(levelname)s [%(name)s] %(message)s")
    logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
run()
