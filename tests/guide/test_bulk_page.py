"""docs/bulk.md: its examples run, and it names every bulk call."""

import re
from typing import Any

import pytest

from actingweb.db import get_trust
from actingweb.db.registry import Backend
from tests.contract.support.signatures import METHODS

from .blocks import ROOT, blocks

PAGE = ROOT / "docs" / "bulk.md"


@pytest.mark.backends("dynamodb", "postgresql")
def test_the_examples_run(backend: Backend, actor_id: str) -> None:
    for peerid in ("bob", "carol", "dan"):
        get_trust(backend).create(actor_id, peerid)
    names: dict[str, Any] = {"config": backend, "actor_id": actor_id}
    wanted = [block for block in blocks(PAGE) if block.mark in ("", backend.database)]
    assert len(wanted) == {"dynamodb": 2, "postgresql": 3}[backend.database]
    for block in wanted:
        exec(compile(block.text, str(block), "exec"), names)


def test_the_table_names_every_bulk_call() -> None:
    named = set(re.findall(r"`(Db\w+\.\w*(?:_many|batch_)\w*)\(", PAGE.read_text()))
    assert named == {f"{cls}.{method}" for cls, method in METHODS if "_many" in method or "batch" in method}
