"""A pytest plugin that runs the contract suite on a backend. It needs the extra `conformance`.

    python -m pytest -p actingweb.db.conformance --backend-harness mypackage.harness:Harness tests/contract

runs the suite, from an unpacked source distribution, on the backend that `mypackage.harness.Harness` prepares. It
leaves out tests that use no backend. The option can be repeated; without it the ini value `backend_harnesses` names the
harnesses, and all tests run.

A test that uses the fixture `backend` runs once on each backend that has what the test needs:

* `requires(...)`: capabilities of the backend, or facilities of its harness.
* `lacks(...)`: capabilities that the backend must not have.
* `@pytest.mark.backends("postgresql")`: these backends only, as the test is about one engine.
* `@pytest.mark.aio`: the test also runs on `actingweb.db.aio`: the objects of `backend` then make their calls by it.
  With `--aio` all tests run on it, and on it only, except those with `@pytest.mark.no_aio`.

The fixtures are `backend`, `harness` (that of `backend`), `environment` and `harnesses` (all, by name).
"""

import importlib
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import pytest

from actingweb.db.aio.portal import synchronous
from actingweb.db.capabilities import Capability
from actingweb.db.registry import Backend, load_backend
from actingweb.db.settings import reset_settings
from actingweb.db.spi import MODULES

__all__ = ["Facility", "Harness", "Harnesses", "lacks", "requires"]

H = TypeVar("H", bound="Harness")


class Facility(Enum):
    """Something that a harness may offer. A test that uses the fixture of this name (the value) runs only with it."""

    MISSING_TABLES = "no_tables"
    """`Harness.without_tables` makes every request fail."""

    PROXY = "proxy"
    """The backend reaches its server over TCP, and `Harness.address` and `Harness.through` put a proxy between them."""

    LOOKUP_ROWS = "lookup_rows"
    """`Harness.lookup_rows` reads the look-up rows of indexed properties past the backend."""


class Harness:
    """Prepares one backend for the suites. A subclass is made without arguments when the session begins.

    Attributes:
        database: the name of the backend, a value of DATABASE_BACKEND.
        facilities: what the harness offers besides `start`, `wipe` and `stop`.
    """

    database: str
    facilities: frozenset[Facility] = frozenset()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that the backend declares."""
        found = load_backend(self.database).capabilities
        reset_settings()
        return found

    def start(self) -> Mapping[str, str]:
        """Prepare empty tables and return the settings that name them. Called once, before the first test."""
        return {}

    def wipe(self) -> None:
        """Delete all rows. Called after each test."""
        raise NotImplementedError

    def stop(self) -> None:
        """Undo what `start` did. Called once, after the last test, even if `start` was never called."""

    def address(self) -> tuple[str, int]:
        """Return host and port of the server (`Facility.PROXY`)."""
        raise NotImplementedError

    def through(self, port: int) -> Mapping[str, str | None]:
        """Return the settings with which the backend connects to 127.0.0.1:`port` instead (`Facility.PROXY`)."""
        raise NotImplementedError

    def without_tables(self) -> Mapping[str, str | None]:
        """Return settings under which the tables are missing and are not created (`Facility.MISSING_TABLES`)."""
        raise NotImplementedError

    def lookup_rows(self) -> dict[str, tuple[str, str]]:
        """Return the property name and the actor id of each look-up row, by look-up key (`Facility.LOOKUP_ROWS`)."""
        raise NotImplementedError


class Harnesses:
    """The harnesses of a session, by the name of the backend. Each is started at its first use."""

    def __init__(self, harnesses: list[Harness]) -> None:
        self._known = {harness.database: harness for harness in harnesses}
        self._capabilities = {harness.database: harness.capabilities for harness in harnesses}
        self._started: dict[str, Mapping[str, str]] = {}

    def __getitem__(self, database: str) -> Harness:
        """Return a started harness."""
        if database not in self._started:
            self._started[database] = self._known[database].start()
        return self._known[database]

    def of_class(self, kind: type[H]) -> H:
        """Return the harness of this class, started or not. Raise `LookupError` if the session has none."""
        for harness in self._known.values():
            if isinstance(harness, kind):
                return harness
        raise LookupError(f"this session has no {kind.__name__}: name it in --backend-harness")

    def environment(self, database: str) -> Mapping[str, str]:
        """Return the settings that name a backend and its tables."""
        self[database]
        return {**self._started[database], "DATABASE_BACKEND": database}

    def fitting(self, needs: "_Needs") -> list[str]:
        """Return the backends that a test with these needs runs on."""
        return [
            name
            for name, harness in self._known.items()
            if needs.are_met(name, self._capabilities[name], harness.facilities)
        ]

    def stop(self) -> None:
        """Stop all of them."""
        for harness in self._known.values():
            harness.stop()


class _Needs:
    """What the marks and fixtures of a test require of a backend."""

    def __init__(self, metafunc: pytest.Metafunc) -> None:
        required = _marked(metafunc, "requires")
        self._required = required - set(Facility)
        self._facilities = {each for each in Facility if each in required or each.value in metafunc.fixturenames}
        self._lacked = _marked(metafunc, "lacks")
        self._named = _marked(metafunc, "backends")

    def are_met(self, name: str, capabilities: frozenset[Capability], facilities: frozenset[Facility]) -> bool:
        """Tell whether a backend and its harness have everything that is needed."""
        return (
            (not self._named or name in self._named)
            and self._required <= capabilities
            and not self._lacked & capabilities
            and self._facilities <= facilities
        )

    def __str__(self) -> str:
        parts = [f"on {', '.join(sorted(self._named))}"] if self._named else []
        parts += sorted(f"with {need.name}" for need in (*self._required, *self._facilities))
        return "needs a backend " + ", ".join([*parts, *sorted(f"without {need.name}" for need in self._lacked)])


def _marked(metafunc: pytest.Metafunc, mark: str) -> set[Any]:
    """Return the arguments of the marks of this name on a test, its class and its module."""
    return {argument for found in metafunc.definition.iter_markers(mark) for argument in found.args}


def requires(*needs: Capability | Facility) -> pytest.MarkDecorator:
    """Mark a test that runs on backends with all these capabilities, whose harnesses have all these facilities."""
    return pytest.mark.requires(*needs)


def lacks(*capabilities: Capability) -> pytest.MarkDecorator:
    """Mark a test that runs on backends with none of these capabilities."""
    return pytest.mark.lacks(*capabilities)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the ini value."""
    what = "classes that prepare backends for tests, each as module:class"
    group = parser.getgroup("actingweb.db")
    group.addoption("--backend-harness", action="append", metavar="CLASS", help=what)
    group.addoption("--aio", action="store_true", help="run the tests of backends on actingweb.db.aio")
    parser.addini("backend_harnesses", what, "linelist")


