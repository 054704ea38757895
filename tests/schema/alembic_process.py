"""The command line tool, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from actingweb.db.postgresql.migrate import ALEMBIC_INI

__all__ = ["DIRECTORY", "finish", "start"]

DIRECTORY = Path(ALEMBIC_INI).parent
_SECONDS = 120


def start(*arguments: str, directory: Path = DIRECTORY) -> subprocess.Popen[str]:
    """Start `alembic` with these arguments."""
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit code and what was printed."""
    output, _ = process.communicate(timeout=_SECONDS)
    return process.returncode, output
