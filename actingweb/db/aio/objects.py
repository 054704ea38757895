"""The objects whose methods are coroutines. Each makes the calls of an object of the layer in a thread."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import cache, partial, wraps
from inspect import iscoroutinefunction, isfunction
from itertools import islice
from typing import Any

from actingweb.db.aio.transactions import run

__all__ = ["asynchronous"]

_MOST_AHEAD = 1000
_IN_USE = "another call on this object has not ended: make an object for each task"


def asynchronous(protocol: Any, accessor: Callable[..., Any], config: Any, *arguments: Any) -> Any:
    """Return an object of an asynchronous protocol, for the object that the accessor of the layer makes.

    The accessor is called in a thread, before the first call, because on DynamoDB it can send requests.
    """
    return _class_of(protocol)(config.database, partial(accessor, config, *arguments))


class _Held:
    """An object of the layer, which is made when it is first needed."""

    __slots__ = ("made", "make")

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.made: Any = None

    def get(self) -> Any:
        if self.made is None:
            self.made = self.make()
        return self.made


class _Call:
    """A call of a method. Its `repr` does not show the arguments, which can be secret."""

    __slots__ = ("_arguments", "_held", "_method", "_named")

    def __init__(self, held: _Held, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._held = held
        self._method = method
        self._arguments = arguments
        self._named = named

    def __call__(self) -> Any:
        return getattr(self._held.get(), self._method)(*self._arguments, **self._named)


class _Object:
    """The base of the classes that `_class_of` makes. One call at a time, as the handle belongs to the last one."""

    _has_handle = True

    def __init__(self, database: str, make: Callable[[], Any]) -> None:
        self._database = database
        self._held = _Held(make)
        self._is_in_use = False

    async def _run(self, call: Callable[[], Any]) -> Any:
        if self._is_in_use:
            raise RuntimeError(_IN_USE)
        self._is_in_use = self._has_handle
        try:
            return await run(self._database, call)
        except asyncio.CancelledError:
            # The thread may still load a row into the former object.
            self._held = _Held(self._held.make)
            raise
        finally:
            self._is_in_use = False


@cache
def _class_of(protocol: Any) -> type[_Object]:
    """Return the class of the objects of an asynchronous protocol."""
    members: dict[str, Any] = {"__doc__": protocol.__doc__, "_has_handle": "handle" in vars(protocol)}
    for name, declared in vars(protocol).items():
        if isinstance(declared, property):
            members[name] = _attribute(name)
        elif iscoroutinefunction(declared):
            members[name] = _method(name, declared)
        elif isfunction(declared) and not name.startswith("_"):
            members[name] = _stream(name, declared)
    return type(protocol.__name__.removesuffix("Protocol"), (_Object,), members)


def _attribute(name: str) -> property:
    return property(lambda self: getattr(self._held.made, name, None))


def _method(name: str, declared: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(declared)
    async def method(self: _Object, *arguments: Any, **named: Any) -> Any:
        call = _Call(self._held, name, arguments, named)
        # Error reports can show the variables of each frame, and the arguments may contain secrets.
        del arguments, named
        return await self._run(call)

    return method


def _stream(name: str, declared: Callable[..., Any]) -> Callable[..., Any]:
    """Return an asynchronous generator that reads a page ahead, or a part of a large one."""

    @wraps(declared)
    async def stream(self: _Object, page_size: int = 500) -> AsyncGenerator[Any, None]:
        rows: Iterator[Any] = await self._run(_Call(self._held, name, (page_size,), {}))
        # The method itself raises the error for a page size that is none.
        size = max(1, min(page_size, _MOST_AHEAD)) if isinstance(page_size, int) else 1
        while page := await self._run(lambda: list(islice(rows, size))):
            for row in page:
                yield row

    return stream
