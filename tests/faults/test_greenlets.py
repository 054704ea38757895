"""Greenlets of gevent in the place of threads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actingweb.db.registry import Backend
from tests.conftest import SetEnv

pytest.importorskip("gevent", reason="gevent is not installed: pip install gevent")
pytestmark = pytest.mark.backends("dynamodb", "postgresql")

GREENLETS = 50
CALLS_EACH = 20
CALLS = GREENLETS * CALLS_EACH
ROOT = Path(__file__).parents[2]


def run(library: str, moment: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.greenlets", library, moment]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_patched_before_all_imports_every_answer_is_right(backend: Backend, set_env: SetEnv) -> None:
    """Of many greenlets that share few connections and take turns."""
    set_env(PG_POOL_MAX_SIZE="5")
    found = run("gevent", "early")
    assert (found["right"], found["refused"]) == (CALLS, [])
    assert found["switches"] > CALLS / 2


def test_patched_after_the_imports_it_is_refused(backend: Backend, set_env: SetEnv) -> None:
    found = run("gevent", "late")
    assert (found["right"], len(found["refused"])) == (0, GREENLETS)
    assert "call gevent.monkey.patch_all() before all imports" in found["refused"][0]


def test_patched_after_first_calls_no_answer_is_wrong(backend: Backend, set_env: SetEnv) -> None:
    """It is refused where another connection would be needed; the pool's one does its work as before."""
    set_env(PG_POOL_MAX_SIZE="5")
    found = run("gevent", "used")
    assert found["right"] == CALLS - CALLS_EACH * len(found["refused"])
