"""Checks whether the schema is the one that this release needs, and says what to run if it is not."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from actingweb.db.exceptions import DbError, DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.postgresql.constraints import ALL
from actingweb.db.postgresql.errors import concerns_layout, connect_fault, fault_of, is_forbidden
from actingweb.db.postgresql.pool import Pool
from actingweb.db.postgresql.pooled_connection import PooledConnection
from actingweb.db.postgresql.revision import EARLIER, HEAD
from actingweb.db.postgresql.rights import missing_rights, phrase
from actingweb.db.postgresql.schema_facts import TABLES, VERSIONS, Facts, facts_of

__all__ = ["COMMAND", "SchemaState", "hazard_of", "require_usable_schema", "schema_state", "with_schema_hint"]

COMMAND = f"cd {shlex.quote(str(Path(__file__).parent))} && alembic upgrade head"
"""Creates the schema, or upgrades it."""

_REVISION = re.compile(r"[0-9A-Za-z_-]{1,32}")
_KNOWN = frozenset({*EARLIER, HEAD})
# `is_ancient` looks for the column `_ANCIENT_COLUMN`, which the layouts of ActingWeb 3.15 and earlier have.
_DETAILS = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s),
        EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = %(schema)s AND tablename = %(versions)s),
        ARRAY(SELECT c.relname || '.' || a.attname FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = %(schema)s AND c.relname = ANY (%(tables)s) AND a.attnum > 0 AND NOT a.attisdropped)
"""
_ANCIENT_COLUMN = "subscriptions.peer_sub_id"
# Another application may have one or two tables with these names. A later release of this one will have most of them.
_LEAST_TABLES = len(ALL) // 2 + 1


class SchemaState(NamedTuple):
    """The state of a schema.

    Attributes:
        exists: whether the schema exists.
        versioned: whether it has Alembic's table, even if the role cannot read it.
        columns: the columns of the tables with our names, as `actors.id`.
        facts: what else is known of the schema and its server.
    """

    exists: bool
    versioned: bool
    columns: frozenset[str]
    facts: Facts

    @property
    def revisions(self) -> frozenset[str]:
        """The revisions in Alembic's table."""
        return frozenset(self.facts.revisions or ())

    @property
    def is_current(self) -> bool:
        """Whether the schema is at the revision of this release."""
        return self.revisions == {HEAD}

    @property
    def lacking(self) -> list[str]:
        """The columns that this release needs and the schema lacks, as `actors.id`."""
        return sorted({f"{record.table}.{name}" for record in ALL for name in record.fields} - self.columns)

    @property
    def has_known_revisions(self) -> bool:
        """Whether this release knows all revisions in Alembic's table."""
        return self.revisions <= _KNOWN

    @property
    def is_unreadable(self) -> bool:
        """Whether the role cannot read Alembic's table."""
        return self.versioned and self.facts.revisions is None

    @property
    def is_ancient(self) -> bool:
        """Whether the schema has the layout of ActingWeb 3.15 or earlier."""
        return _ANCIENT_COLUMN in self.columns

    @property
    def is_foreign(self) -> bool:
        """Whether another application uses Alembic's table, alone or together with this one."""
        return bool(self.revisions - _KNOWN) and (
            bool(self.revisions & _KNOWN) or not (self.is_ancient or self._has_present_layout)
        )

    @property
    def is_older(self) -> bool:
        """Whether an earlier release created the schema."""
        if self.revisions & _KNOWN:
            return HEAD not in self.revisions
        return bool(self.revisions) and self.is_ancient

    @property
    def is_newer(self) -> bool:
        """Whether a later release upgraded the schema."""
        unknown = bool(self.revisions) and not (self.revisions & _KNOWN)
        return unknown and self._has_present_layout and not self.is_ancient

    @property
    def hazard(self) -> str | None:
        """Why statements could succeed on the schema and do the wrong thing, and what to do; None if they could not."""
        if (found := hazard_of(self.facts)) is not None:
            return found
        return self.problem if self.is_older or (self.is_foreign and HEAD not in self.revisions) else None

    @property
    def problem(self) -> str:
        """Why a statement cannot run on the schema, and what to do."""
        if (found := hazard_of(self.facts)) is not None:
            return found
        if not self.exists:
            return f"the schema is missing: run `{COMMAND}`"
        if self.is_unreadable:
            return f"the schema's {VERSIONS} cannot be read: GRANT SELECT on it to the role"
        if not self.revisions:
            return f"the schema has no tables that Alembic made: run `{COMMAND}`"
        if self.is_current:
            return (
                f"a table or column is missing, though the schema is at revision {HEAD}: "
                "`alembic check` names it, `alembic upgrade head` does not restore it"
            )
        return self._problem_of_revision

    @property
    def _problem_of_revision(self) -> str:
        if self.is_foreign:
            return (
                f"{VERSIONS} holds revision {_listed(self.revisions - _KNOWN)} of another application: name a schema "
                f"of ActingWeb's own in PG_DB_SCHEMA, then run `{COMMAND}`; `alembic stamp` would overwrite the other's"
            )
        text = f"the schema is at revision {_listed(self.revisions)}, this release needs {HEAD}"
        if self.has_known_revisions:
            return f"{text}: run `{COMMAND}`"
        if self.is_ancient:
            return f"{text}: upgrade it with ActingWeb 3.15 first, then run `{COMMAND}`"
        return (
            f"{text}: a newer release made it, so run `pip install --upgrade actingweb-db`; "
            "`alembic upgrade head` of this release cannot help"
        )

    @property
    def _has_present_layout(self) -> bool:
        """Whether most tables have the keys of this release, which later releases keep."""
        keys = ({f"{record.table}.{name}" for name in record.key} for record in ALL)
        return sum(key <= self.columns for key in keys) >= _LEAST_TABLES


