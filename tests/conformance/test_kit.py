"""The conformance kit, used as a package with a backend of its own uses it: docs/guides/backend.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.supply.packages import ROOT
from tests.supply.wheel import build_sdist

PAGE = (ROOT / "docs/guides/backend.md").read_text()
HARNESS = "mypackage.harness:Harness"
COMMAND = f"python -m pytest -p actingweb.db.conformance --backend-harness {HARNESS} tests/contract"
ENTRY_POINT = "[actingweb.db.backends]\nmemory = mypackage.backend\n"

# Read at each start of Python: hides what the extra `conformance` does not install.
HIDING = """
import sys

class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("alembic", "gevent", "matplotlib", "pydantic", "rich", "sqlalchemy", "typer"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hiding)
"""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution."""
    return build_sdist(tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def suite(sdist: Path, tmp_path: Path) -> Path:
    """Unpack the source distribution and add a package that has the harness of the page."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    (harness,) = re.findall(r"^```python\n(.*?class Harness\(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    package = tree / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sitecustomize.py").write_text(HIDING)
    (package / "harness.py").write_text(harness)
    # The package's backend is the memory backend under another name.
    shutil.copytree(tree / "tests/memory_backend", package / "backend")
    for source in (package / "backend").glob("*.py"):
        source.write_text(source.read_text().replace("tests.memory_backend", "mypackage.backend"))
    (tree / "tests/plugins/actingweb_memory-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINT)
    return tree


def run(tree: Path, *, harness: str = HARNESS, module: str = "") -> tuple[int, str]:
    """Run the command of the page, on one module if given; return its exit code and what it prints.

    It tries few sequences of random calls: the suite tries many on the same backend when it runs in the clone.
    """
    _, *command = f"{COMMAND}/{module}".replace(HARNESS, harness).split()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        # Explained assertions would take half the time of a run, in a tree that nobody used before.
        [sys.executable, *command, "-p", "no:cacheprovider", "-q", "--assert=plain"],
        cwd=tree,
        env=environment | {"PYTHONPATH": str(tree / "mypackage"), "MODEL_EXAMPLES": "5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_page_shows_the_command() -> None:
    assert COMMAND in PAGE


@pytest.mark.timeout(1200)  # It runs most of the contract suite.
def test_a_backend_of_another_package_passes_the_suite(suite: Path) -> None:
    code, output = run(suite)
    assert code == 0, output
    found = re.search(r"(\d+) passed, (\d+) skipped, (\d+) deselected", output)
    assert found is not None, output
    assert int(found[1]) > 1500
    assert "needs a backend with TRANSACTIONS" in output


def test_a_backend_that_breaks_the_contract_fails_the_suite(suite: Path) -> None:
    path = suite / "mypackage/backend/subscription.py"
    path.write_text(path.read_text().replace("row.seqnr + by", "row.seqnr + 2 * by"))
    code, output = run(suite, module="test_subscription.py")
    assert code == 1, output
    assert "increment" in output


def test_a_module_that_keeps_state_is_named(suite: Path) -> None:
    path = suite / "mypackage/backend/actor.py"
    path.write_text(
        path.read_text()
        .replace("class DbActor(", "CREATORS: list[str] = []\n\n\nclass DbActor(", 1)
        .replace("        return [row", "        CREATORS.append(creator)\n        return [row", 1)
    )
    code, output = run(suite, module="test_actor.py")
    assert code == 1, output
    assert "actingweb.db.memory.actor keeps state in CREATORS" in output


@pytest.mark.parametrize("path", ["mypackage.nothing:Harness", "mypackage.harness:Nothing", "mypackage.harness"])
def test_a_harness_that_cannot_be_loaded_is_a_usage_error(suite: Path, path: str) -> None:
    code, output = run(suite, harness=path)
    assert code == 4
    assert f"backend harness '{path}' cannot be loaded" in output
