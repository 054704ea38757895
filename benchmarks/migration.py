"""Measure the migration on generated rows: `python -m benchmarks.migration [rows] [--value-bytes N] [--rounds N]`.

Compares import and validation with a plain COPY of the same rows into the same tables, export and copy with a bare scan
by boto3. Each step is a process of its own, whose peak memory is measured. Uses the servers that the environment names,
in places of its own, or starts private ones. Ends with 1 if a target is missed.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from psycopg import sql

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.db.settings import reset_settings
from actingweb.db.verify_tables import required_models
from actingweb.embedded.postgres import postgres_environment
from actingweb.migration.tables import FORMS
from benchmarks.migration_data import fill_tables, write_files
from tests.servers import DynamoDBTables, PostgresTables, PostgresTarget, dynamodb_target

_LOADS = ("plain COPY", "import", "copy")
_IN_FILES = ("plain COPY", "import", "validate")
_IN_TABLES = ("bare scan", "export", "copy")
_MEMORY_MIB = 200
_RATIOS = (
    ("import", "plain COPY", 0.6),
    ("validate", "import", 1.0),
    ("export", "bare scan", 0.8),
)


@dataclass(frozen=True)
class Measurement:
    """One run of a step."""

    rows: int
    seconds: float
    mib: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


Measurements = dict[str, list[Measurement]]


@contextmanager
def servers() -> Iterator[tuple[PostgresTables, DynamoDBTables]]:
    """Put into the environment what names a schema and tables of this run's own, and yield both."""
    name = f"bench{uuid4().hex[:8]}"
    with postgres_environment() as settings, dynamodb_target(os.environ) as target:
        tables = DynamoDBTables(target, name)
        os.environ.update({**settings, **tables.environment, "PG_DB_PREFIX": f"{name}_"})
        reset_settings()
        migrate()
        for model in required_models():
            ensure_table(model)
        schema = PostgresTables(PostgresTarget(settings), f"{name}_", "public")
        try:
            yield schema, tables
        finally:
            schema.drop()
            tables.drop()


def measured(step: str, directory: Path) -> Measurement:
    """Run a step as a process."""
    command = [sys.executable, "-m", "benchmarks.migration_steps", step, str(directory)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return Measurement(**json.loads(result.stdout))


def empty(schema: PostgresTables) -> None:
    """Remove all rows, as if there had never been any."""
    with schema.connect() as connection:
        names = sql.SQL(", ").join(sql.Identifier(name) for name in (*(form.name for form in FORMS), "property_lookup"))
        connection.execute(sql.SQL("TRUNCATE {}").format(names))


def run(schema: PostgresTables, directory: Path, steps: tuple[str, ...], rounds: int) -> Measurements:
    """Run the steps in turn."""
    found: Measurements = {step: [] for step in steps}
    for number in range(rounds):
        for step in steps:
            if step in _LOADS:
                empty(schema)
            found[step].append(measured(step, directory))
            latest = found[step][-1]
            print(f"round {number + 1}: {step} {latest.rate:,.0f} rows/s, {latest.mib:.0f} MiB", file=sys.stderr)
    return found


def median_rate(measurements: list[Measurement]) -> float:
    """Return the rows a second of the run in the middle."""
    return statistics.median(measurement.rate for measurement in measurements)


def print_table(found: Measurements) -> None:
    """Print a line for each step."""
    print(f"{'step':<12} {'rows':>10} {'rows/s':>10} {'least':>10} {'most':>10} {'peak MiB':>9}")
    for step, measurements in found.items():
        rates = [measurement.rate for measurement in measurements]
        cells = f"{median_rate(measurements):>10,.0f} {min(rates):>10,.0f} {max(rates):>10,.0f}"
        peak = max(measurement.mib for measurement in measurements)
        print(f"{step:<12} {measurements[0].rows:>10,} {cells} {peak:>9.0f}")


def missed(found: Measurements) -> list[str]:
    """Print the ratios and return what misses its target."""
    rates = {step: median_rate(measurements) for step, measurements in found.items()}
    ratios = [(one, other, least) for one, other, least in _RATIOS if one in rates and other in rates]
    if "copy" in rates and "import" in rates:
        slower = min("import", "export", key=lambda step: rates[step])
        ratios.append(("copy", slower, 1.0))
    failures = []
    for one, other, least in ratios:
        ratio = rates[one] / rates[other]
        print(f"{one} reaches {ratio:.0%} of {other}; the target is {least:.0%}")
        failures += [one] if ratio < least else []
    peaks = {step: max(measurement.mib for measurement in measurements) for step, measurements in found.items()}
    return failures + [f"memory of {step}" for step, peak in peaks.items() if peak > _MEMORY_MIB]


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=200, help="the average size of a value")
    parser.add_argument("--rounds", type=int, default=3, help="how often each step is measured")
    parser.add_argument("--files-only", action="store_true", help="leave out DynamoDB, which takes long to fill")
    arguments = parser.parse_args()
    logging.getLogger("actingweb").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as place, servers() as (schema, tables):
        directory = Path(place)
        write_files(directory, arguments.rows, arguments.value_bytes)
        found = run(schema, directory, _IN_FILES, arguments.rounds)
        if not arguments.files_only:
            fill_tables(tables.connect(), os.environ["AWS_DB_PREFIX"], arguments.rows, arguments.value_bytes)
            found |= run(schema, directory, _IN_TABLES, arguments.rounds)
    print_table(found)
    failures = missed(found)
    print(f"missed: {', '.join(failures)}" if failures else "all targets are met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
