"""Checks of the schema: its revision, its completeness, and the rights of the role."""

from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple

from actingweb.cli.checks.postgresql_server import Check, Inspection
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.rights import missing_rights, phrase
from actingweb.db.postgresql.schema_state import hazard_of
from actingweb.migration.findings import Finding, good, stopper, unchecked, warning

__all__ = ["SCHEMA_CHECKS"]

_SIDE = "postgresql"
_INDEXES: LiteralString = """
    SELECT t.relname, c.relname, i.indisvalid AND i.indisready FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace WHERE n.nspname = %s
"""
_CONSTRAINTS: LiteralString = """
    SELECT t.relname, c.conname, c.convalidated FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
    WHERE n.nspname = %s AND c.contype IN ('p', 'f')
"""
_WITHOUT_KEY = "writes fail, or rows come twice"
_WITHOUT_OWNER = "rows of deleted actors stay behind"


def _revision(inspection: Inspection) -> Iterator[Finding]:
    # Row-level security has its own check.
    facts = inspection.state.facts._replace(unpoliced=None)
    state, schema = inspection.state._replace(facts=facts), inspection.settings.schema
    if state.hazard is not None and not state.exists:
        yield unchecked(_SIDE, "schema", "the database has another encoding")
    elif not state.is_current:
        yield stopper(_SIDE, "schema", f'"{schema}": {state.problem}')
    elif state.lacking:
        yield stopper(_SIDE, "schema", f'"{schema}" lacks {", ".join(state.lacking)}', state.problem)
    else:
        yield good(_SIDE, "schema", f'"{schema}" is at revision {HEAD}, which this release needs')


def _rows(inspection: Inspection) -> Iterator[Finding]:
    unpoliced = inspection.state.facts.unpoliced
    if unpoliced:
        yield stopper(_SIDE, "row security", hazard_of(inspection.state.facts._replace(encoding=None)) or "")
    elif inspection.state.facts.secured:
        yield good(_SIDE, "row security", "on, and a policy lets this role read and write")
    else:
        yield good(_SIDE, "row security", "off")


def _rights(inspection: Inspection) -> Iterator[Finding]:
    if not inspection.state.columns:
        return
    rights = missing_rights(inspection.connection, inspection.settings.schema)
    if rights:
        yield stopper(_SIDE, "grants", "the role lacks rights", f"GRANT the role {phrase(rights)}")
    else:
        yield good(_SIDE, "grants", "the role may SELECT, INSERT, UPDATE and DELETE on all tables")


class _Part(NamedTuple):
    """An index or constraint of the layout.

    Attributes:
        harm: what happens without it.
        report: returns a finding of the right level.
        statement: the SQL that creates it.
    """

    table: str
    name: str
    harm: str
    report: Callable[[str, str, str, str], Finding]
    statement: str

    def finding(self, check: str, *, exists: bool) -> Finding:
        """Return the finding that the part is missing or, if it exists, not valid."""
        text = f"{self.name} on {self.table} is {'not valid' if exists else 'missing'}, so {self.harm}"
        return self.report(_SIDE, check, text, f"{'drop it, then ' if exists else ''}run `{self.statement}`")


def _indexes(inspection: Inspection) -> Iterator[Finding]:
    yield from _compared(inspection, "indexes", _INDEXES, _layout(inspection.settings.schema)[0])


def _constraints(inspection: Inspection) -> Iterator[Finding]:
    yield from _compared(inspection, "constraints", _CONSTRAINTS, _layout(inspection.settings.schema)[1])


def _compared(inspection: Inspection, check: str, query: LiteralString, parts: list[_Part]) -> Iterator[Finding]:
    """Yield the missing parts of the layout, unless the schema is at another revision. Skip missing tables."""
    if not inspection.state.is_current or not inspection.state.columns:
        return
    rows = inspection.connection.execute(query, [inspection.settings.schema]).fetchall()
    valid = {(table, name): is_valid for table, name, is_valid in rows}
    tables = {column.partition(".")[0] for column in inspection.state.columns}
    lacking = [part for part in parts if part.table in tables and not valid.get((part.table, part.name))]
    for part in lacking:
        yield part.finding(check, exists=(part.table, part.name) in valid)
    if not lacking:
        yield good(_SIDE, check, f"all {len(parts)} exist")


def _layout(schema: str) -> tuple[list[_Part], list[_Part]]:
    """Return the indexes, and the primary and foreign keys."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import AddConstraint, CreateIndex, ForeignKeyConstraint, PrimaryKeyConstraint

    from actingweb.db.postgresql.schema import metadata

    # The default style of parameters would double each %.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]

    def statement(element: Any) -> str:
        options: dict[str, Any] = {"schema_translate_map": {None: schema}, "render_schema_translate": True}
        return " ".join(str(element.compile(dialect=dialect, **options)).split())

    indexes, constraints = [], []
    for table in metadata.sorted_tables:
        for index in table.indexes:
            text = statement(CreateIndex(index))
            indexes.append(_Part(table.name, str(index.name), "searches read the whole table", warning, text))
        for constraint in table.constraints:
            if isinstance(constraint, PrimaryKeyConstraint | ForeignKeyConstraint):
                harm = _WITHOUT_OWNER if isinstance(constraint, ForeignKeyConstraint) else _WITHOUT_KEY
                text = statement(AddConstraint(constraint, isolate_from_table=False))
                constraints.append(_Part(table.name, str(constraint.name), harm, stopper, text))
    return sorted(indexes, key=_order), sorted(constraints, key=_order)


def _order(part: _Part) -> tuple[str, str]:
    return part.table, part.name


SCHEMA_CHECKS: dict[str, Check] = {
    "schema": _revision,
    "row security": _rows,
    "grants": _rights,
    "indexes": _indexes,
    "constraints": _constraints,
}
