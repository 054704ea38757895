"""What all commands of `actingweb-db` have in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actingweb.db import __version__
from tests import forked

_HEAVY = ("alembic", "sqlalchemy", "psycopg", "pynamodb", "botocore")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return forked.run(["-m", "actingweb_db", *arguments])


def test_version() -> None:
    answer = run("--version")
    assert (answer.returncode, answer.stdout) == (0, f"actingweb-db {__version__}\n")


@pytest.mark.parametrize(("typed", "meant"), [("doktor", "doctor"), ("shcema", "schema"), ("migrat", "migrate")])
def test_a_mistyped_command_is_corrected(typed: str, meant: str) -> None:
    answer = run(typed)
    assert answer.returncode == 2
    assert f"Did you mean '{meant}'?" in answer.stderr


def test_a_mistyped_command_of_a_command_is_corrected() -> None:
    assert "Did you mean 'upgrade'?" in run("schema", "upgrad").stderr
    assert "Did you mean 'validate'?" in run("migrate", "valdiate").stderr


@pytest.mark.parametrize(
    "arguments", [(), ("schema",), ("schema", "upgrade"), ("doctor",), ("migrate",), ("migrate", "import")]
)
def test_help_loads_no_driver(arguments: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom actingweb.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, *arguments, "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Usage:" in answer.stdout
    assert set(answer.stderr.split()) & set(_HEAVY) == set()


def test_shells_can_complete() -> None:
    answer = run("--show-completion", "bash")
    assert answer.returncode == 0
    assert "actingweb" in answer.stdout.lower()
