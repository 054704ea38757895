"""Run the quick start on both databases, then move an application's data from DynamoDB to PostgreSQL, and compare."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actingweb.db.program import run
from actingweb.embedded.dynamodb import dynamodb_environment
from actingweb.embedded.postgres import postgres_environment

_ROOT = Path(__file__).parent.parent
_MIGRATIONS = _ROOT / "actingweb" / "db" / "postgresql"
_TOOL = "scripts/migrate_dynamodb_to_postgresql.py"
_ACTORS = "1000"

Environment = Mapping[str, str]


def _run(command: list[str], environment: Environment, directory: Path = _ROOT) -> str:
    result = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return result.stdout


def _timed(what: str, command: list[str], environment: Environment) -> dict[str, Any]:
    """Run a step that prints one JSON object; return that, and the seconds it took as `seconds`."""
    started = time.monotonic()
    result: dict[str, Any] = json.loads(_run(command, environment))
    result["seconds"] = time.monotonic() - started
    print(f"{what}: {result['seconds']:.1f} s", flush=True)
    return result


def _quickstart(backend: str, environment: Environment) -> str:
    output = _run(["examples/quickstart.py"], {**environment, "DATABASE_BACKEND": backend})
    print(f"DATABASE_BACKEND={backend}\n{output}", flush=True)
    return output


def _move(dynamodb: Environment, postgresql: Environment, files: str) -> bool:
    """Write on DynamoDB, export, import, validate, read on PostgreSQL; tell whether the same was read on both."""
    both = {**dynamodb, **postgresql}
    written = _timed(f"{_ACTORS} actors written to DynamoDB", ["examples/crowd.py", "write", _ACTORS], dynamodb)
    before = _timed("read from DynamoDB", ["examples/crowd.py", "read"], dynamodb)
    exported = _timed("exported", [_TOOL, "export", "--output-dir", files, "--json"], both)
    imported = _timed("imported", [_TOOL, "import", "--input-dir", files, "--json"], both)
    report = str(Path(files) / "differences.ndjson")
    checked = ["validate", "--input-dir", files, "--report", report, "--json"]
    validated = _timed("validated", [_TOOL, *checked], both)
    after = _timed("read from PostgreSQL", ["examples/crowd.py", "read"], postgresql)
    same = bool(before["digest"] == after["digest"])
    rates = f"{_rate(exported, 'rows')} exported, {_rate(imported, 'written')} imported"
    print(f"\n{written['rows']} rows written, {rates}, {validated['differences']} differences")
    print(f"The application reads {'the same' if same else 'something else'} from PostgreSQL.")
    return same and validated["differences"] == 0


def _rate(summary: dict[str, Any], count: str) -> str:
    rows = sum(table[count] for table in summary["tables"])
    return f"{rows} ({rows / summary['seconds']:.0f} a second)"


def main() -> int:
    """Print what each step did; return 0 if both databases gave the same answers, else 1."""
    with dynamodb_environment(prefer_docker=True) as server, postgres_environment() as target:
        dynamodb = {**server, "DATABASE_BACKEND": "dynamodb", "AWS_DB_PREFIX": "demo"}
        postgresql = {**target, "DATABASE_BACKEND": "postgresql", "PG_DB_PREFIX": "demo_"}
        _run(["-m", "alembic", "upgrade", "head"], postgresql, _MIGRATIONS)
        alike = _quickstart("dynamodb", dynamodb) == _quickstart("postgresql", postgresql)
        print(f"Both backends gave {'the same' if alike else 'different'} answers.\n", flush=True)
        with tempfile.TemporaryDirectory() as files:
            moved = _move(dynamodb, postgresql, str(Path(files) / "export"))
    return 0 if alike and moved else 1


if __name__ == "__main__":
    run(main, 1)
