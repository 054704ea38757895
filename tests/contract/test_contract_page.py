"""docs/contract.md is what the code does: signatures, settings, and the sections that tests cite."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from actingweb.db.registry import Backend

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contract.md").read_text()

_ENTITY = re.compile(r"^### 3\.\d+ (?P<cls>\w+).*\(module `(?P<module>\w+)`.*\n(?P<body>(?:(?!^#).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"(?P<cls>Db\w+)(?:\([^)]*\))?[:,]|(?P<method>\w+)\((?P<parameters>[^()]*)\) ->")
_SECTION = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\b", re.MULTILINE)
_CITATION = re.compile(
    r"^\"\"\".*\((\d(?:\.\d+)?)\)\.\"\"\"$|contract,? (?:section )?(\d\.\d+)(?: and (\d\.\d+))?", re.MULTILINE
)
_VARIABLE = re.compile(r"\"((?:AWS|PG)_[A-Z_]+|DATABASE_[A-Z]+|USE_[A-Z_]+|INDEXED_[A-Z]+)\"")


def _methods() -> Iterator[tuple[str, str, str, str]]:
    """Yield module, class, method and parameters of each method in the code blocks of section 3."""
    for entity in _ENTITY.finditer(PAGE):
        cls = entity["cls"]
        for part in _PART.finditer("".join(_BLOCK.findall(entity["body"]))):
            cls = part["cls"] or cls
            if part["method"] and part["method"] != "ttl_deadline":
                yield entity["module"], cls, part["method"], " ".join(part["parameters"].split())


METHODS = list(_methods())


def test_the_methods_have_the_signatures_of_the_page(backend: Backend) -> None:
    found = []
    for module, cls, name, _ in METHODS:
        method = getattr(getattr(importlib.import_module(f"actingweb.db.{backend.database}.{module}"), cls), name)
        parameters = inspect.signature(method).parameters.values()
        plain = [str(each.replace(annotation=inspect.Parameter.empty)) for each in parameters if each.name != "self"]
        found.append((module, cls, name, ", ".join(plain).replace("''", '""')))
    assert found == METHODS


def test_the_page_has_every_public_method(backend: Backend) -> None:
    named: dict[tuple[str, str], set[str]] = {}
    for module, cls, name, _ in METHODS:
        named.setdefault((module, cls), set()).add(name)
    for (module, cls), methods in named.items():
        members = getattr(importlib.import_module(f"actingweb.db.{backend.database}.{module}"), cls)
        public = {name for name, _ in inspect.getmembers(members, inspect.isroutine) if not name.startswith("_")}
        assert public == methods, cls


def test_a_section_that_is_cited_exists() -> None:
    sections = set(_SECTION.findall(PAGE))
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    cited = {
        number: path.name
        for path in sources
        for numbers in _CITATION.findall(path.read_text())
        for number in numbers
        if number
    }
    assert len(cited) > 5
    assert {number: name for number, name in cited.items() if number not in sections} == {}


@pytest.mark.parametrize("page", ["docs/contract.md", "docs/settings.md"])
def test_the_pages_name_every_setting(page: str) -> None:
    variables = set(_VARIABLE.findall((ROOT / "actingweb" / "db" / "settings.py").read_text()))
    assert len(variables) > 20
    text = (ROOT / page).read_text().replace("`_", "`PG_DB_")
    assert {variable for variable in variables if f"`{variable}`" not in text} == set()
