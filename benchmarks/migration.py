"""Measure the migration on generated rows: `python -m benchmarks.migration [rows]`.

Compares import and validation with a plain COPY of the same rows into the same tables, export and copy with a bare scan
by boto3; all of it with a tenth of the rows too, and with few items of the largest size. Each step is a process of its
own, whose peak memory is measured. Uses the servers that the environment names, in places of its own, or starts private
ones. Ends with 1 if a target is missed.
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
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from uuid import uuid4

from psycopg import sql

from actingweb.db.dynamodb._ensure import ensure_table, reset_ensure_cache
from actingweb.db.postgresql.migrate import upgrade as migrate
from actingweb.db.verify_tables import required_models
from actingweb.embedded.postgres import postgres_environment
from actingweb.migration.mapping import MAPPINGS
from benchmarks.machine import describe_machine
from benchmarks.migration_data import fill_tables, write_files
from testbed.servers import DynamoDBTables, PostgresTables, PostgresTarget, dynamodb_target

_LOADS = ("plain COPY", "import", "copy")
_IN_FILES = ("plain COPY", "import", "validate")
_IN_TABLES = ("bare scan", "export", "copy")
_OURS = ("import", "validate", "export", "copy")
_MEMORY_MIB = 200
_SAME = 0.15
_AS_FAST = 0.9
"""Less than the runs of one step differ."""
_LARGE_BYTES = 395_000
_LARGE_SHARE = 5000
"""How many rows of usual size stand for one of the largest, of which DynamoDB Local scans a dozen a second."""
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
    before = dict(os.environ)
    with postgres_environment() as settings, dynamodb_target(os.environ) as target:
        tables = DynamoDBTables(target, name)
        os.environ.update({**settings, **tables.environment, "PG_DB_PREFIX": f"{name}_"})
        reset_ensure_cache()
        migrate()
        for model in required_models():
            ensure_table(model)
        schema = PostgresTables(PostgresTarget(settings), f"{name}_", "public")
        try:
            yield schema, tables
        finally:
            schema.drop()
            tables.drop()
            os.environ.clear()
            os.environ.update(before)


def measured(step: str, directory: Path) -> Measurement:
    """Run a step as a process."""
    command = [sys.executable, "-m", "benchmarks.migration_steps", step, str(directory)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return Measurement(**json.loads(result.stdout))


def empty(schema: PostgresTables) -> None:
    """Remove all rows, as if there had never been any."""
    with schema.connect() as connection:
        names = sql.SQL(", ").join(
            sql.Identifier(name) for name in (*(mapping.name for mapping in MAPPINGS), "property_lookup")
        )
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
        print(f"{step:<12} {measurements[0].rows:>10,} {cells} {peak(measurements):>9.0f}")


def peak(measurements: list[Measurement]) -> float:
    """Return the largest memory in MiB."""
    return max(measurement.mib for measurement in measurements)


@dataclass(frozen=True)
class Verdict:
    """A figure and its target."""

    what: str
    figure: float
    least: float = 0.0
    most: float = inf

    @property
    def met(self) -> bool:
        """Whether the figure is within its bounds."""
        return self.least <= self.figure <= self.most


def speed(found: Measurements) -> Iterator[Verdict]:
    """Yield the ratios of the steps of one scenario."""
    rates = {step: median_rate(measurements) for step, measurements in found.items()}
    ratios = [(one, other, least) for one, other, least in _RATIOS if one in rates and other in rates]
    if "copy" in rates:
        ratios.append(("copy", min("import", "export", key=lambda step: rates[step]), _AS_FAST))
    for one, other, least in ratios:
        yield Verdict(f"rows/s of {one} to those of {other}", rates[one] / rates[other], least)


def memory(found: Measurements) -> Iterator[Verdict]:
    """Yield the peaks of the steps of one scenario."""
    for step in _OURS:
        if step in found:
            yield Verdict(f"peak MiB of {step}", peak(found[step]), most=_MEMORY_MIB)


def growth(found: Measurements, tenth: Measurements) -> Iterator[Verdict]:
    """Yield what ten times the rows cost. How DynamoDB Local slows down says nothing of the tool."""
    for step in _OURS:
        if step in found:
            yield _same_memory(step, "a tenth of the rows", found, tenth)
        if step in found and step in _IN_FILES:
            rate = median_rate(found[step]) / median_rate(tenth[step])
            yield Verdict(f"rows/s of {step} to those with a tenth of the rows", rate, 1 - _SAME)


def _same_memory(step: str, than: str, found: Measurements, other: Measurements) -> Verdict:
    return Verdict(f"peak of {step} to that with {than}", peak(found[step]) / peak(other[step]), 1 - _SAME, 1 + _SAME)


def large(found: Measurements, usual: Measurements) -> Iterator[Verdict]:
    """Yield what items of 400 KB cost."""
    yield from memory(found)
    for step in _OURS:
        if step in found:
            ratio = peak(found[step]) / peak(usual[step])
            yield Verdict(f"peak of {step} with items of 400 KB to that of usual ones", ratio, most=1 + _SAME)


def scenario(name: str, rows: int, value_bytes: int, rounds: int, most_in_tables: int) -> Measurements:
    """Measure all steps with so many rows, and print them."""
    print(f"\n{name}: {rows:,} rows", flush=True)
    with tempfile.TemporaryDirectory() as place, servers() as (schema, tables):
        directory = Path(place)
        write_files(directory, rows, value_bytes)
        found = run(schema, directory, _IN_FILES, rounds)
        if most_in_tables:
            fill_tables(tables.connect(), os.environ["AWS_DB_PREFIX"], min(rows, most_in_tables), value_bytes)
            found |= run(schema, directory, _IN_TABLES, rounds)
    print_table(found)
    return found


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=200, help="the average size of a value")
    parser.add_argument("--rounds", type=int, default=3, help="how often each step is measured")
    parser.add_argument(
        "--table-rows",
        type=int,
        default=200_000,
        help="how many rows DynamoDB gets at most: DynamoDB Local scans a million at 4,000 rows/s. 0 leaves it out",
    )
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    arguments = parser.parse_args()
    logging.getLogger("actingweb").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    measure = partial(scenario, rounds=arguments.rounds, most_in_tables=arguments.table_rows)
    tenth = measure("a tenth", arguments.rows // 10, arguments.value_bytes)
    whole = measure("all rows", arguments.rows, arguments.value_bytes)
    # For their memory, which one round tells.
    items = measure("items of up to 400 KB", max(100, arguments.rows // _LARGE_SHARE), _LARGE_BYTES, rounds=1)
    verdicts = [*speed(whole), *memory(whole), *growth(whole, tenth), *large(items, whole)]
    print()
    for verdict in verdicts:
        bounds = f"at least {verdict.least:.2f}" if verdict.least else ""
        bounds += f"{' and ' if bounds and verdict.most < inf else ''}"
        bounds += f"at most {verdict.most:.2f}" if verdict.most < inf else ""
        print(f"{verdict.what}: {verdict.figure:.2f} (target: {bounds}){'' if verdict.met else '  MISSED'}")
    if arguments.json:
        scenarios = {"tenth": tenth, "whole": whole, "large": items}
        write_json(arguments.json, scenarios, verdicts)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def write_json(path: Path, scenarios: dict[str, Measurements], verdicts: list[Verdict]) -> None:
    """Write everything measured, and on what machine."""
    content = {
        "machine": describe_machine(),
        "scenarios": {
            name: {step: [asdict(one) for one in measurements] for step, measurements in found.items()}
            for name, found in scenarios.items()
        },
        "verdicts": [
            {
                "what": verdict.what,
                "figure": verdict.figure,
                "least": verdict.least or None,
                "most": None if verdict.most == inf else verdict.most,
                "met": verdict.met,
            }
            for verdict in verdicts
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
