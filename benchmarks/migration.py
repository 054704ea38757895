"""The migration of generated rows, beside a plain COPY and a bare scan: `make bench-migration`.

Import and validation are compared with a plain COPY of the same rows into the same tables, export and copy with a bare
scan by boto3; all of it with a tenth of the rows too, and with few items of the largest size. Each step is a process of
its own, whose peak memory is measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from actingweb.db.dynamodb._ensure import ensure_table
from actingweb.db.verify_tables import required_models
from actingweb.migration.mapping import MAPPINGS
from benchmarks.machine import note
from benchmarks.migration_data import fill_tables, write_files
from benchmarks.results import Section, figure
from benchmarks.servers import dynamodb_server, postgres_server, use
from benchmarks.steps import step
from testbed.servers import DynamoDBTables, DynamoDBTarget, PostgresTables

__all__ = ["measure"]

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
_RATIOS = (("import", "plain COPY", 0.6), ("validate", "import", 1.0), ("export", "bare scan", 0.8))


@dataclass(frozen=True)
class _Found:
    """What the runs of one step found."""

    rows: int
    rates: list[float]
    peak: float

    @property
    def rate(self) -> float:
        """Rows a second of the run in the middle."""
        return statistics.median(self.rates)


_Steps = dict[str, _Found]


@contextmanager
def _servers() -> Iterator[tuple[PostgresTables, DynamoDBTables]]:
    """Use a schema and tables of this run's own, and yield both."""
    with postgres_server() as server, dynamodb_server() as tables, tables("migration") as environment:
        use({**server.environment, **environment})
        for model in required_models():
            ensure_table(model)
        prefix, schema = server.environment["PG_DB_PREFIX"], server.environment["PG_DB_SCHEMA"]
        yield (
            PostgresTables(server.target, prefix, schema),
            DynamoDBTables(DynamoDBTarget(environment), environment["AWS_DB_PREFIX"]),
        )


def _empty(schema: PostgresTables) -> None:
    """Remove all rows, as if there had never been any."""
    with schema.connect() as connection:
        names = sql.SQL(", ").join(
            sql.Identifier(name) for name in (*(mapping.name for mapping in MAPPINGS), "property_lookup")
        )
        connection.execute(sql.SQL("TRUNCATE {}").format(names))


def _run(schema: PostgresTables, directory: Path, steps: tuple[str, ...], rounds: int) -> _Steps:
    """Run the steps in turn."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in steps:
            if name in _LOADS:
                _empty(schema)
            found = step("migrate", name, directory)
            runs[name].append(found)
            note(f"round {number + 1}: {name} {found['rows'] / found['seconds']:,.0f} rows/s, {found['mib']:.0f} MiB")
    return {
        name: _Found(
            found[0]["rows"], [one["rows"] / one["seconds"] for one in found], max(one["mib"] for one in found)
        )
        for name, found in runs.items()
    }


def _scenario(section: Section, name: str, rows: int, value_bytes: int, rounds: int, table_rows: int) -> _Steps:
    """Measure all steps with so many rows."""
    note(f"{name}: {rows:,} rows")
    with tempfile.TemporaryDirectory() as place, _servers() as (schema, tables):
        directory = Path(place)
        write_files(directory, rows, value_bytes)
        found = _run(schema, directory, _IN_FILES, rounds)
        if table_rows:
            fill_tables(tables.client, os.environ["AWS_DB_PREFIX"], min(rows, table_rows), value_bytes)
            found |= _run(schema, directory, _IN_TABLES, rounds)
    for one, figures in found.items():
        row = {"data": name, "step": one, "rows": figures.rows, "rows/s": figures.rate}
        section.table.append({**row, "least": min(figures.rates), "most": max(figures.rates), "peak MiB": figures.peak})
    return found


def measure(rows: int, value_bytes: int, rounds: int, table_rows: int) -> Section:
    """Measure all steps with all rows, with a tenth of them, and with few of the largest.

    DynamoDB gets at most `table_rows`: DynamoDB Local scans a million at 4,000 rows/s.
    """
    section = Section("migration", "Migration from DynamoDB to PostgreSQL")
    section.notes.append("DynamoDB Local slows down with its size, so the steps that read it get fewer rows.")
    tenth = _scenario(section, "a tenth of the rows", rows // 10, value_bytes, rounds, table_rows)
    whole = _scenario(section, "all rows", rows, value_bytes, rounds, table_rows)
    # For their memory, which one round tells.
    few = max(100, rows // _LARGE_SHARE)
    large = _scenario(section, "items of up to 400 KB", few, _LARGE_BYTES, 1, table_rows)
    _judge_speed(section, whole)
    _judge_memory(section, whole, "")
    _judge_growth(section, whole, tenth)
    _judge_memory(section, large, " with items of 400 KB")
    for name in (name for name in _OURS if name in large):
        ratio = figure([large[name].peak / whole[name].peak])
        section.judge(name, "peak with items of 400 KB / with usual ones", ratio, most=1 + _SAME)
    return section


def _judge_speed(section: Section, found: _Steps) -> None:
    pairs = [(one, other, least) for one, other, least in _RATIOS if one in found and other in found]
    if "copy" in found:
        pairs.append(("copy", min("import", "export", key=lambda name: found[name].rate), _AS_FAST))
    for one, other, least in pairs:
        section.judge(one, f"rows/s, {one} / {other}", figure([found[one].rate / found[other].rate]), least=least)


def _judge_memory(section: Section, found: _Steps, of: str) -> None:
    for name in (name for name in _OURS if name in found):
        section.judge(name, f"peak MiB{of}", figure([found[name].peak]), most=_MEMORY_MIB)


def _judge_growth(section: Section, found: _Steps, tenth: _Steps) -> None:
    """Judge what ten times the rows cost. How DynamoDB Local slows down says nothing of the tool."""
    for name in (name for name in _OURS if name in found):
        peak = figure([found[name].peak / tenth[name].peak])
        section.judge(name, "peak, all rows / a tenth", peak, least=1 - _SAME, most=1 + _SAME)
        if name in _IN_FILES:
            rate = figure([found[name].rate / tenth[name].rate])
            section.judge(name, "rows/s, all rows / a tenth", rate, least=1 - _SAME)
