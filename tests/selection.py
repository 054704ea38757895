"""Which tests a run takes, and in which order.

* `--quick`: the slice of `make test-quick`. It has the contract suite on the memory backend, and of every other test
  function one case on each backend; it leaves out the directories whose tests start servers and processes of their own.
* `--only-backend NAME`: of the tests that run on several backends, the runs on this one.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_DIRECTORY = Path(__file__).parent
# A parallel run gives out whole modules: those that take longest are not left for its end. First are those of live
# migrations, which wait more than they compute, each followed by one of the contract suite, which does not. The
# contract suite has first its slow modules, then the others by size; the smallest are the last of all.
_WAITING = "live"
_COMPUTING = "contract"
_LONG = (
    "conformance",
    "guide",
    "migration",
    "supply",
    "faults",
    "dynamodb",
    "embedded",
    "schema",
    "postgresql",
    "cli",
    "test_session.py",
)
_NOT_QUICK = (
    "benchmarks",
    "cli",
    "conformance",
    "dynamodb",
    "embedded",
    "faults",
    "guide",
    "live",
    "migration",
    "schema",
    "supply",
)
# Modules that wait for time limits, race many threads, run the type checker or ruff, or start servers of their own.
_SLOW = (
    "test_attribute_numbers.py",
    "test_distributed.py",
    "test_faults.py",
    "test_generated.py",
    "test_model.py",
    "test_page.py",
    "test_property_claim_races.py",
    "test_refusals.py",
    "test_secrets.py",
    "test_type_checker.py",
)
_LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("actingweb.db")
    group.addoption("--quick", action="store_true", help="run a slice of the tests, in less than a minute")
    group.addoption("--only-backend", metavar="NAME", help="run tests of several backends on this one only")


def pytest_configure(config: pytest.Config) -> None:
    """Collect what the processes of a parallel run leave out."""
    config.stash[_LEFT_OUT] = Counter()
    if config.pluginmanager.has_plugin("dsession"):
        config.pluginmanager.register(_Controller(config), "left-out")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which takes half the time, and keep the tests out of its later runs."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose and order the tests."""
    only = config.getoption("--only-backend")
    quick = _Quick() if config.getoption("--quick") else None
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        wanted = only is None or _backend(item) in (None, only)
        (chosen if wanted and (quick is None or quick.takes(item)) else left_out).append(item)
    items[:] = _in_order(chosen)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        config.stash[_LEFT_OUT].update(_part(item) for item in left_out)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one, if it is one of a parallel run, what was left out."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        counts = session.config.stash[_LEFT_OUT]
        output["left_out"] = dict(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out."""
    left_out = config.stash[_LEFT_OUT]
    if left_out:
        parts = ", ".join(f"{part} {count}" for part, count in sorted(left_out.items()))
        terminalreporter.write_line(f"left out {left_out.total()} tests: {parts}")


class _Controller:
    """Learns what was left out from the processes, which all leave out the same."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process tells at its end; one that was killed tells nothing."""
        told = getattr(node, "workeroutput", {})
        if "left_out" in told:
            self._config.stash[_LEFT_OUT] = Counter(told["left_out"])


class _Quick:
    """The choice of `--quick`."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str | None]] = set()

    def takes(self, item: pytest.Item) -> bool:
        """Tell whether a test is one of the slice; asked once for each test, in order."""
        backend = _backend(item)
        case = (item.nodeid.partition("[")[0], backend)
        first = case not in self._seen
        self._seen.add(case)
        return _part(item) not in _NOT_QUICK and item.path.name not in _SLOW and (first or backend == "memory")


def _in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    sizes = Counter(item.path for item in items)
    parts = {path: path.relative_to(_DIRECTORY).parts[0] for path in sizes}
    waiting = [path for path in sizes if parts[path] == _WAITING]
    computing = [path for path in sizes if parts[path] == _COMPUTING]
    computing.sort(key=lambda path: (path.name not in _SLOW, -sizes[path]))
    others = [path for path in sizes if parts[path] not in (_WAITING, _COMPUTING)]
    others.sort(key=lambda path: _LONG.index(parts[path]) if parts[path] in _LONG else len(_LONG))
    pairs = [path for pair in zip(waiting, computing, strict=False) for path in pair]
    met = len(pairs) // 2
    places = {path: place for place, path in enumerate([*pairs, *waiting[met:], *others, *computing[met:]])}
    return sorted(items, key=lambda item: places[item.path])


def _backend(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    backend: str | None = None if callspec is None else callspec.params.get("backend")
    return backend


def _part(item: pytest.Item) -> str:
    """Return the directory, or the module, in tests/ that the test is in."""
    return item.path.relative_to(_DIRECTORY).parts[0]
