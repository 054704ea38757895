"""Describes calls of the public classes of `actingweb.db`, before a backend is loaded or an actor exists.

The benchmark's baseline, the earlier storage layer, uses this package in an environment without other packages. So it
imports the standard library only.
"""

import gc
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

__all__ = ["ID", "Actor", "Call", "Classes", "Prepare", "do", "each", "filled", "load_classes", "names", "timed"]

_MODULES = (
    "actor",
    "attribute",
    "peertrustee",
    "property",
    "subscription",
    "subscription_diff",
    "subscription_suspension",
    "trust",
)
_INDEXED = {"use_lookup_table": True, "indexed_properties": ["email", "externalUserId", "oauthId"]}


class Classes:
    """The public classes of one backend, as attributes.

    Args:
        cascades: whether `DbActor.delete` also deletes the actor's other rows; otherwise the caller deletes each list.
        properties: the arguments of `DbProperty` and `DbPropertyList`.
    """

    def __init__(self, database: str, cascades: bool, properties: dict[str, Any]) -> None:
        self.database = database
        self.cascades = cascades
        self.properties = properties
        for module in _MODULES:
            for name, value in vars(importlib.import_module(f"actingweb.db.{database}.{module}")).items():
                if name.startswith("Db") and isinstance(value, type):
                    setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        # Imported only if it is used, because the baseline may not have this module.
        return getattr(importlib.import_module(f"actingweb.db.{self.database}.property_lookup"), name)

    def maker(self, name: str, actor_id: str) -> Callable[[], Any]:
        """Return a function that returns a new object of a class, or the class itself if its methods are static."""
        found = getattr(self, name)
        if name in ("DbProperty", "DbPropertyList"):
            return partial(found, **self.properties)
        if name == "DbSubscriptionSuspension":
            return partial(found, actor_id)
        return (lambda: found) if name.startswith("DbAttribute") else found


def load_classes(database: str, cascades: bool = True, *, lookup: bool = True) -> Classes:
    """Import the backend and return its classes. `lookup`: properties use the look-up table."""
    classes = Classes(database, cascades, {**_INDEXED, "use_lookup_table": lookup})
    # The baseline creates its table when an object is made, not in the static methods.
    classes.DbAttribute()
    return classes


class Actor(NamedTuple):
    """The actor of a call. `address` is its creator and its property `email`."""

    id: str
    address: str


Call = Callable[[], Any]
Prepare = Callable[[Any, Actor], Call]
"""Returns the call for an actor, and loads the object that the call needs."""


ID = "{id}"


def do(path: str, *arguments: Any, load: Any = None, **named: Any) -> Prepare:
    """Return a function that prepares a call of a method, as `DbTrust.get`.

    `{id}` and `{address}` in texts are replaced by those of the actor. `load` has the arguments of the `get` that loads
    the object first; if it finds nothing, the call does nothing.
    """
    entity, method = path.split(".")

    def prepare(db: Any, actor: Actor) -> Call:
        own, more = filled(arguments, actor), filled(named, actor)
        make = db.maker(entity, actor.id)
        if load is None:
            return lambda: getattr(make(), method)(*own, **more)
        loaded = make()
        found = (loaded.fetch if entity.endswith("List") else loaded.get)(*filled(load, actor))
        return partial(getattr(loaded, method), *own, **more) if found else _nothing

    return prepare


def filled(value: Any, actor: Actor) -> Any:
    if isinstance(value, str):
        return value.replace("{id}", actor.id).replace("{address}", actor.address)
    if isinstance(value, dict):
        return {filled(name, actor): filled(one, actor) for name, one in value.items()}
    return type(value)(filled(one, actor) for one in value) if isinstance(value, list | tuple) else value


def _nothing() -> None:
    """Do nothing."""


def each(values: Iterable[Any], do: Callable[[Any], Prepare]) -> tuple[Prepare, ...]:
    return tuple(do(value) for value in values)


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:02}" for number in range(count)]


def timed(calls: Sequence[Call]) -> tuple[float, float]:
    """Make the calls and return the seconds, and the seconds of processor time, that a call took on average."""
    gc.collect()
    gc.disable()
    began, cpu = time.perf_counter(), time.process_time()
    for call in calls:
        call()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    gc.enable()
    return wall / len(calls), cpu / len(calls)
