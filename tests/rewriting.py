"""Lets the processes of a parallel run share the rewriting of assertions.

pytest rewrites each test module at its first import after a change, and keeps the result beside it. Processes that
begin at once would each rewrite all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

_DIRECTORY = Path(__file__).parent


def part(modules: list[str], number: int, count: int) -> list[str]:
    """Return the modules that process `number` (from 0) of `count` imports first."""
    return modules[len(modules) * number // count : len(modules) * (number + 1) // count]


# The last, so that the garbage collector is off already: see `tests.selection`.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import a part of the modules before all are collected, in order, if this is a process of a run of all tests."""
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        paths = sorted(path.relative_to(_DIRECTORY.parent) for path in _DIRECTORY.rglob("test_*.py"))
        modules = [".".join(path.with_suffix("").parts) for path in paths]
        for name in part(modules, int(worker["workerid"].removeprefix("gw")), worker["workercount"]):
            # Collecting reports what fails.
            with suppress(Exception, pytest.skip.Exception):
                importlib.import_module(name)
    return (yield)
