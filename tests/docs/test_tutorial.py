"""docs/tutorial.md, command by command, in an empty directory."""

from __future__ import annotations

import os
import re
import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.guide.blocks import ROOT, Block, blocks
from tests.guide.reader import Shell, prints
from tests.supply.test_locks import pinned

PAGE = ROOT / "docs" / "tutorial.md"
# What the tutorial installs is installed by `make docs`.
PYTHON = ROOT / "build" / "docs-venv" / "bin" / "python"

_BLOCKS = blocks(PAGE)
_COMMAND = f'#!/bin/sh\nexec {PYTHON} -m actingweb_db "$@"\n'


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Return a shell in an empty directory, with the packages of the first step."""
    if not PYTHON.exists():
        pytest.skip("there is no FastAPI: `make docs` installs it")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "actingweb-db"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    directory = tmp_path / "tutorial"
    directory.mkdir()
    path = f"{programs}:{PYTHON.parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {"HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT)}
    yield Shell(directory, environment, tmp_path / "environment")
    for file in directory.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGTERM)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _commands(block: Block, port: int) -> str:
    if block.mark.startswith("file "):
        return f"cat > {block.mark.removeprefix('file ')} <<'END'\n{block.text}END\n"
    return block.text.replace("8765", str(port))


def test_every_command_runs_and_prints_what_the_page_says(shell: Shell) -> None:
    port = _free_port()
    steps = [block for block in _BLOCKS if block.mark != "prints" and not block.mark.startswith("not run here")]
    assert len(steps) >= 9
    output = {block: shell.type(_commands(block, port)) for block in steps}
    for step, following in pairwise(_BLOCKS):
        if following.mark == "prints":
            assert prints(output[step], following.text), f"{following}\n{output[step]}"


def test_what_is_installed_exists() -> None:
    (install,) = (block for block in _BLOCKS if block.mark.startswith("not run here"))
    found = re.search(r'pip install "actingweb-db\[([\w,]+)\]" (.*)', install.text)
    assert found is not None
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(found[1].split(",")) <= set(extras)
    assert set(found[2].split()) <= {one.name for one in pinned(ROOT / "requirements" / "docs.txt")}


def test_no_block_escapes() -> None:
    assert len(_BLOCKS) == len(re.findall("^```[a-z]+$", PAGE.read_text(), re.MULTILINE))
