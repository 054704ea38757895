"""Tables that are missing are created at first use, unless that is switched off."""

import logging
import threading
from typing import Any, Protocol

from actingweb.db.dynamodb import deadline
from actingweb.db.dynamodb.errors import fault_of
from actingweb.db.dynamodb.legacy_lookup import forget_fallbacks
from actingweb.db.dynamodb.models import TableModel, in_use
from actingweb.db.dynamodb.table_check import problems_of
from actingweb.db.dynamodb.tables import forget_names
from actingweb.db.dynamodb.transport import forget_transports
from actingweb.db.exceptions import ConfigurationError, DbSchemaError
from actingweb.db.faults import Fault
from actingweb.db.settings import get_settings, reset_settings

__all__ = ["auto_create_enabled", "ensure_table", "reset_ensure_cache", "set_auto_create"]

logger = logging.getLogger(__name__)

_CREATED = "created table %s, which was missing; AWS_DB_AUTO_CREATE_TABLES=false leaves missing tables alone"

_auto_create_override: bool | None = None
_flag_logged = False
_ensured: set[tuple[Any, str | None]] = set()
_locks: dict[Any, threading.Lock] = {}


class _Creatable(Protocol):
    """What `ensure_table` needs of a model."""

    def exists(self) -> bool:
        """Tell whether the table exists."""

    def create_table(self, *, wait: bool) -> Any:
        """Create it, and wait until it can be used."""


def auto_create_enabled() -> bool:
    """Tell whether missing tables are created: the override, else AWS_DB_AUTO_CREATE_TABLES."""
    return get_settings().aws_db_auto_create_tables if _auto_create_override is None else _auto_create_override


def set_auto_create(enabled: bool) -> None:
    """Switch the creation of missing tables on or off, whatever the environment says."""
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


def ensure_table(model: _Creatable) -> None:
    """Create the model's table if it is missing, at the first call for its name. Raise `DbError` if that fails."""
    if (model, _name(model)) in _ensured:
        return
    if not auto_create_enabled():
        _log_flag()
        return
    with _locks.setdefault(model, threading.Lock()):
        if (model, _name(model)) not in _ensured:
            _make(model)
            _ensured.add((model, _name(model)))


def _make(model: _Creatable) -> None:
    try:
        with deadline.suspended():
            if not model.exists() and model.create_table(wait=True) is not False:
                logger.warning(_CREATED, _name(model))
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - raised again as what it means
        if in_use(error):
            return
        fault = fault_of(error)
        raise fault.named("table check", None) from fault.cause
    if isinstance(model, type) and issubclass(model, TableModel):
        _check(model)


def _check(model: type[TableModel]) -> None:
    """Say what is wrong with an existing table; raise `DbSchemaError` if no request to it can be right."""
    for problem in problems_of(model):
        if problem.of_key:
            reason = f"table {problem.table} is not ActingWeb's, as its key shows: {problem.text}; check AWS_DB_PREFIX"
            raise Fault(DbSchemaError, reason).named("table check", None)
        logger.warning("table check: %s", problem)


def _name(model: _Creatable) -> str | None:
    return getattr(getattr(model, "Meta", None), "table_name", None)


def _log_flag() -> None:
    global _flag_logged
    if not _flag_logged:
        _flag_logged = True
        logger.info("missing tables are not created: auto-create is off")
