"""The guide, step by step, on real servers."""

from __future__ import annotations

import re
from itertools import pairwise

import psycopg
import pytest

from tests.support import wait_until

from .blocks import Block, blocks
from .conftest import Desk
from .reader import superuser_conninfo

# The first test follows the whole guide.
pytestmark = pytest.mark.timeout(1200)

_ELSEWHERE = ("not run here", "postgresql.conf", "crontab", "file deploy", "the schema")


def _steps() -> list[Block]:
    return [
        block for block in blocks() if not block.mark.startswith(_ELSEWHERE) and "Common issues" not in block.headings
    ]


def prints(output: str, expected: str) -> bool:
    """Tell if the lines expected are in the output in order; `...` is anything, a blank any number of them."""
    lines = [r"\s+".join(map(re.escape, line.split())).replace(r"\.\.\.", ".*") for line in expected.splitlines()]
    return re.search(".*".join(lines), output, re.DOTALL) is not None


@pytest.fixture(scope="module")
def read(desk: Desk) -> dict[Block, str]:
    """Follow the guide from its first line to its last and return what each block printed."""
    outputs = {}
    for block in _steps():
        if block.mark != "prints":
            outputs[block] = desk.reader.run(block)
    return outputs


def test_every_block_runs_in_order(read: dict[Block, str]) -> None:
    assert len(read) > 30


def test_every_block_prints_what_the_guide_says(read: dict[Block, str]) -> None:
    steps = _steps()
    for step, following in pairwise(steps):
        if following.mark == "prints":
            assert prints(read[step], following.text), f"{following}\n{read[step]}"


def test_the_server_has_the_settings(desk: Desk) -> None:
    wanted = {
        "shared_buffers": "256MB",
        "work_mem": "16MB",
        "log_min_duration_statement": "250ms",
        "archive_mode": "on",
    }
    with _superuser(desk) as connection:
        for name, value in wanted.items():
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)


def test_the_archive_command_archives(desk: Desk) -> None:
    with _superuser(desk) as connection:
        connection.execute("SELECT pg_create_restore_point('guide'), pg_switch_wal()")
    wait_until(lambda: any(desk.archive.iterdir()))


def _superuser(desk: Desk) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(superuser_conninfo(desk.server), autocommit=True)