def hazard_of(facts: Facts) -> str | None:
    """Return what is wrong with the database or the role, and what to do; None if nothing is."""
    if _has_other_encoding(facts):
        return (
            f"the database's encoding is {facts.encoding}, ActingWeb needs UTF8: move to a database made with "
            "`CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0`"
        )
    if facts.unpoliced:
        return (
            f"row-level security has no policy for this role's {phrase(facts.unpoliced)}, so rows would seem absent: "
            "run `CREATE POLICY` for the role, or `ALTER TABLE ... DISABLE ROW LEVEL SECURITY`, or "
            "`ALTER ROLE ... BYPASSRLS`"
        )
    return None


def _has_other_encoding(facts: Facts) -> bool:
    return facts.encoding not in (None, "UTF8")


def require_usable_schema(pool: Pool, connection: PooledConnection) -> None:
    """Raise `Fault` if statements could succeed on the schema and do the wrong thing, or if the connection is lost.

    They could if an earlier release or another application created the schema, if the encoding is not UTF-8, or if
    row-level security hides all rows. Set `pool.distributed` unless a setting does. Accept a schema that is newer or
    cannot be checked: if statements do not work on it, they fail.
    """
    failure: psycopg.Error
    try:
        facts = facts_of(connection, pool.schema)
        if pool.distributed is None:
            pool.distributed = facts.distributed
        if facts.revisions == [HEAD] and hazard_of(facts) is None:
            return
        state = _state(connection, pool.schema, facts)
    except psycopg.Error as error:
        failure = error
    else:
        if (hazard := state.hazard) is not None:
            raise Fault(DbSchemaError, hazard)
        return
    if connection.closed:
        raise connect_fault(failure)


def with_schema_hint(error: Exception, pool: Pool, seconds: float) -> Fault:
    """Return the fault for the error of a statement; if the schema is the cause, its reason says what to run.

    The check of the schema needs another connection, and waits for a free one for at most `seconds`.
    """
    fault = fault_of(error)
    forbidden = is_forbidden(error)
    if not forbidden and not concerns_layout(error):
        return fault
    pool.has_known_schema = False
    try:
        connection = pool.getconn(seconds)
        try:
            if forbidden:
                return Fault(DbError, _permission(connection, pool.schema), fault.cause)
            state = schema_state(connection, pool.schema)
        finally:
            pool.putconn(connection)
    except psycopg.Error:
        return fault
    if state.is_unreadable or (state.is_current and fault.error is not DbSchemaError):
        return fault
    return Fault(DbSchemaError, state.problem, fault.cause)


def _permission(connection: psycopg.Connection[Any], schema: str) -> str:
    """Return why permission was denied, and what to grant. Raise `psycopg.Error`."""
    rights = missing_rights(connection, schema)
    if rights:
        return f"permission denied: GRANT the role {phrase(rights)}"
    return hazard_of(facts_of(connection, schema)) or (
        "permission denied, though the role has all rights on the tables: see their policies of row-level security, "
        "and the server's log"
    )


def schema_state(connection: psycopg.Connection[Any], schema: str) -> SchemaState:
    """Return the state of a schema. Raise `psycopg.Error`."""
    return _state(connection, schema, facts_of(connection, schema))


def _state(connection: psycopg.Connection[Any], schema: str, facts: Facts) -> SchemaState:
    if _has_other_encoding(facts):
        # Another encoding may lack the characters of the schema's name.
        return SchemaState(False, False, frozenset(), facts)
    values = {"schema": schema, "tables": list(TABLES), "versions": VERSIONS}
    row = connection.execute(_DETAILS, values, prepare=False).fetchone()
    exists, versioned, columns = row or (False, False, [])
    return SchemaState(exists, versioned, frozenset(columns), facts)


def _listed(revisions: frozenset[str]) -> str:
    return ", ".join(name if _REVISION.fullmatch(name) else "with an unusual name" for name in sorted(revisions))
