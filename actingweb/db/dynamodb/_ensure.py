"""Creates a missing table at its first use, unless automatic creation is switched off."""

import logging
import os
import threading
from typing import Any, Protocol

from actingweb.db.dynamodb import deadline
from actingweb.db.dynamodb.errors import fault_of, in_use
from actingweb.db.dynamodb.layouts import Layout
from actingweb.db.dynamodb.legacy_lookup import forget_fallbacks
from actingweb.db.dynamodb.table_check import describe, problems_in
from actingweb.db.dynamodb.tables import forget_names, table_of
from actingweb.db.dynamodb.transport import forget_transports
from actingweb.db.exceptions import ConfigurationError, DbError, DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.settings import get_settings, reset_settings

__all__ = ["auto_create_enabled", "ensure_table", "reset_ensure_cache", "set_auto_create"]

logger = logging.getLogger(__name__)

_CREATED = "created table %s, which was missing; AWS_DB_AUTO_CREATE_TABLES=false leaves missing tables alone"

_auto_create_override: bool | None = None
_flag_logged = False
_ensured: set[tuple[Any, str | None]] = set()
# Reentrant, since an observer that is told of a check may make objects.
_locks: dict[Any, threading.RLock] = {}


class _Creatable(Protocol):
    """The methods of a model that `ensure_table` calls."""

    def exists(self) -> bool:
        """Tell whether the table exists."""

    def create_table(self, *, wait: bool) -> Any:
        """Create it, and wait until it can be used."""


def auto_create_enabled() -> bool:
    """Tell whether missing tables are created: the value of `set_auto_create`, otherwise AWS_DB_AUTO_CREATE_TABLES."""
    return get_settings().aws_db_auto_create_tables if _auto_create_override is None else _auto_create_override


def set_auto_create(enabled: bool) -> None:
    """Switch the creation of missing tables on or off. This overrides AWS_DB_AUTO_CREATE_TABLES."""
    global _auto_create_override
    if not enabled and _ensured:
        logger.warning("auto-create is switched off, but %d tables were already ensured", len(_ensured))
    _auto_create_override = enabled


def reset_ensure_cache() -> None:
    """Forget tables, names, clients and settings, but keep the override of `set_auto_create`."""
    global _flag_logged
    _flag_logged = False
    _ensured.clear()
    forget_names()
    forget_transports()
    forget_fallbacks()
    reset_settings()


def ensure_table(table: Layout | _Creatable) -> None:
    """Create the table of a layout or model if it is missing. Only the first call for a name sends a request.

    Raise `DbError` if that fails.
    """
    table = getattr(table, "layout", table)
    if (table, _name(table)) in _ensured:
        return
    if not auto_create_enabled():
        _log_flag()
        return
    with _locks.setdefault(table, threading.RLock()):
        if (table, _name(table)) not in _ensured:
            _create_if_missing(table)
            _ensured.add((table, _name(table)))


def _create_if_missing(table: Layout | _Creatable) -> None:
    try:
        with deadline.suspended():
            if isinstance(table, Layout):
                _create_or_check(table)
            elif not table.exists():
                _create(table)
    except (ConfigurationError, DbError):
        raise
    except Exception as error:  # noqa: BLE001 - raised again as a `DbError`
        if in_use(error):
            return
        fault = error if isinstance(error, Fault) else fault_of(_driver_error(error))
        raise fault.to_public_error("table check", None) from fault.cause


def _create_or_check(layout: Layout) -> None:
    """Create the table if it is missing; otherwise log what is wrong with it. Raise `DbSchemaError` for a wrong key."""
    found = describe(layout, wait=True)
    if found is None:
        # Imported here, because loading PynamoDB takes time and hardly any process creates a table.
        from actingweb.db.dynamodb.models import model_of

        _create(model_of(layout))
        return
    for problem in problems_in(layout, found):
        if problem.of_key:
            reason = f"table {problem.table} is not ActingWeb's, as its key shows: {problem.text}; check AWS_DB_PREFIX"
            raise Fault(DbSchemaError, reason).to_public_error("table check", None)
        logger.warning("table check: %s", problem)


def _create(model: _Creatable) -> None:
    if model.create_table(wait=True) is not False:
        logger.warning(_CREATED, _name(model))


def _driver_error(error: Exception) -> Exception:
    """Return the transport's exception behind PynamoDB's, which has botocore's as its cause."""
    cause = getattr(error, "cause", None)
    if not isinstance(cause, Exception):
        return error
    return cause.__cause__ if isinstance(cause.__cause__, Exception) else cause


def _name(table: Layout | _Creatable) -> str | None:
    meta = table_of(table) if isinstance(table, Layout) else getattr(table, "Meta", None)
    return getattr(meta, "table_name", None)


def _log_flag() -> None:
    global _flag_logged
    if not _flag_logged:
        _flag_logged = True
        logger.info("missing tables are not created: auto-create is off")


# Another thread of the parent may have held one.
os.register_at_fork(after_in_child=_locks.clear)
