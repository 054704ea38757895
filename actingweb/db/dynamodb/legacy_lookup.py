"""The reverse look-up of earlier releases, for look-up tables that are not backfilled yet."""

from collections.abc import Callable

from actingweb.db.dynamodb import client
from actingweb.db.dynamodb.errors import DENIED, MissingIndexFault
from actingweb.db.dynamodb.items import key, text_of
from actingweb.db.dynamodb.layouts import PROPERTY_LOOKUPS_V1
from actingweb.db.dynamodb.limits import HASH_BYTES, RANGE_BYTES, too_long
from actingweb.db.dynamodb.tables import table_of
from actingweb.db.exceptions import DbSchemaError
from actingweb.db.faults import DriverError, Fault
from actingweb.db.records import PropertyLookupRecord

__all__ = ["forget_fallbacks", "no_index", "once_known", "read_v1", "v1_actor"]

_gone: set[str] = set()


def forget_fallbacks() -> None:
    """Forget which fallbacks are missing or forbidden."""
    _gone.clear()


def once_known(fallback: str, ask: Callable[[], str | None], absent: Callable[[Fault], bool]) -> str | None:
    """Return the result of `ask`. If the fallback's table or index is missing or forbidden, do not ask it again."""
    if fallback in _gone:
        return None
    try:
        return ask()
    except Fault as fault:
        if not absent(fault) and not _denied(fault):
            raise
    _gone.add(fallback)
    return None


def read_v1(property_name: str, value: str) -> str | None:
    """Return the actor that a row of the v1 look-up table names; None without such a row or table."""
    try:
        return _read_v1(property_name, value)
    except Fault as fault:
        if not _no_table(fault):
            raise
    return None


def v1_actor(property_name: str, value: str) -> str | None:
    """Do the same as `read_v1`, but send no request once the table was found missing or forbidden."""
    return once_known("v1", lambda: _read_v1(property_name, value), _no_table)


def _read_v1(property_name: str, value: str) -> str | None:
    if too_long("property_name", property_name, HASH_BYTES) or too_long("value", value, RANGE_BYTES):
        return None
    request = {"Key": key(PROPERTY_LOOKUPS_V1, (property_name, value)), "ConsistentRead": True}
    item = client.read(table_of(PROPERTY_LOOKUPS_V1), "GetItem", request).get("Item")
    return text_of(PropertyLookupRecord, item, "actor_id") if item else None


def _no_table(fault: Fault) -> bool:
    return fault.error is DbSchemaError


def no_index(fault: Fault) -> bool:
    """Tell whether a request failed because the index is missing."""
    return isinstance(fault, MissingIndexFault)


def _denied(fault: Fault) -> bool:
    return isinstance(fault.cause, DriverError) and fault.cause.code == DENIED
