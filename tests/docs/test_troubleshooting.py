"""Each reason of a `DbError` and each exit code can be found by its own words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from actingweb.cli.doctor import EXIT_CODES as OF_DOCTOR
from actingweb.cli.migrate_options import EXIT_CODES as OF_MIGRATE
from actingweb.db import exceptions
from actingweb.migration.errors import ExitCode
from tests.contract.test_reasons import INPUT, PACKAGE, SOURCES, constructions, documented
from tests.guide.blocks import ROOT

ERRORS = (ROOT / "docs" / "errors.md").read_text()
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()

# The reasons of a refused schema are properties of its state.
_STATES = PACKAGE / "postgresql" / "schema_state.py"


def _patterns(node: ast.AST, tree: ast.Module) -> Iterator[str]:
    """Yield a pattern for each text that an expression can be, with anything for each value in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"\\{\w+\\}", ".+?", re.escape(node.value))
    elif isinstance(node, ast.JoinedStr):
        yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+?" for part in node.values)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        yield from _patterns(node.func.value, tree)
    elif isinstance(node, ast.Name):
        for found in ast.walk(tree):
            if (
                isinstance(found, ast.Assign)
                and isinstance(found.targets[0], ast.Name)
                and found.targets[0].id == node.id
            ):
                yield from _patterns(found.value, tree)


@cache
def _reasons() -> list[tuple[str, str]]:
    """Return the name of each source, and a pattern for each reason in it.

    Reading the sources takes long: not when the tests are collected, which each process of a parallel run does.
    """
    return [(source.name, pattern) for source in SOURCES for pattern in _reasons_in(source)]


def _reasons_in(source: Path) -> Iterator[str]:
    """Yield a pattern for each reason that a source gives to an error which is not about an argument."""
    tree = ast.parse(source.read_text())
    for call, error, _ in constructions(source):
        named = [word.value for word in call.keywords if word.arg == "reason"]
        if error not in INPUT:
            for given in named or call.args[1:2]:
                yield from _patterns(given, tree)
    if source == _STATES:
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield from (pattern for pattern in _patterns(node, tree) if r":\ " in pattern)


def test_each_reason_of_the_layer_is_on_the_page() -> None:
    missing = [(name, pattern) for name, pattern in _reasons() if not re.search(pattern, ERRORS)]
    assert missing == [], "add them to docs/errors.md"


def test_the_reasons_are_found() -> None:
    assert len(_reasons()) > 25
    assert len(documented()) > 50


@pytest.mark.parametrize("error", [name for name in exceptions.__all__ if name.startswith("Db")])
def test_each_class_has_its_line(error: str) -> None:
    assert re.search(rf"^\| `{error}`", ERRORS, re.MULTILINE)


def test_the_words_that_are_asked_about_are_those_of_reasons() -> None:
    questions = TROUBLESHOOTING.partition("## The words of an error")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", questions, re.MULTILINE)
    phrases = [phrase for cell in cells for phrase in re.findall("`([^`]+)`", cell) if " " in phrase]
    assert len(phrases) > 15
    plain = ERRORS.replace("`", "")
    assert [phrase for phrase in phrases if phrase not in plain] == []


@pytest.mark.parametrize("code", list(ExitCode), ids=lambda code: code.name)
def test_an_exit_code_is_on_the_page_in_the_words_of_the_command(code: ExitCode) -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", TROUBLESHOOTING, re.MULTILINE))
    for told in (OF_MIGRATE, OF_DOCTOR):
        words = dict(re.findall(r"(\d+) ([^·.]+?)(?= ·|\.|$)", told.partition("Exit codes: ")[2]))
        if str(code.value) in words:
            assert words[str(code.value)].partition(",")[0] in rows[str(code.value)]


def test_the_codes_of_the_commands_are_all_there() -> None:
    assert set(re.findall(r"^\| (\d+) \|", TROUBLESHOOTING, re.MULTILINE)) == {str(code.value) for code in ExitCode}
