"""What `actingweb.db.health` asks DynamoDB. Nothing here makes a table."""

from typing import Any

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb._ensure import auto_create_enabled
from actingweb.db.dynamodb.actor import Actor
from actingweb.db.dynamodb.errors import DENIED, NOT_FOUND
from actingweb.db.dynamodb.models import TableModel
from actingweb.db.dynamodb.table_check import Description, problems_in
from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import DriverError, Fault
from actingweb.db.policy.operation import operation

__all__ = ["described", "health", "is_denied", "touched"]

_NOBODY = "no actor has this id"


@operation("health check")
def health(*, ready: bool) -> dict[str, Any]:
    """Return what is known of the tables: of actors, or of all if `ready`. Raise `DbError`, or `ConfigurationError`."""
    if not ready:
        return {} if touched(Actor) else {"missing": _permitted([Actor])}
    from actingweb.db.verify_tables import required_models

    missing: list[type[TableModel]] = []
    unchecked: list[str] = []
    for model in required_models():
        try:
            table = described(model)
        except Fault as fault:
            if not is_denied(fault):
                raise
            # What serves requests need not have this right.
            unchecked.append(fault.reason)
            exists = touched(model)
        else:
            exists = table is not None
            _require_usable(model, table)
        if not exists:
            missing.append(model)
    return {"missing": _permitted(missing), "unchecked": unchecked}


def touched(model: type[TableModel]) -> bool:
    """Tell whether the table exists, by a read of one item. Raise `Fault`."""
    key = {name: {"S": _NOBODY} for name in model.layout.key_names}
    try:
        client.read(model.Meta, "GetItem", {"Key": key})
    except Fault as fault:
        if not _is_missing(fault):
            raise
        return False
    return True


def described(model: type[TableModel]) -> Description | None:
    """Return the description of the table as it is now, None if there is none. Raise `Fault`."""
    try:
        table: Description = client.read(model.Meta, "DescribeTable", {})["Table"]
    except Fault as fault:
        if not _is_missing(fault):
            raise
        return None
    return table


def is_denied(fault: Fault) -> bool:
    """Tell whether a request failed because the role lacks a permission, which the fault's reason names."""
    return _code(fault) == DENIED


def _is_missing(fault: Fault) -> bool:
    return _code(fault) == NOT_FOUND


def _code(fault: Fault) -> str | None:
    return fault.cause.code if isinstance(fault.cause, DriverError) else None


def _permitted(missing: list[type[TableModel]]) -> list[str]:
    """Return the names of missing tables. Raise `Fault` if there are any and none is made at first use."""
    names = [str(model.Meta.table_name) for model in missing]
    if names and not auto_create_enabled():
        raise Fault(
            DbSchemaError,
            f"a table is missing: {', '.join(names)}; AWS_DB_PREFIX and AWS_DEFAULT_REGION say where tables are looked "
            "for, and AWS_DB_AUTO_CREATE_TABLES=false that none is made",
        )
    return names


def _require_usable(model: type[TableModel], table: Description | None) -> None:
    problems = [] if table is None else problems_in(model, table)
    if problems:
        found = "; ".join(map(str, problems))
        raise Fault(DbSchemaError, f"a table is not as needed: {found}; see python -m actingweb.db.verify_tables")
