"""Serves `actingweb.db` from this distribution, beside the ActingWeb framework or without it.

The framework has a package `actingweb` too, with a storage layer of its own in `actingweb.db`. The files of this
distribution therefore lie in a folder of their own, and a finder in front of `sys.meta_path` serves `actingweb.db` and
the other names of `_SERVED` from there. Where nothing else provides a package `actingweb`, the finder serves that one
as well.

`actingweb_db.pth` makes Python import this module at each start. Where no `.pth` file is read (`python -S`, AWS Lambda
layers, zip applications, frozen applications), the application imports it before anything of `actingweb`. It raises
`ImportError` if the framework's own storage layer has been imported already.
"""

import os
import sys

TYPE_CHECKING = False  # Importing `typing` would cost each start of Python two milliseconds.
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["Finder"]

_DISTRIBUTION = "actingweb-db"
_SERVED = (
    "actingweb.cli",
    "actingweb.db",
    "actingweb.embedded",
    "actingweb.migration",
    "actingweb.otel",
    "actingweb.prometheus",
)


class Finder:
    """The meta path finder. A clone of this library that comes first on `sys.path` keeps its own modules."""

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return where a module of this distribution is; None for any other module."""
        if name == "actingweb":
            return cls._found_by_others(name, path, target) or _found_here(name)
        if name in _SERVED and not _is_ours(sys.modules["actingweb"]):
            return _found_here(name)
        return None

    @classmethod
    def _found_by_others(
        cls, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        others = (finder for finder in sys.meta_path if finder is not cls)
        return next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)


def _found_here(name: str) -> "ModuleSpec | None":
    from importlib.machinery import PathFinder

    here = os.path.dirname(__file__)
    # In a clone the packages stand beside this one.
    roots = (os.path.join(here, "lib"), os.path.dirname(here))
    parents = name.split(".")[:-1]
    return PathFinder.find_spec(name, [os.path.join(root, *parents) for root in roots])


def _is_ours(module: "ModuleType") -> bool:
    return getattr(module, "__distribution__", None) == _DISTRIBUTION


def _install() -> None:
    loaded = sys.modules.get("actingweb.db")
    if loaded is not None and not _is_ours(loaded):
        raise ImportError(f"{loaded.__file__} has been imported already: import actingweb_db before actingweb")
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


_install()
