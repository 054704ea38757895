"""The guide, step by step, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import psycopg
import pytest

from tests.live.balancer import balancing
from tests.live.nginx import HOW_TO_GET_IT, find_nginx
from tests.support import wait_until

from .blocks import Block, blocks
from .conftest import Desk
from .reader import prints, superuser_conninfo

# The first test follows the whole guide.
pytestmark = pytest.mark.timeout(1200)

_ELSEWHERE = ("not run here", "postgresql.conf", "crontab", "file deploy", "the schema")
_WITH_NGINX = "with nginx"
_WRITE = """DATABASE_BACKEND=postgresql poetry run python - <<'END'
from actingweb import db
assert db.get_property(db.load_backend()).set("test-actor-123", "mood", "written after the cutover")
END
"""
_READ = """DATABASE_BACKEND=dynamodb poetry run python - <<'END'
from actingweb import db
print(db.get_property(db.load_backend()).get("test-actor-123", "mood"))
END
"""


def _steps() -> list[Block]:
    return [
        block for block in blocks() if not block.mark.startswith(_ELSEWHERE) and "Common issues" not in block.headings
    ]


@pytest.fixture(scope="module")
def read(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Block, str]]:
    """Follow the guide from its first line to its last and return what each block printed."""
    outputs = {}
    program = find_nginx()
    with ExitStack() as stack:
        stack.callback(desk.reader.stop_sync)
        if program is not None:
            balancer = stack.enter_context(balancing(program, tmp_path_factory.mktemp("nginx")))
            desk.reader.environment |= balancer.environment
        for block in _steps():
            if block.mark == "prints" or (block.mark == _WITH_NGINX and program is None):
                continue
            outputs[block] = desk.reader.run(block)
            if "migrate cutover --aws" in block.text:
                desk.reader.type(_WRITE)
            if "migrate rollback" in block.text and block.mark == _WITH_NGINX:
                outputs[block] += desk.reader.type(_READ)
        yield outputs


def test_every_block_runs_in_order(read: dict[Block, str]) -> None:
    assert len(read) > 30


def test_every_block_prints_what_the_guide_says(read: dict[Block, str]) -> None:
    steps = _steps()
    for step, following in pairwise(steps):
        if following.mark == "prints" and step in read:
            assert prints(read[step], following.text), f"{following}\n{read[step]}"


def test_a_write_on_postgresql_is_in_dynamodb_after_the_rollback(read: dict[Block, str]) -> None:
    if find_nginx() is None:
        pytest.skip(HOW_TO_GET_IT)
    (rollback,) = (block for block in read if "migrate rollback" in block.text and block.mark == _WITH_NGINX)
    assert read[rollback].endswith("written after the cutover\n")


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
