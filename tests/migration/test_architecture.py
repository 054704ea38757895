"""The layers of the migration and of the command line, also of what functions import."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import actingweb.cli
import actingweb.migration

LARGEST_HEIGHT = 6
LARGEST_LIVE_HEIGHT = 7
ROOMS = {
    "source": set[str](),
    "target": set[str](),
    "jobs": {"source", "target"},
    "plan": {"live", "source", "target"},
    "live": {"jobs", "source", "target"},
    "cli": {"jobs", "live", "plan", "source", "target"},
}

Imports = Mapping[str, set[str]]
"""The modules that each module imports."""


def modules_of(package: str, directory: Path) -> dict[str, Path]:
    """Return the source files of a package, by the name of the module."""
    found = {}
    for path in sorted(directory.rglob("*.py")):
        parts = path.relative_to(directory).with_suffix("").parts
        found[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return found


def imports_of(modules: Mapping[str, Path]) -> Imports:
    """Return what modules import of each other."""
    return {name: set(_imported(path)) & modules.keys() - {name} for name, path in modules.items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def heights(imports: Imports) -> dict[str, int]:
    """Return how many modules the longest chain of imports from each module has. Raise `CycleError`."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(imports).static_order():
        found[name] = 1 + max((found[imported] for imported in imports[name]), default=0)
    return found


MIGRATION = modules_of("actingweb.migration", Path(actingweb.migration.__path__[0]))


@cache
def imports() -> Imports:
    """Return the imports of the migration and of the command line."""
    return imports_of(MIGRATION | modules_of("actingweb.cli", Path(actingweb.cli.__path__[0])))


def room_of(module: str) -> str:
    """Return the room of a module, empty for those that all rooms share."""
    room = module.removeprefix("actingweb.migration.").partition(".")[0]
    return room if room in ROOMS else ""


def test_no_module_imports_itself_through_others() -> None:
    heights(imports())


def test_the_offline_migration_has_few_floors() -> None:
    offline = {name for name in MIGRATION if room_of(name) != "live" and not _uses_live(name)}
    found = heights({name: imports()[name] & offline for name in offline})
    assert max(found.values()) <= LARGEST_HEIGHT, sorted(found.items(), key=lambda item: -item[1])[:5]


def test_the_live_migration_has_few_floors_above_the_offline_one() -> None:
    live = {name for name in MIGRATION if room_of(name) == "live"}
    found = heights({name: imports()[name] & live for name in live})
    assert max(found.values()) <= LARGEST_LIVE_HEIGHT, sorted(found.items(), key=lambda item: -item[1])[:5]


def _uses_live(name: str) -> bool:
    return room_of(name) == "cli" and any(
        room_of(imported) == "live" for imported in imports()[name] & MIGRATION.keys()
    )


@pytest.mark.parametrize("module", MIGRATION)
def test_a_room_imports_only_rooms_below(module: str) -> None:
    room = room_of(module)
    imported = {room_of(name) for name in imports()[module] & MIGRATION.keys()}
    assert imported <= {"", room} | ROOMS.get(room, set())


@pytest.mark.parametrize("module", [name for name in MIGRATION if name != "actingweb.migration.__main__"])
def test_the_migration_does_not_import_the_application_around_it(module: str) -> None:
    assert [name for name in imports()[module] if name.startswith("actingweb.cli")] == []


@pytest.mark.parametrize("indent", ["", "def function():\n    "])
def test_circles_and_heights_are_seen(tmp_path: Path, indent: str) -> None:
    texts = {"one": "", "two": f"{indent}from package import one\n", "three": f"{indent}import package.two\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    found = imports_of(modules_of("package", tmp_path))
    assert heights(found) == {"package.one": 1, "package.two": 2, "package.three": 3}
    (tmp_path / "one.py").write_text(f"{indent}from package.three import name\n")
    with pytest.raises(CycleError):
        heights(imports_of(modules_of("package", tmp_path)))
