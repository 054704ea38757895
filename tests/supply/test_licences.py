"""The licences of what a user of the package installs, and the page that lists them."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.utils import canonicalize_name

from .packages import allowed, direct, licence, needed, stated
from .report import PAGE, PURPOSES, USERS

PERMISSIVE = {
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC License",
    "MIT",
    "MIT License",
    "PSF-2.0",
}
# Libraries that are used as they are.
LESSER = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only", "psycopg-pool": "LGPL-3.0-only"}


def names(extra: str) -> list[str]:
    return [canonicalize_name(requirement.name) for requirement in direct()[extra]]


@pytest.mark.parametrize("extra", USERS)
def test_what_a_user_installs_is_under_a_permissive_licence_or_a_known_lesser_one(extra: str) -> None:
    for name, distribution in needed(direct()[extra]).items():
        found = licence(distribution)
        assert LESSER.get(name) == found or set(re.split(" OR | AND |, ", found)) <= PERMISSIVE, f"{name}: {found}"


@pytest.mark.parametrize("extra", direct())
def test_the_page_names_each_direct_dependency_with_its_licence(extra: str) -> None:
    page = PAGE.read_text()
    for requirement in direct()[extra]:
        name = canonicalize_name(requirement.name)
        cells = re.escape(f"| {name} | `{allowed(requirement)}` | "), re.escape(licence(metadata.distribution(name)))
        assert re.search(rf"^{cells[0]}\S+ \| {cells[1]} \|", page, re.MULTILINE), f"{name}: make licences"


def test_the_page_says_which_licences_are_not_permissive() -> None:
    page = PAGE.read_text()
    assert all(name in page for name in LESSER)
    assert "LGPL 3.0" in page


def test_each_dependency_has_its_purpose() -> None:
    assert {name for extra in direct() for name in names(extra)} == set(PURPOSES)


def test_the_extra_all_is_all_that_users_may_want() -> None:
    extras = {extra: set(map(str, requirements)) for extra, requirements in stated().items()}
    assert extras["all"] == set().union(*(extras[extra] for extra in USERS if extra))
