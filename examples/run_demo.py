"""Run the quick start on DynamoDB and on PostgreSQL, on private servers, and compare what it reads back."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from actingweb.embedded.dynamodb import dynamodb_environment
from actingweb.embedded.postgres import postgres_environment

_ROOT = Path(__file__).parent.parent
_MIGRATIONS = _ROOT / "actingweb" / "db" / "postgresql"


def _run(command: list[str], environment: Mapping[str, str], directory: Path = _ROOT) -> str:
    result = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


def _quickstart(backend: str, environment: Mapping[str, str]) -> str:
    output = _run(["examples/quickstart.py"], {**environment, "DATABASE_BACKEND": backend})
    print(f"DATABASE_BACKEND={backend}\n{output}", flush=True)
    return output


def main() -> int:
    """Print both outputs; return 0 if they are the same, else 1."""
    with dynamodb_environment(prefer_docker=True) as dynamodb:
        on_dynamodb = _quickstart("dynamodb", {**dynamodb, "AWS_DB_PREFIX": "demo"})
    with postgres_environment() as postgresql:
        schema = {**postgresql, "PG_DB_PREFIX": "demo_"}
        _run(["-m", "alembic", "upgrade", "head"], schema, _MIGRATIONS)
        on_postgresql = _quickstart("postgresql", schema)
    same = on_dynamodb == on_postgresql
    print("Both backends gave the same answers." if same else "The backends gave different answers.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
