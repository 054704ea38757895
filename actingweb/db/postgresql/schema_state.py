"""Describes the state of a schema: whether it is the one that this release needs, and what to run if it is not."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from actingweb.db.postgresql.constraints import ALL
from actingweb.db.postgresql.revision import EARLIER, HEAD
from actingweb.db.postgresql.rights import missing_rights, phrase
from actingweb.db.postgresql.schema_facts import TABLES, VERSIONS, Facts, facts_of

__all__ = ["COMMAND", "SchemaState", "denial_of", "hazard_of", "schema_state"]

COMMAND = f"cd {shlex.quote(str(Path(__file__).parent))} && alembic upgrade head"
"""Creates the schema, or upgrades it."""

_REVISION = "[0-9A-Za-z_-]{1,32}"
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
    if facts.has_other_encoding:
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


def schema_state(connection: psycopg.Connection[Any], schema: str, facts: Facts | None = None) -> SchemaState:
    """Return the state of a schema whose `facts` may be known already. Raise `psycopg.Error`."""
    facts = facts or facts_of(connection, schema)
    if facts.has_other_encoding:
        # Another encoding may lack the characters of the schema's name.
        return SchemaState(False, False, frozenset(), facts)
    values = {"schema": schema, "tables": list(TABLES), "versions": VERSIONS}
    row = connection.execute(_DETAILS, values, prepare=False).fetchone()
    exists, versioned, columns = row or (False, False, [])
    return SchemaState(exists, versioned, frozenset(columns), facts)


def denial_of(connection: psycopg.Connection[Any], schema: str) -> str:
    """Return why permission was denied, and what to grant. Raise `psycopg.Error`."""
    rights = missing_rights(connection, schema)
    if rights:
        return f"permission denied: GRANT the role {phrase(rights)}"
    return hazard_of(facts_of(connection, schema)) or (
        "permission denied, though the role has all rights on the tables: see their policies of row-level security, "
        "and the server's log"
    )


def _listed(revisions: frozenset[str]) -> str:
    known = (name if re.fullmatch(_REVISION, name) else "with an unusual name" for name in sorted(revisions))
    return ", ".join(known)
