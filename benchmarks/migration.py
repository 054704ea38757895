"""The migration of generated rows, beside a plain COPY and a bare scan: `make bench-migration`.

Import and validation are compared with a plain COPY of the same rows into the same tables, export and copy with a bare
scan by boto3; all of it with a tenth of the rows too, and with few items of the largest size. Each step is a process of
its own, whose peak memory is measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from psycopg import sql

from actingweb.migration.mapping import MAPPINGS
from benchmarks.machine import note
from benchmarks.migration_data import fill_tables, write_files
from benchmarks.results import Section, figure
from benchmarks.servers import PostgresServer, dynamodb_server, postgres_server, use
from benchmarks.steps import step

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


class _Found(NamedTuple):
    """What the runs of one step found: rows, rows a second of the run in the middle, and MiB."""

    rows: int
    rate: float
    peak: float


_Steps = dict[str, _Found]


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
    for name in (name for name in _OURS if name in whole):
        peak = whole[name].peak
        section.judge(name, "peak MiB", figure([peak]), most=_MEMORY_MIB)
        grown = figure([peak / tenth[name].peak])
        section.judge(name, "peak, all rows / a tenth", grown, least=1 - _SAME, most=1 + _SAME)
        # How DynamoDB Local slows down says nothing of the tool.
        if name in _IN_FILES:
            rate = figure([whole[name].rate / tenth[name].rate])
            section.judge(name, "rows/s, all rows / a tenth", rate, least=1 - _SAME)
        section.judge(name, "peak MiB with items of 400 KB", figure([large[name].peak]), most=_MEMORY_MIB)
        ratio = figure([large[name].peak / peak])
        section.judge(name, "peak with items of 400 KB / with usual ones", ratio, most=1 + _SAME)
    return section


def _scenario(section: Section, name: str, rows: int, value_bytes: int, rounds: int, table_rows: int) -> _Steps:
    """Measure all steps with so many rows, in a schema and tables of their own."""
    note(f"{name}: {rows:,} rows")
    with (
        tempfile.TemporaryDirectory() as place,
        postgres_server() as server,
        dynamodb_server() as tables,
        tables("migration") as environment,
    ):
        use({**server.environment, **environment})
        write_files(Path(place), rows, value_bytes)
        for preparation in ("import", "text for COPY"):
            step("migrate", preparation, place)
        found = _run(section, name, server, place, _IN_FILES, rounds)
        if table_rows:
            fill_tables(min(rows, table_rows), value_bytes)
            found |= _run(section, name, server, place, _IN_TABLES, rounds)
    return found


def _run(
    section: Section, data: str, server: PostgresServer, place: str, steps: tuple[str, ...], rounds: int
) -> _Steps:
    """Run the steps in turn."""
    runs = [{name: _step(server, place, name) for name in steps} for _ in range(rounds)]
    found = {}
    for name in steps:
        rates = [run[name].rate for run in runs]
        one = _Found(runs[0][name].rows, statistics.median(rates), max(run[name].peak for run in runs))
        row = {"data": data, "step": name, "rows": one.rows, "rows/s": one.rate}
        section.table.append({**row, "least": min(rates), "most": max(rates), "peak MiB": one.peak})
        found[name] = one
    return found


def _step(server: PostgresServer, place: str, name: str) -> _Found:
    if name in _LOADS:
        schema = os.environ["PG_DB_PREFIX"] + os.environ["PG_DB_SCHEMA"]
        names = [sql.Identifier(schema, name) for name in (*(one.name for one in MAPPINGS), "property_lookup")]
        with server.connect() as connection:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(names)))
    took = step("migrate", name, place)
    found = _Found(took["rows"], took["rows"] / took["seconds"], took["mib"])
    note(f"{name} {found.rate:,.0f} rows/s, {found.peak:.0f} MiB")
    return found


def _judge_speed(section: Section, found: _Steps) -> None:
    pairs = [(one, other, least) for one, other, least in _RATIOS if one in found]
    if "copy" in found:
        pairs.append(("copy", min("import", "export", key=lambda name: found[name].rate), _AS_FAST))
    for one, other, least in pairs:
        section.judge(one, f"rows/s, {one} / {other}", figure([found[one].rate / found[other].rate]), least=least)
