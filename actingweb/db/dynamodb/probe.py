"""The DynamoDB part of `actingweb.db.health`. It creates no table."""

from typing import Any

from actingweb.db.dynamodb._ensure import auto_create_enabled
from actingweb.db.dynamodb.layouts import ACTORS, Layout, required_layouts
from actingweb.db.dynamodb.table_check import Description, describe, is_denied, probe, problems_in
from actingweb.db.dynamodb.tables import table_of
from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.policy.operation import operation
from actingweb.db.settings import get_settings

__all__ = ["health"]


@operation("health check")
def health(*, ready: bool) -> dict[str, Any]:
    """Check the table of actors or, if `ready`, all tables. Raise `DbError` or `ConfigurationError`."""
    if not ready:
        return {} if probe(ACTORS) else {"missing": _permitted([ACTORS])}
    missing: list[Layout] = []
    unchecked: list[str] = []
    for layout in required_layouts(get_settings().use_property_lookup_table):
        try:
            table = describe(layout)
        except Fault as fault:
            if not is_denied(fault):
                raise
            # An application needs no right to DescribeTable.
            unchecked.append(fault.reason)
            exists = probe(layout)
        else:
            exists = table is not None
            _require_usable(layout, table)
        if not exists:
            missing.append(layout)
    return {"missing": _permitted(missing), "unchecked": unchecked}


def _permitted(missing: list[Layout]) -> list[str]:
    """Return the names of missing tables. Raise `Fault` if there are any and automatic creation is switched off."""
    names = [str(table_of(layout).table_name) for layout in missing]
    if names and not auto_create_enabled():
        raise Fault(
            DbSchemaError,
            f"a table is missing: {', '.join(names)}; AWS_DB_PREFIX and AWS_DEFAULT_REGION say where tables are looked "
            "for, and AWS_DB_AUTO_CREATE_TABLES=false that none is made",
        )
    return names


def _require_usable(layout: Layout, table: Description | None) -> None:
    problems = [] if table is None else problems_in(layout, table)
    if problems:
        found = "; ".join(map(str, problems))
        raise Fault(DbSchemaError, f"a table is not as needed: {found}; see python -m actingweb.db.verify_tables")
