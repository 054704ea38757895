"""Calls of the public classes of `actingweb.db`, written down before there is a backend or an actor.

The baseline uses this package in an environment of its own, so it imports nothing but the standard library.
"""

import importlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

__all__ = ["ID", "Actor", "Call", "Classes", "Prepare", "do", "each", "filled", "load_classes", "names"]

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
        cascades: `DbActor.delete` removes what the actor owns; otherwise the caller deletes list by list.
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
        # The baseline need not have it.
        return getattr(importlib.import_module(f"actingweb.db.{self.database}.property_lookup"), name)

    def maker(self, name: str, actor_id: str) -> Callable[[], Any]:
        """Return what makes an object of a class, or the class itself if its methods are static."""
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
    """An actor that a call is on; `address` is its creator and its property `email`."""

    id: str
    address: str


Call = Callable[[], Any]
Prepare = Callable[[Any, Actor], Call]
"""Returns the call for an actor, with the object that it needs loaded."""


ID = "{id}"


def do(path: str, *arguments: Any, load: Any = None, **named: Any) -> Prepare:
    """Return what prepares a call of a method, as `DbTrust.get`.

    `{id}` and `{address}` in texts stand for those of the actor. `load`: the arguments with which the object is loaded
    first; the call does nothing if that finds nothing.
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
