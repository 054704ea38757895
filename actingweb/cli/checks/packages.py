"""Checks of the installed packages."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import actingweb.db
from actingweb.migration.findings import Finding, good, stopper

__all__ = ["findings"]

_SIDE = "packages"
_FRAMEWORK = "actingweb"
_PACKAGES = {"dynamodb": ("pynamodb", "botocore"), "postgresql": ("psycopg", "psycopg_pool")}


def findings(sides: tuple[str, ...]) -> Iterator[Finding]:
    """Yield the packages that the sides need."""
    yield good(_SIDE, "python", platform.python_version())
    yield _layer()
    for side in sides:
        for name in _PACKAGES[side]:
            found = _version(name)
            if found is None:
                extra = f"pip install 'actingweb-db[{side}]'" if side == "postgresql" else "pip install actingweb-db"
                yield stopper(_SIDE, name, "is not installed", f"run `{extra}`")
            else:
                yield good(_SIDE, name, found)
    if "postgresql" in sides and _version("psycopg") is not None:
        yield _libpq()


def _layer() -> Finding:
    text = f"{actingweb.db.__version__} from {Path(actingweb.db.__file__).parent}"
    framework = _version(_FRAMEWORK)
    return good(_SIDE, "actingweb.db", f"{text}, beside the framework {framework}" if framework else text)


def _libpq() -> Finding:
    try:
        from psycopg import pq
    except ImportError as error:
        return stopper(_SIDE, "libpq", f"cannot be loaded ({error})", "run `pip install 'actingweb-db[postgresql]'`")
    number = pq.version()
    return good(_SIDE, "libpq", f"{number // 10000}.{number % 10000}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
