"""The wheel and the source distribution of this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.supply.packages import ROOT

__all__ = ["build_sdist", "build_wheel"]


def build_wheel(directory: Path, tree: Path = ROOT, *, editable: bool = False) -> Path:
    """Build the wheel of `tree` into `directory` and return its path."""
    return _built("build_editable" if editable else "build_wheel", directory, tree)


def build_sdist(directory: Path) -> Path:
    """Build the source distribution into `directory` and return its path."""
    return _built("build_sdist", directory, ROOT)


def _built(hook: str, directory: Path, tree: Path) -> Path:
    """Call a hook of the build backend, in a process of its own as installers do."""
    program = f"import sys, build_backend; print(build_backend.{hook}(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(directory)]
    environment = {**os.environ, "PYTHONPATH": "scripts"}
    built = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return directory / built.stdout.split()[-1]
