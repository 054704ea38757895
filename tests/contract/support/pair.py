"""A backend and the model, called side by side."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import Any

from actingweb.db import DbError, get_db_accessors
from actingweb.db.registry import Backend

from . import model as model_actors
from . import model_subscriptions, model_values
from .model import Model, Undefined
from .steps import Step

__all__ = ["Pair", "outcome"]

_CLASSES = {**model_actors.CLASSES, **model_subscriptions.CLASSES, **model_values.CLASSES}


class Pair:
    """A backend and a model, and their objects, by accessor and slot."""

    def __init__(self, backend: Backend) -> None:
        self.model = Model(backend.capabilities)
        self.objects: dict[tuple[str, Any], tuple[Any, Any]] = {}
        self._backend = backend

    def play(self, step: Step) -> None:
        """Make the call on both sides and compare answers and handles."""
        real, modelled = self.objects_of(step)
        try:
            expected = outcome(modelled, step)
        except Undefined:
            return
        found = outcome(real, step)
        assert found == expected, (step, found, expected)
        self.compare_handles(step)

    def compare_handles(self, step: Step) -> None:
        """Compare the handles of the objects of a step."""
        real, modelled = self.objects_of(step)
        if getattr(modelled, "handle", None) is None:
            assert getattr(real, "handle", None) is None, step
        else:
            assert real.handle is not None, step
            found = {name: real.handle[name] for name in modelled.handle}
            assert _exact(_filled(found)) == _exact(_filled(modelled.handle)), step

    def objects_of(self, step: Step) -> tuple[Any, Any]:
        """Return the backend's object and the model's for a step."""
        key = step.accessor, step.slot
        if key not in self.objects:
            extra = (step.slot,) if step.accessor == "subscription_suspension" else ()
            real = get_db_accessors()[step.accessor](self._backend, *extra)
            self.objects[key] = real, _CLASSES[step.accessor](self.model, *extra)
        return self.objects[key]


def outcome(target: Any, step: Step) -> Any:
    """Return the answer of a call with the types of all its parts, or the class of the error that it raises."""
    try:
        return _exact(getattr(target, step.method)(**step.arguments))
    except DbError as error:
        return type(error)


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a handle; a column that is absent may show as None or as empty text."""
    return {name: "" if value is None else value for name, value in row.items()}


def _exact(value: Any, in_order: bool = True) -> Any:
    """Return a value with the types of all its parts and, where the order of its keys matters, that order.

    Left out is the time of a diff, which is the clock's.
    """
    if isinstance(value, dict):
        is_diff = "subscriptionid" in value
        kept = [(key, item) for key, item in value.items() if not (is_diff and key == "timestamp")]
        pairs = [(key, _exact(item, in_order and key != "data")) for key, item in kept]
        return pairs if in_order and "id" not in value else sorted(pairs, key=itemgetter(0))
    if isinstance(value, list | tuple):
        return type(value), [_exact(item, in_order) for item in value]
    return type(value), value.isoformat() if isinstance(value, datetime) else value
