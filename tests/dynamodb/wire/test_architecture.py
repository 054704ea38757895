"""How the wire client is built: what can be shared, and what goes back to botocore."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from actingweb.db.dynamodb import wire
from tests.contract.test_architecture import imported
from tests.supply.packages import ROOT

DIRECTORY = Path(wire.__file__).parent
INPUT_AND_OUTPUT = {
    "asyncio",
    "botocore",
    "http",
    "io",
    "os",
    "select",
    "socket",
    "ssl",
    "threading",
    "time",
    "urllib3",
}
CLIENTS = ("boto3", "botocore.client", "pynamodb", "urllib3")


def imports_of(name: str) -> set[str]:
    return set(imported(ast.parse((DIRECTORY / name).read_text())))


@pytest.mark.parametrize("name", ["failures.py", "messages.py", "signature.py"])
def test_requests_and_answers_are_built_without_input_and_output(name: str) -> None:
    """So that another transport, perhaps an asynchronous one, can share them."""
    assert not {module.partition(".")[0] for module in imports_of(name)} & INPUT_AND_OUTPUT
    ours = {module.rpartition(".")[0] for module in imports_of(name) if module.startswith("actingweb")}
    assert ours <= {f"actingweb.db.dynamodb.wire.{pure}" for pure in ("failures", "messages", "signature")}


def test_the_check_of_input_and_output_can_fail() -> None:
    assert {module.partition(".")[0] for module in imports_of("connections.py")} & INPUT_AND_OUTPUT


@pytest.mark.parametrize("name", sorted(path.name for path in DIRECTORY.glob("*.py")))
def test_no_client_of_others_is_used(name: str) -> None:
    assert [module for module in imports_of(name) if module.startswith(CLIENTS)] == []


def test_the_way_back_to_botocore_stays_small() -> None:
    assert len((DIRECTORY / "fallback.py").read_text().splitlines()) <= 80


def test_the_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", page)
    assert len(named) > 20
    for module, name in named:
        defined = {getattr(node, "name", "") for node in ast.parse((Path(__file__).parent / module).read_text()).body}
        assert name in defined, f"{module}::{name}"
