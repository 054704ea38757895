"""The pages of docs/how-to: what they tell to type is typed, what they show is well-formed."""

from __future__ import annotations

import configparser
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from .blocks import ROOT, Block, blocks
from .reader import Reader, Shell, prints

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
# This one brings a server of its own.
_ALONE = ROOT / "docs" / "how-to" / "test-an-application.md"


def _name(page: Path) -> str:
    return page.stem


def _typed(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.mark != "prints" and not block.mark.startswith("not run here")]


def _check(page: Path, outputs: dict[Block, str]) -> None:
    for step, following in pairwise(blocks(page)):
        if following.mark == "prints":
            assert prints(outputs[step], following.text), f"{following}\n{outputs[step]}"


@pytest.fixture
def reader_of_pages(reader: Reader) -> Reader:
    reader.environment["DATABASE_BACKEND"] = "postgresql"
    return reader


def _only_sets(page: Path) -> bool:
    """Tell whether the commands of a page do no more than to set variables."""
    lines = [line for block in _typed(page) if block.language == "bash" for line in block.text.splitlines()]
    return all(line.startswith("export ") for line in lines)


@pytest.mark.parametrize("page", [page for page in PAGES if page != _ALONE and not _only_sets(page)], ids=_name)
def test_what_the_page_tells_to_type(page: Path, reader_of_pages: Reader) -> None:
    wanted = [block for block in _typed(page) if block.language not in ("console", "ini")]
    _check(page, {block: reader_of_pages.run(block) for block in wanted})


@pytest.mark.parametrize("page", [page for page in PAGES if _typed(page) and _only_sets(page)], ids=_name)
def test_what_the_page_sets_is_a_setting(page: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"PATH": "/usr/bin:/bin"}, tmp_path / "environment")
    before = {*shell.environment, "PWD", "SHLVL", "_"}
    for block in _typed(page):
        if block.language == "bash":
            shell.type(block.text)
    settings = (ROOT / "docs" / "settings.md").read_text()
    assert {name for name in {*shell.environment} - before if f"`{name}`" not in settings} == set()


def test_the_tests_of_an_application_pass(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {"HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT)}
    shell = Shell(tmp_path, environment, tmp_path / "environment")
    outputs = {}
    for block in _typed(_ALONE):
        if block.mark.startswith("file "):
            (tmp_path / block.mark.removeprefix("file ")).write_text(block.text)
        elif block.language == "bash":
            outputs[block] = shell.type(block.text)
    _check(_ALONE, outputs)


def test_the_settings_of_pgbouncer_are_those_of_a_pooler_by_transaction() -> None:
    (block,) = (block for block in blocks(ROOT / "docs" / "how-to" / "pgbouncer.md") if block.language == "ini")
    settings = configparser.ConfigParser()
    settings.read_string(block.text)
    assert settings["pgbouncer"]["pool_mode"] == "transaction"


def test_gunicorn_has_a_connection_for_each_thread() -> None:
    (block,) = (block for block in blocks(ROOT / "docs" / "how-to" / "gunicorn.md") if block.language == "python")
    names: dict[str, object] = {}
    exec(block.text, names)
    assert f"PG_POOL_MAX_SIZE={names['threads']}" in str(names["raw_env"])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_block_escapes(page: Path) -> None:
    shown = blocks(page)
    assert len(shown) == len(re.findall("^ *```[a-z]+$", page.read_text(), re.MULTILINE))
    assert {block.language for block in shown} <= {"bash", "sql", "python", "text", "ini", "console"}
    for block in shown:
        assert re.fullmatch(r"(not run here: .+|prints|file \S+|as postgres in actingweb|)", block.mark), block
