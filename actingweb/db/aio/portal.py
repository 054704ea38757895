"""A backend for tests of `actingweb.db.aio` that are written for `actingweb.db`: each call gets an event loop."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cache, partial, wraps
from inspect import iscoroutinefunction, isfunction
from types import SimpleNamespace
from typing import Any

from actingweb.db.aio import protocols
from actingweb.db.aio.objects import asynchronous
from actingweb.db.registry import Backend

__all__ = ["synchronous"]

_PROTOCOLS = {
    f"Db{name.removeprefix('Async').removeprefix('Db').removesuffix('Protocol')}": getattr(protocols, name)
    for name in protocols.__all__
}
"""The asynchronous protocol of each class."""


def synchronous(backend: Backend) -> Backend:
    """Return a backend whose objects make their calls by those of `actingweb.db.aio`, each in an event loop of its own.

    The methods of its classes are plain methods, and block.
    """
    modules: dict[str, Any] = {
        name: _Module(backend.database, module) for name, module in backend._asdict().items() if name.startswith("Db")
    }
    return backend._replace(**modules)


class _Module:
    """An entity's module, with other classes."""

    def __init__(self, database: str, module: Any) -> None:
        self._database = database
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        return _class_of(self._database, found, name) if name in _PROTOCOLS else found


@cache
def _class_of(database: str, real: Any, name: str) -> type:
    members: dict[str, Any] = {}
    for each, declared in vars(_PROTOCOLS[name]).items():
        if isfunction(declared) and not each.startswith("_"):
            members[each] = _Method(each, declared, isfunction(getattr(real, each)))
    config = SimpleNamespace(database=database)

    def make(self: Any, *arguments: Any, **named: Any) -> None:
        self._object = asynchronous(_PROTOCOLS[name], lambda _: real(*arguments, **named), config)

    members |= {"__init__": make, "__getattr__": _attribute, "__module__": real.__module__}
    return type(name, (), members)


def _attribute(self: Any, name: str) -> Any:
    if name == "_object":
        raise AttributeError(name)
    return getattr(self._object._held.get() if name.startswith("_") else self._object, name)


class _Method:
    """A method of an object, and of its class if `needs_object` is false."""

    def __init__(self, name: str, declared: Callable[..., Any], needs_object: bool) -> None:
        self._name = name
        self._declared = declared
        self._needs_object = needs_object

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        if instance is None and self._needs_object:
            return self._declared
        method = getattr((owner() if instance is None else instance)._object, self._name)
        call = _called if iscoroutinefunction(self._declared) else _iterated
        return wraps(method)(partial(call, method))


def _called(method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    coroutine = method(*arguments, **named)
    del arguments, named
    return asyncio.run(coroutine)


def _iterated(method: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
    rows = method(*arguments, **named)
    with asyncio.Runner() as runner:
        try:
            while (row := runner.run(_next(rows))) is not _END:
                yield row
        finally:
            runner.run(rows.aclose())


_END = object()


async def _next(rows: Any) -> Any:
    return await anext(rows, _END)
