"""A backend in trouble and the model, called side by side: what a failed call leaves is what the contract allows."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from actingweb.db import DbError, DbOutcomeUnknownError
from actingweb.db.capabilities import Capability
from actingweb.db.registry import Backend
from tests.contract.support.model import Undefined, clean
from tests.contract.support.pair import Pair, outcome
from tests.contract.support.steps import Step

from .model_faults import Fault, Faults
from .model_state import Tables, found_rows, lines_of, raw_name
from .raw_rows import Rows

__all__ = ["FaultyPair"]

_READING = ("get", "fetch", "is_")
_ON_MANY_ROWS = {"batch_delete", "delete_all", "delete_bucket", "delete_by_chain"}
_NOT_OF_THE_OBJECT = ("model", "table")


class FaultyPair(Pair):
    """A backend and a model; `read` reads tables past the library.

    Attributes:
        unknown: how many calls raised `DbOutcomeUnknownError`.
        failed: how many raised another `DbError` that a fault caused.
    """

    def __init__(self, backend: Backend, faults: Faults, read: Callable[..., Rows]) -> None:
        super().__init__(backend)
        self.unknown = 0
        self.failed = 0
        self._faults = faults
        self._read = read

    def play_under(self, fault: Fault, step: Step) -> None:
        """Make the call on both sides, on the real one under a fault.

        Answers are compared. Of a call that raises, the model takes over what is stored, if the contract allows it.
        """
        real, modelled = self.objects_of(step)
        handle = getattr(real, "handle", None)
        before, memory = deepcopy(self.model.tables), _memory(modelled)
        try:
            expected = outcome(modelled, step)
        except Undefined:
            return
        with self._faults.befalling(fault):
            found = outcome(real, step)
        if found == expected:
            self.compare_handles(step)
            return
        assert isinstance(found, type), (step, fault, found, expected)
        assert issubclass(found, DbError), (step, fault, found, expected)
        vars(modelled).update(memory)
        self._take_handle(step, handle)
        self._take_state(step, fault, found, before)

    def check_state(self) -> None:
        """Compare all that is stored with the model."""
        tables = self.model.tables
        stored = self._read(*map(raw_name, tables))
        for table, rows in tables.items():
            found_rows(table, rows, rows, stored[raw_name(table)])

    def _take_handle(self, step: Step, before: Any) -> None:
        """Check that a call that raised left the handle as it was, or cleared it, which `modify` must not."""
        real, modelled = self.objects_of(step)
        after = getattr(real, "handle", None)
        assert after is before or (after is None and step.method != "modify"), step
        if hasattr(modelled, "handle") and after is None:
            modelled.handle = None
        if step.accessor.endswith("_list") and step.method.startswith("fetch"):
            # Which rows such a list remembers is left open.
            del self.objects[step.accessor, step.slot]

    def _take_state(self, step: Step, fault: Fault, error: type[DbError], before: Tables) -> None:
        after = deepcopy(self.model.tables)
        found = self._found(before, after)
        changes, whole = _changes(before, found), _changes(before, after)
        in_parts = Capability.ATOMIC_BATCHES not in self.model.capabilities and _is_on_many_rows(step)
        self.unknown += error is DbOutcomeUnknownError
        self.failed += error is not DbOutcomeUnknownError
        if in_parts:
            _check_claims(before, found)
            _check_deferred(step, before, found, after)
        elif error is DbOutcomeUnknownError:
            assert changes in ({}, whole), (step, fault, changes, whole)
            assert not step.method.startswith(_READING), (step, fault)
        else:
            assert changes == {}, (step, fault, error, changes)
        for table, rows in found.items():
            self.model.tables[table].clear()
            self.model.tables[table].update(rows)

    def _found(self, before: Tables, after: Tables) -> Tables:
        changed = list(_changes(before, after))
        # Also where it changes nothing now: a purge that comes late would take what is stored until then.
        self._faults.settle()
        if changed:
            stored = self._read(*map(raw_name, changed))
            picked = {name: found_rows(name, before[name], after[name], stored[raw_name(name)]) for name in changed}
        return before | (picked if changed else {})


def _memory(modelled: Any) -> dict[str, Any]:
    """Return what an object of the model holds on its own."""
    return {name: deepcopy(value) for name, value in vars(modelled).items() if name not in _NOT_OF_THE_OBJECT}


def _is_on_many_rows(step: Step) -> bool:
    in_chunks = step.method == "set_many" and step.arguments.get("chunk_size") is not None
    return in_chunks or step.method in _ON_MANY_ROWS or (step.accessor.endswith("_list") and step.method == "delete")


def _changes(before: Tables, after: Tables) -> dict[str, Any]:
    """Return the tables that differ, as they are after."""
    lines = {table: lines_of(table, after[table]) for table in before}
    return {table: found for table, found in lines.items() if found != lines_of(table, before[table])}


def _check_claims(before: Tables, found: Tables) -> None:
    """Check that each property that is gone took its claim along, and no other did."""
    for (name, value), claim in before["claims"].items():
        row = found["properties"].get((claim["id"], name))
        assert ((name, value) in found["claims"]) == (row is not None and row["value"] == value), (name, value)


def _check_deferred(step: Step, before: Tables, found: Tables, after: Tables) -> None:
    """Check that the rows that are to go last are there as long as another is."""
    doomed = before["attributes"].keys() - after["attributes"].keys()
    deferred = {key for key in doomed if key[2] == clean(step.arguments.get("defer_name"))}
    left = doomed & found["attributes"].keys()
    assert left <= deferred or deferred <= left, step
