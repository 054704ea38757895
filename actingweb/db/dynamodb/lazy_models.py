"""Loads the PynamoDB models when one is asked for, so that importing the backend does not load PynamoDB."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["lazy_models"]


def lazy_models(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: what its `__all__` names and it does not define is in `models`."""

    def load(name: str) -> Any:
        if name in sys.modules[module].__all__:
            return getattr(import_module("actingweb.db.dynamodb.models"), name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return load
