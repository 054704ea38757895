"""README.md: short, and its sample runs twice."""

from __future__ import annotations

import re

import pytest

from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.guide.blocks import ROOT, blocks

PAGE = ROOT / "README.md"


@pytest.mark.backends("dynamodb", "postgresql")
def test_the_sample_runs_twice(backend: Backend, set_env: SetEnv, capsys: pytest.CaptureFixture[str]) -> None:
    set_env(DATABASE_BACKEND=backend.database)
    (sample,) = (block for block in blocks(PAGE) if block.language == "python")
    for printed in ("alice is new\nalice\n1\n", "alice was there already\nalice\n2\n"):
        exec(compile(sample.text, str(sample), "exec"), {})
        assert capsys.readouterr().out == printed


def test_the_page_is_short() -> None:
    text = PAGE.read_text()
    assert len(text.splitlines()) < 150
    for command in ("make demo", "make test"):
        assert re.search(rf"^\$ {command}\b", text, re.MULTILINE)
