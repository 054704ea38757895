"""Tells whether the database answers, for the `/healthz` of an application."""

import time
from importlib import import_module
from typing import Any

from actingweb.db.capabilities import Capability
from actingweb.db.exceptions import ConfigurationError, DbError
from actingweb.db.registry import Backend, load_backend
from actingweb.db.settings import get_settings

__all__ = ["health"]

_NO_CHECK = "this backend has no health check of its own: it was loaded, but its database was not checked"
_UNEXPECTED = "the check itself failed: look for the class of the error in the driver's documentation"


def health(config: Any = None, *, ready: bool = False) -> dict[str, Any]:
    """Tell whether the database answers, in one cheap round trip, as a dict that `json.dumps` takes.

    It creates and writes nothing, and raises no `Exception`. It takes no longer than any other call: on PostgreSQL
    PG_POOL_TIMEOUT for a connection, PG_CONNECT_TIMEOUT for each host and PG_DB_TIMEOUT for each answer; on DynamoDB
    AWS_DB_TIMEOUT in all. The result holds no secret and no stored value.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.
        ready: also check the tables, so that "ok" means that calls can be served.

    Returns:
        `status` ("ok" or "error"), `backend` (None if it is not known) and `milliseconds`. An error also has `error`,
        the class name of the `DbError`, `ConfigurationError` or other exception, and `reason`, which says what to do.
        docs/operations.md describes the rest.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"status": "ok", "backend": None}
    try:
        found["backend"] = get_settings().database_backend if config is None else config.database
        found |= _check(load_backend(None if config is None else config.database), ready)
    except Exception as error:  # noqa: BLE001 - the dict names the class of the error
        found |= {"status": "error", "error": type(error).__name__, "reason": _reason(error)}
    return found | {"milliseconds": round((time.monotonic() - began) * 1000, 1)}


def _check(backend: Backend, ready: bool) -> dict[str, Any]:
    if Capability.HEALTH_CHECK not in backend.capabilities:
        return {"checked": False, "note": _NO_CHECK}
    facts: dict[str, Any] = import_module(f"actingweb.db.{backend.database}").health(ready=ready)
    return facts


def _reason(error: Exception) -> str:
    if isinstance(error, DbError):
        return error.reason or str(error)
    # These texts are the library's own; the text of another exception can hold anything.
    return str(error) if isinstance(error, ConfigurationError | ImportError) else _UNEXPECTED
