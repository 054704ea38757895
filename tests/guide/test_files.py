"""What of the guide cannot run here: at least it is well-formed, and the files it shows are those in `deploy/`."""

from __future__ import annotations

import re
import subprocess

import pytest

from actingweb.db.postgresql.migrate import upgrade as migrate
from testbed.servers import PostgresTarget
from tests.conftest import SetEnv
from tests.schema.catalog import describe
from tests.schema.databases import BYTE_ORDER, database

from .blocks import GUIDE, ROOT, Block, blocks

_NOT_RUN = [block for block in blocks() if block.mark.startswith("not run here") and block.language == "bash"]
_FILES = [block for block in blocks() if block.mark.startswith("file deploy/")]
_PROMISES = ROOT / "docs" / "guides" / "promise.md"


def test_no_block_escapes() -> None:
    """Each fence of the page is a block that one of the tests looks at."""
    assert len(blocks()) == len(re.findall("^```[a-z]+$", GUIDE.read_text(), re.MULTILINE))
    assert {block.language for block in blocks()} == {"bash", "sql", "python", "text", "ini"}


@pytest.mark.parametrize("block", _NOT_RUN, ids=str)
def test_commands_are_well_formed(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


def test_the_crontab_is_well_formed() -> None:
    (block,) = (block for block in blocks() if block.mark == "crontab")
    *times, command = block.text.rstrip("\n").split(" ", 5)
    assert times == ["0", "2", "*", "*", "*"]
    # In a crontab, % ends the command.
    assert not re.search(r"(?<!\\)%", command)
    subprocess.run(["bash", "-n"], input=command.replace(r"\%", "%"), text=True, check=True)


@pytest.mark.parametrize("block", _FILES, ids=str)
def test_the_guide_shows_the_files_of_deploy(block: Block) -> None:
    assert block.text == (ROOT / block.mark.removeprefix("file ")).read_text()


def test_the_appendix_is_the_schema(postgres_server: PostgresTarget, set_env: SetEnv) -> None:
    (block,) = (block for block in blocks() if block.mark == "the schema")
    with database(postgres_server, BYTE_ORDER) as target:
        assert target is not None
        set_env(**{**target.environment, "PG_DB_PREFIX": "migrated_", "PG_DB_SCHEMA": "x"})
        migrate()
        with target.connect() as connection:
            connection.execute("CREATE SCHEMA appendix")
            connection.execute("SET search_path TO appendix")
            connection.execute(block.text.encode())
            shown = _sorted(describe(connection, "appendix"))
            connection.execute("SET search_path TO migrated_x")
            made = _sorted(describe(connection, "migrated_x"))
        del made["alembic_version"]
        assert shown == made
        set_env()


def _sorted(layout: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return a layout without the order of columns, which upgrades change."""
    return {table: sorted(lines) for table, lines in layout.items()}


def test_the_table_of_promises_names_tests_that_exist() -> None:
    """An abbreviated name, `::test_x`, is in the file named before it."""
    file = ""
    for named, test in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)?(?:::(\w+))?`", _PROMISES.read_text()):
        file = named or file
        if file:
            assert (ROOT / file).is_file(), file
        if test:
            assert f"def {test}(" in (ROOT / file).read_text(), test


def test_every_comment_says_what_to_do_with_a_block() -> None:
    known = (
        r"(not run here: .+|prints|message|postgresql\.conf|pg_hba\.conf|crontab|the schema|with nginx|file \S+"
        r"|as postgres.*|)"
    )
    for block in blocks():
        assert re.fullmatch(known, block.mark), block
        assert block.mark or block.language in ("bash", "sql", "python"), block
