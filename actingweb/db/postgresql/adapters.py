"""Adapters between Python values and columns that do not depend on what the application registers with psycopg.

`psycopg.adapters` and `set_json_loads` apply to the whole process. The library has its own maps, built from psycopg's
defaults.
"""

import json
from typing import Any

from psycopg.adapt import AdaptersMap
from psycopg.dbapi20 import register_dbapi20_adapters
from psycopg.postgres import register_default_adapters, register_default_types
from psycopg.types import TypesRegistry
from psycopg.types.array import register_all_arrays
from psycopg.types.json import set_json_dumps, set_json_loads

from actingweb.db.policy import json_values

__all__ = ["ADAPTERS", "LOADERS"]

_decode = json.JSONDecoder().decode


def _defaults() -> AdaptersMap:
    types = TypesRegistry()
    register_default_types(types)
    adapters = AdaptersMap(types=types)
    # In the same order as psycopg does for its own map.
    register_default_adapters(adapters)
    register_dbapi20_adapters(adapters)
    register_all_arrays(adapters)
    set_json_loads(json.loads, adapters)
    set_json_dumps(json.dumps, adapters)
    return adapters


def _stored(text: str | bytes) -> Any:
    """Return the value of a `jsonb`. Raise the `Fault` of `DbError` if Python cannot read it."""
    try:
        return _decode(str(text, "utf-8") if isinstance(text, bytes) else text)
    except ValueError:
        raise json_values.unreadable() from None


def _loaders() -> AdaptersMap:
    adapters = AdaptersMap(ADAPTERS)
    set_json_loads(_stored, adapters)
    return adapters


ADAPTERS = _defaults()
"""psycopg's defaults, for SQL that psycopg's cursors run."""

LOADERS = _loaders()
"""For the results of the library's own statements."""
