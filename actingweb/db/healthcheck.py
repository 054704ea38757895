"""Whether the database answers, for the `/healthz` of an application."""

import time
from importlib import import_module
from typing import Any

from actingweb.db.capabilities import Capability
from actingweb.db.exceptions import ConfigurationError, DbError
from actingweb.db.registry import Backend, load_backend
from actingweb.db.settings import get_settings

__all__ = ["health"]

_NO_CHECK = "this backend has no health check of its own: it was loaded and asked nothing"
_UNEXPECTED = "the check itself failed: look for the class of the error in the driver's documentation"


def health(config: Any = None, *, ready: bool = False) -> dict[str, Any]:
    """Tell whether the database answers, in one cheap round trip, as a dict that `json.dumps` takes.

    Nothing is created or written, and no `Exception` is raised. It takes no longer than any call: on PostgreSQL
    PG_POOL_TIMEOUT for a connection, PG_CONNECT_TIMEOUT for each host and PG_DB_TIMEOUT for each answer, on DynamoDB
    AWS_DB_TIMEOUT in all. No text in it is a secret or a stored value.

    Args:
        config: the application's configuration; by default the backend is that of DATABASE_BACKEND.
        ready: look at the tables, too, so that "ok" means that calls can be served.

    Returns:
        `status` ("ok" or "error"), `backend` (None if it is not known), `milliseconds`; of an error also `error`, the
        class of a `DbError`, `ConfigurationError` or other exception, and `reason`, which says what to do.
        docs/operations.md has the rest.
    """
    began = time.monotonic()
    found: dict[str, Any] = {"status": "ok", "backend": None}
    try:
        found["backend"] = get_settings().database_backend if config is None else config.database
        found |= _asked(load_backend(None if config is None else config.database), ready)
    except Exception as error:  # noqa: BLE001 - the one catch: whoever asks wants a dict, and the class is in it
        found |= {"status": "error", "error": type(error).__name__, "reason": _reason(error)}
    return found | {"milliseconds": round((time.monotonic() - began) * 1000, 1)}


def _asked(backend: Backend, ready: bool) -> dict[str, Any]:
    if Capability.HEALTH_CHECK not in backend.capabilities:
        return {"checked": False, "note": _NO_CHECK}
    facts: dict[str, Any] = import_module(f"actingweb.db.{backend.database}").health(ready=ready)
    return facts


def _reason(error: Exception) -> str:
    if isinstance(error, DbError):
        return error.reason or str(error)
    # These are the library's own texts; another exception's can hold anything.
    return str(error) if isinstance(error, ConfigurationError | ImportError) else _UNEXPECTED