_HARNESSES = pytest.StashKey[Harnesses]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the harnesses and register the marks."""
    for mark in ("requires(*needs)", "lacks(*capabilities)", "backends(*names)", "aio", "no_aio"):
        config.addinivalue_line("markers", f"{mark}: see actingweb.db.conformance")
    paths = config.getoption("--backend-harness") or config.getini("backend_harnesses")
    config.stash[_HARNESSES] = Harnesses([_harness(path) for path in paths])


def _harness(path: str) -> Harness:
    module, _, name = path.partition(":")
    try:
        made: Harness = getattr(importlib.import_module(module), name)()
    except (AttributeError, ImportError, ValueError) as error:
        raise pytest.UsageError(f"backend harness {path!r} cannot be loaded: {error}") from error
    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `backend` on every backend that has what the test needs."""
    if "backend" in metafunc.fixturenames:
        needs = _Needs(metafunc)
        names: list[Any] = list(metafunc.config.stash[_HARNESSES].fitting(needs))
        names = _interfaces(metafunc, names)
        none = pytest.param(None, marks=pytest.mark.skip(reason=str(needs)), id="none")
        metafunc.parametrize("backend", names or [none], indirect=True)


class _Asynchronous(str):
    """The name of a backend for a test that runs on `actingweb.db.aio`."""


def _interfaces(metafunc: pytest.Metafunc, names: list[str]) -> list[Any]:
    """Return the parameters of a test that runs on these backends."""
    asynchronous = [pytest.param(_Asynchronous(name), id=f"{name}-aio") for name in names]
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if metafunc.config.getoption("--aio"):
        return [] if "no_aio" in marks else asynchronous
    return [*names, *asynchronous] if "aio" in marks else names


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that use no backend if the command line names a harness or `actingweb.db.aio`."""
    if config.getoption("--backend-harness") or config.getoption("--aio"):
        others = [item for item in items if "backend" not in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if item not in set(others)]
        config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session")
def harnesses(request: pytest.FixtureRequest) -> Iterator[Harnesses]:
    """Yield the harnesses of the session and stop them at its end."""
    found = request.config.stash[_HARNESSES]
    yield found
    found.stop()


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    """Yield a `MonkeyPatch` for environment variables; undo its changes after the test."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
    reset_settings()


@pytest.fixture
def backend(request: pytest.FixtureRequest, harnesses: Harnesses, environment: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Yield `load_backend(name)` with empty tables, for each backend in turn."""
    for name, value in harnesses.environment(request.param).items():
        environment.setenv(name, value)
    reset_settings()
    loaded = load_backend(str(request.param))
    copies = _copies(request.param)
    before = [_contents(module) for module, _ in copies]
    yield synchronous(loaded) if isinstance(request.param, _Asynchronous) else loaded
    harnesses[request.param].wipe()
    for (module, other), contents in zip(copies, before, strict=True):
        _refuse_state(module, other, contents)


@pytest.fixture
def harness(backend: Backend, harnesses: Harnesses) -> Harness:
    """Return the harness of `backend`."""
    return harnesses[backend.database]


@cache
def _copies(database: str) -> list[tuple[ModuleType, ModuleType]]:
    """Return the pairs of entity modules that Python loads twice, in `actingweb.db.{database}` and by own name."""
    package = importlib.import_module(f"actingweb.db.{database}").__name__
    names = [(f"actingweb.db.{database}.{each}", f"{package}.{each}") for each in MODULES]
    return [(importlib.import_module(one), importlib.import_module(two)) for one, two in names if one != two]


def _contents(module: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return the variables of a module and of its classes, by name: each value, and a copy of it if it is mutable."""
    found = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    for name, value in list(found.items()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            found |= {f"{name}.{inner}": each for inner, each in vars(value).items() if not inner.startswith("__")}
    return {name: (value, _copy(value)) for name, value in found.items()}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list | set | bytearray) else None


def _refuse_state(module: ModuleType, other: ModuleType, before: dict[str, tuple[Any, Any]]) -> None:
    """Fail if the test changed a variable that the other copy of the module does not share."""
    after = _contents(module)
    changed = [
        name
        for name, (value, copy) in after.items()
        if name not in before or before[name][0] is not value or before[name][1] != copy
    ]
    elsewhere = _contents(other) if changed else {}
    changed = [name for name in changed if after[name][0] is not elsewhere.get(name, (None,))[0]]
    if changed:
        pytest.fail(
            f"{module.__name__} keeps state in {', '.join(changed)}: it is also loaded as {other.__name__}, which does "
            "not share it; keep it in a module that entity modules import by the name of the package",
            pytrace=False,
        )
