"""The lock files hold what pyproject.toml allows, each file of it by its hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .packages import ROOT, direct

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(lock: Path) -> list[str]:
    """Return the entries of a lock file, each on one line."""
    text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def pinned(lock: Path) -> list[Requirement]:
    return [Requirement(entry.partition(" --hash")[0]) for entry in entries(lock)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_each_entry_is_one_version_with_the_hashes_of_its_files(lock: Path) -> None:
    assert entries(lock)
    for entry in entries(lock):
        requirement, *hashes = re.split(" +(?=--)", entry.rstrip())
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ;.*)?", requirement.rstrip()), entry
        assert hashes, entry
        assert all(HASH.fullmatch(one) for one in hashes), entry


@pytest.mark.parametrize("extra", direct())
def test_the_lock_of_ci_holds_each_direct_dependency_in_its_range(extra: str) -> None:
    locked = {
        canonicalize_name(one.name): next(iter(one.specifier)).version for one in pinned(ROOT / "requirements/ci.txt")
    }
    for requirement in direct()[extra]:
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name}: make lock"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{requirement}: make lock"


def test_ci_the_image_and_the_documentation_take_the_locks() -> None:
    script = (ROOT / "scripts" / "make_venv").read_text()
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    of_ci = set(re.findall(r"install_locked ([a-z]+) ", script))
    of_image = set(re.findall(r"--require-hashes .*requirements/([a-z]+)\.txt", image))
    assert of_image == {"build", "image"}
    # `make docs` has an environment of its own.
    of_docs = set(re.findall(r"--requirement requirements/([a-z]+)\.txt", (ROOT / "Makefile").read_text()))
    assert of_docs == {"docs"}
    assert {lock.stem for lock in LOCKS} == of_ci | of_image | of_docs


def test_the_image_has_what_ci_has() -> None:
    tested = set(map(str, pinned(ROOT / "requirements/ci.txt")))
    assert set(map(str, pinned(ROOT / "requirements/image.txt"))) <= tested


def test_the_image_has_what_the_wheel_needs() -> None:
    locked = {canonicalize_name(one.name) for one in pinned(ROOT / "requirements/image.txt")}
    needed = [one for extra in ("", "postgresql", "metrics") for one in direct()[extra]]
    assert {canonicalize_name(one.name) for one in needed} <= locked


def test_the_lock_of_the_documentation_holds_what_the_site_needs() -> None:
    wanted = (ROOT / "docs" / "requirements.in").read_text().splitlines()
    locked = {canonicalize_name(one.name) for one in pinned(ROOT / "requirements/docs.txt")}
    assert {name for name in wanted if not name.startswith("#")} - locked == set()
    assert {canonicalize_name(one.name) for one in direct()["postgresql"]} - locked == set(), "make lock"
