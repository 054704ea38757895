"""A reader of the guide, who types what it says into one shell, at the top of a clone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Literal

from actingweb.embedded.postgres import PostgresServer

from .blocks import ROOT, Block

SUPERUSER_PASSWORD = "superuser's own"

_PARTS_OF_A_CLONE = ("actingweb", "deploy", "docs", "scripts", "tests", "pyproject.toml")
_SECONDS = 300
# `poetry run` uses the project's virtual environment; here that of the tests.
_POETRY = """#!/bin/sh
[ "$1" = run ] && shift && exec "$@"
"""
_SHELL = """
set -euo pipefail
%s
env -0 > "$READER_ENVIRONMENT"
"""


class Shell:
    """A shell whose variables stay from one command to the next.

    Attributes:
        directory: where commands run.
        environment: that of the shell, which commands change.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], exported: Path) -> None:
        self.directory = directory
        self._exported = exported
        self.environment = {**environment, "READER_ENVIRONMENT": str(exported)}

    def type(self, commands: str) -> str:
        """Run commands in the shell and return what they print. Raise `AssertionError` if one fails."""
        result = self.attempt(commands)
        assert result.returncode == 0, f"{commands}\n{result.stdout}"
        exported = self._exported.read_text().rstrip("\0").split("\0")
        self.environment = {name: value for name, _, value in (line.partition("=") for line in exported)}
        return result.stdout

    def attempt(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Run commands that may fail."""
        return subprocess.run(
            ["bash", "-c", _SHELL % commands],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )


class Reader(Shell):
    """Runs blocks as the guide says, on the servers of the test instead of those that it names.

    Attributes:
        directory: the top of the clone.
        export_directory: stands for /tmp/actingweb_export.
    """

    def __init__(self, home: Path, port: int, dynamodb: Mapping[str, str], programs: Path) -> None:
        self.export_directory = home / "export"
        self._replaced = {
            r"\b5432\b": str(port),
            r"/tmp/actingweb_export": str(self.export_directory),
            r"/tmp/actingweb_final": str(home / "final"),
            r"/backups\b": str(home),
        }
        environment = {
            "HOME": str(home),
            "PATH": f"{home}/bin:{programs}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(home / "clone"),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGPASSFILE": str(home / "pgpass"),
        }
        super().__init__(home / "clone", environment, home / "environment")
        self._clone()
        poetry = home / "bin" / "poetry"
        poetry.parent.mkdir()
        poetry.write_text(_POETRY)
        poetry.chmod(0o755)
        self.remember_password("actingweb", "secretpassword")
        _write_profile(home / ".aws", dynamodb)

    def remember_password(self, role: str, password: str) -> None:
        """Have psql find the password of a role, as if the reader typed it."""
        file = Path(self.environment["PGPASSFILE"])
        file.touch(0o600)
        lines = [f"*:*:*:postgres:{SUPERUSER_PASSWORD}", f"*:*:*:{role}:{password}"]
        file.write_text("".join(f"{line}\n" for line in lines))

    def text_of(self, block: Block) -> str:
        """Return a block with the places of the test."""
        text = block.text
        for pattern, replacement in self._replaced.items():
            text = re.sub(pattern, replacement, text)
        return text

    def run(self, block: Block) -> str:
        """Run a block of commands, SQL or Python and return what it prints."""
        return self.type(self._commands(block))

    def stop_sync(self) -> None:
        """End the process that the guide starts in the background, if it still runs."""
        file = self.directory / "sync.pid"
        if file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)

    def _commands(self, block: Block) -> str:
        text = self.text_of(block)
        if block.mark.startswith("file "):
            return f"cat > {block.mark.removeprefix('file ')} <<'END'\n{text}END\n"
        match block.language:
            case "bash":
                return text
            case "python":
                return f"poetry run python - <<'END'\n{text}END\n"
            case "sql":
                _, role, _, database = (*block.mark.split(), "", "", "", "")[:4]
                role = role or "actingweb"
                database = database or role
                return f"psql -v ON_ERROR_STOP=1 -U {role} -d {database} <<'END'\n{text}END\n"
        raise AssertionError(f"{block}: nothing runs {block.language}")

    def _clone(self) -> None:
        self.directory.mkdir()
        for name in _PARTS_OF_A_CLONE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.directory / name)
            else:
                shutil.copy(ROOT / name, self.directory)


def prints(output: str, expected: str) -> bool:
    """Tell if the lines expected are in the output in order; `...` is anything, a blank any number of them."""
    lines = [r"\s+".join(map(re.escape, line.split())).replace(r"\.\.\.", ".*") for line in expected.splitlines()]
    return re.search(".*".join(lines), output, re.DOTALL) is not None


def name_superuser(server: PostgresServer) -> None:
    """Name the superuser `postgres`, as everywhere, so that `actingweb` is free."""
    facts = server.connection
    first = make_conninfo(superuser_conninfo(server), user=facts.user, password=facts.password)
    with psycopg.connect(first) as connection:
        password = Literal(SUPERUSER_PASSWORD)
        connection.execute(SQL("CREATE ROLE postgres SUPERUSER LOGIN PASSWORD {}").format(password))
    with psycopg.connect(superuser_conninfo(server)) as connection:
        connection.execute("ALTER ROLE actingweb RENAME TO first_superuser")


def superuser_conninfo(server: PostgresServer) -> str:
    """Return how the superuser connects."""
    facts = server.connection
    return make_conninfo(
        host=facts.host, port=facts.port, dbname="postgres", user="postgres", password=SUPERUSER_PASSWORD
    )


def _write_profile(directory: Path, dynamodb: Mapping[str, str]) -> None:
    directory.mkdir()
    (directory / "config").write_text(
        "[profile production]\n"
        f"region = {dynamodb['AWS_DEFAULT_REGION']}\n"
        f"endpoint_url = {dynamodb['AWS_DB_HOST']}\n"
        f"aws_access_key_id = {dynamodb['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {dynamodb['AWS_SECRET_ACCESS_KEY']}\n"
    )
