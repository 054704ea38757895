"""Loads the PynamoDB models at the first use of one, so that importing the backend does not load PynamoDB."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["lazy_models"]


def lazy_models(module: str) -> Callable[[str], Any]:
    """Return a `__getattr__` for a module: it loads the names in `__all__` that the module lacks from `models`."""

    def load(name: str) -> Any:
        if name in sys.modules[module].__all__:
            return getattr(import_module("actingweb.db.dynamodb.models"), name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return load
