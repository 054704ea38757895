"""Random calls, answered by a backend and by a model in plain Python side by side.

MODEL_EXAMPLES sets how many sequences are tried for each group of tables, then with a new seed each time.
"""

import os
from datetime import datetime
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from actingweb.db import DbError, get_db_accessors
from actingweb.db.registry import Backend
from tests.servers import Tables

from . import model as model_actors
from . import model_subscriptions, model_values
from .model import Model, Undefined
from .steps import GROUPS, SEED, Step, look, steps

_EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
_FEW = {"dynamodb": 12, "postgresql": 40, "memory": 100}
_CLASSES = {**model_actors.CLASSES, **model_subscriptions.CLASSES, **model_values.CLASSES}
_TABLES = {"dynamodb": "dynamodb_tables", "postgresql": "postgres_tables", "memory": "memory_tables"}


class Pair:
    """A backend and a model, and their objects, by accessor and slot."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._model = Model(backend.database)
        self._objects: dict[tuple[str, Any], tuple[Any, Any]] = {}

    def play(self, step: Step) -> None:
        """Make the call on both sides and compare answers and handles."""
        real, modelled = self._objects_of(step)
        try:
            expected = _outcome(modelled, step)
        except Undefined:
            return
        assert _outcome(real, step) == expected, step
        if getattr(modelled, "handle", None) is None:
            assert getattr(real, "handle", None) is None, step
        else:
            assert real.handle is not None, step
            found = {name: real.handle[name] for name in modelled.handle}
            assert _exact(_filled(found)) == _exact(_filled(modelled.handle)), step

    def _objects_of(self, step: Step) -> tuple[Any, Any]:
        key = step.accessor, step.slot
        if key not in self._objects:
            extra = (step.slot,) if step.accessor == "subscription_suspension" else ()
            real = get_db_accessors()[step.accessor](self._backend, *extra)
            self._objects[key] = real, _CLASSES[step.accessor](self._model, *extra)
        return self._objects[key]


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a handle; a column that is absent may show as None or as empty text."""
    return {name: "" if value is None else value for name, value in row.items()}


def _outcome(target: Any, step: Step) -> Any:
    try:
        return _exact(getattr(target, step.method)(**step.arguments))
    except DbError as error:
        return type(error)


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


@pytest.mark.parametrize("group", [*GROUPS, "all"])
def test_a_backend_answers_what_the_model_answers(request: pytest.FixtureRequest, backend: Backend, group: str) -> None:
    tables: Tables = request.getfixturevalue(_TABLES[backend.database])

    @settings(
        max_examples=_EXAMPLES or _FEW[backend.database],
        derandomize=not _EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(calls=steps(group))
    def compare(calls: list[Step]) -> None:
        tables.wipe()
        pair = Pair(backend)
        for step in (*SEED, *calls, *look(group)):
            pair.play(step)

    compare()
