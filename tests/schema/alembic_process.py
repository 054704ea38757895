"""The command line tool, in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path

from actingweb.db.postgresql.migrate import ALEMBIC_INI
from tests.forked import Program

__all__ = ["DIRECTORY", "finish", "start"]

DIRECTORY = Path(ALEMBIC_INI).parent
_SECONDS = 120


def start(*arguments: str, directory: Path = DIRECTORY) -> Program:
    """Start `alembic` with these arguments."""
    return Program(["-m", "alembic", *arguments], directory, os.environ, one_output=True)


def finish(process: Program) -> tuple[int | None, str]:
    """Wait for the end; return the exit code and what was printed."""
    with process:
        output, _ = process.communicate(_SECONDS)
    return process.returncode, output
