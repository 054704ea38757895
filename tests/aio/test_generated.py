"""`scripts/generate_aio.py` writes what is committed, and `make lint` notices when it would write something else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.supply.packages import ROOT

METHOD = '''
    @classmethod
    def count(cls, actor_id: str | None = None) -> int:
        """Return how many there are."""
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the sources that the script reads and writes."""
    for name in ("pyproject.toml", "Makefile", "scripts/generate_aio.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "actingweb/db", tmp_path / "actingweb/db", ignore=lambda path, names: {"__pycache__"})
    return tmp_path


def generate(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(copy / "scripts/generate_aio.py"), *arguments]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_what_is_committed_is_what_the_script_writes(copy: Path) -> None:
    assert generate(copy, "--check").returncode == 0, "run scripts/generate_aio.py"


def test_a_new_method_is_noticed_and_then_written(copy: Path) -> None:
    source = copy / "actingweb/db/protocols.py"
    source.write_text(source.read_text() + METHOD)
    checked = generate(copy, "--check")
    assert checked.returncode == 1
    assert "protocols.py" in checked.stderr
    assert "accessors.py" not in checked.stderr
    assert generate(copy).returncode == 0
    assert "    async def count(self, actor_id: str | None = None) -> int:" in (
        (copy / "actingweb/db/aio/protocols.py").read_text()
    )
    assert generate(copy, "--check").returncode == 0


def test_lint_checks_it() -> None:
    assert "\t$(BIN)/python scripts/generate_aio.py --check\n" in (ROOT / "Makefile").read_text()
