"""The schema: its revision, what is missing of the layout, and what the role may do with it."""

from collections.abc import Callable, Iterator
from typing import Any, LiteralString, NamedTuple

from actingweb.cli.checks.findings import Finding, good, stopper, unchecked, warning
from actingweb.cli.checks.postgresql_server import Asked, Check
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.rights import missing_rights, phrase
from actingweb.db.postgresql.schema_check import hazard_of

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


def _revision(asked: Asked) -> Iterator[Finding]:
    # Row-level security has a finding of its own.
    state, schema = asked.state._replace(facts=asked.state.facts._replace(unpoliced=None)), asked.settings.schema
    if state.hazard is not None and not state.exists:
        yield unchecked(_SIDE, "schema", "the database has another encoding")
    elif not state.is_current:
        yield stopper(_SIDE, "schema", f'"{schema}": {state.problem}')
    elif state.lacking:
        yield stopper(_SIDE, "schema", f'"{schema}": missing are {", ".join(state.lacking)}', state.problem)
    else:
        yield good(_SIDE, "schema", f'"{schema}" is at revision {HEAD}, which this release needs')


def _rows(asked: Asked) -> Iterator[Finding]:
    unpoliced = asked.state.facts.unpoliced
    if unpoliced:
        yield stopper(_SIDE, "row security", hazard_of(asked.state.facts._replace(encoding=None)) or "")
    elif asked.state.facts.secured:
        yield good(_SIDE, "row security", "on, and a policy lets this role read and write")
    else:
        yield good(_SIDE, "row security", "off")


def _rights(asked: Asked) -> Iterator[Finding]:
    if not asked.state.columns:
        return
    rights = missing_rights(asked.connection, asked.settings.schema)
    if rights:
        yield stopper(_SIDE, "grants", "the role lacks rights", f"GRANT the role {phrase(rights)}")
    else:
        yield good(_SIDE, "grants", "the role may SELECT, INSERT, UPDATE and DELETE on all tables")


class _Part(NamedTuple):
    """An index or constraint of the layout.

    Attributes:
        harm: what happens without it.
        report: how bad that is.
        statement: what makes it.
    """

    table: str
    name: str
    harm: str
    report: Callable[[str, str, str, str], Finding]
    statement: str


def _indexes(asked: Asked) -> Iterator[Finding]:
    yield from _compared(asked, "indexes", _INDEXES, _layout(asked.settings.schema)[0])


def _constraints(asked: Asked) -> Iterator[Finding]:
    yield from _compared(asked, "constraints", _CONSTRAINTS, _layout(asked.settings.schema)[1])


def _compared(asked: Asked, check: str, query: LiteralString, parts: list[_Part]) -> Iterator[Finding]:
    """Yield what is missing of the parts of the layout. Another revision has others, and a missing table has none."""
    if not asked.state.is_current or not asked.state.columns:
        return
    rows = asked.connection.execute(query, [asked.settings.schema]).fetchall()
    valid = {(table, name): is_valid for table, name, is_valid in rows}
    tables = {column.partition(".")[0] for column in asked.state.columns}
    lacking = [part for part in parts if part.table in tables and not valid.get((part.table, part.name))]
    for part in lacking:
        is_there = (part.table, part.name) in valid
        text = f"{part.name} on {part.table} is {'not valid' if is_there else 'missing'}, so {part.harm}"
        yield part.report(_SIDE, check, text, f"{'drop it, then ' if is_there else ''}run `{part.statement}`")
    if not lacking:
        yield good(_SIDE, check, f"all {len(parts)} are there")


def _layout(schema: str) -> tuple[list[_Part], list[_Part]]:
    """Return the indexes, and the constraints that make keys."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import AddConstraint, CreateIndex, ForeignKeyConstraint, PrimaryKeyConstraint

    from actingweb.db.postgresql.schema import metadata

    # With another style of parameters a % would be doubled.
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
    return sorted(indexes, key=_place), sorted(constraints, key=_place)


def _place(part: _Part) -> tuple[str, str]:
    return part.table, part.name


SCHEMA_CHECKS: dict[str, Check] = {
    "schema": _revision,
    "row security": _rows,
    "grants": _rights,
    "indexes": _indexes,
    "constraints": _constraints,
}
