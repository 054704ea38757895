"""The migration of generated rows, beside a plain COPY and a bare scan: `make bench-migration`.

Import and validation are compared with a plain COPY of the same rows into the same tables, export and copy with a bare
scan by boto3; all of it with a tenth of the rows too, and with few items of the largest size. Each step is a process of
its own, whose peak memory is measured.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from psycopg import sql

from actingweb.db.postgresql.connection import get_connection
from actingweb.migration.mapping import MAPPINGS
from benchmarks.machine import note
from benchmarks.migration_data import LARGEST, documents, fill_tables
from benchmarks.results import Section, Sizes
from testbed.documents import write_input
from testbed.provisioning import tables_of

_LOADS = ("plain COPY", "import", "copy")
_IN_FILES = ("plain COPY", "import", "validate")
_IN_TABLES = ("bare scan", "export", "copy")
_OURS = ("import", "validate", "export", "copy")
_ROUNDS, _VALUE_BYTES = 3, 200
_LARGE_SHARE = 5000
"""How many rows of usual size stand for one of the largest, of which DynamoDB Local scans a dozen a second."""
_MEMORY_MIB = 200
_SAME = 0.15
_SPEED = (("import", "plain COPY", 0.6), ("validate", "import", 1.0), ("export", "bare scan", 0.8))
_COPY_SPEED = 0.9
"""Of the slower of import and export. Less than the runs of one step differ."""


class _Found(NamedTuple):
    """What the runs of one step found: rows, rows a second of the run in the middle, and MiB."""

    rows: int
    rate: float
    peak: float


def measure(sizes: Sizes) -> Iterator[Section]:
    """Measure all steps with all rows, with a tenth of them, and with few of the largest."""
    section = Section("migration", "Migration from DynamoDB to PostgreSQL")
    section.notes.append("DynamoDB Local slows down with its size, so the steps that read it get fewer rows.")
    rows, most = sizes.migrated, sizes.table_rows
    tenth = _scenario(section, "a tenth of the rows", rows // 10, most)
    whole = _scenario(section, "all rows", rows, most)
    # For their memory, which one round tells.
    large = _scenario(section, "items of up to 400 KB", max(100, rows // _LARGE_SHARE), most, LARGEST, 1)
    slower = min("import", "export", key=lambda name: whole[name].rate)
    for one, other, least in (*_SPEED, ("copy", slower, _COPY_SPEED)):
        section.judge(one, f"rows/s, {one} / {other}", whole[one].rate / whole[other].rate, least=least)
    for name in _OURS:
        peak = whole[name].peak
        section.judge(name, "peak MiB", peak, most=_MEMORY_MIB)
        section.judge(name, "peak, all rows / a tenth", peak / tenth[name].peak, least=1 - _SAME, most=1 + _SAME)
        # How DynamoDB Local slows down says nothing of the tool.
        if name in _IN_FILES:
            section.judge(name, "rows/s, all rows / a tenth", whole[name].rate / tenth[name].rate, least=1 - _SAME)
        section.judge(f"{name}, items of 400 KB", "peak MiB", large[name].peak, most=_MEMORY_MIB)
        section.judge(name, "peak, items of 400 KB / usual ones", large[name].peak / peak, most=1 + _SAME)
    yield section


def _scenario(
    section: Section, data: str, rows: int, table_rows: int, value_bytes: int = _VALUE_BYTES, rounds: int = _ROUNDS
) -> dict[str, _Found]:
    """Run all steps with so many rows, in a schema and tables of their own."""
    note(f"{data}: {rows:,} rows")
    with tempfile.TemporaryDirectory() as directory, tables_of("postgresql"), tables_of("dynamodb"):
        write_input(Path(directory), documents(rows, value_bytes))
        for preparation in ("import", "text for COPY"):
            _run(preparation, directory)
        found = _measure(section, data, directory, _IN_FILES, rounds)
        fill_tables(min(rows, table_rows), value_bytes)
        return found | _measure(section, data, directory, _IN_TABLES, rounds)


def _measure(section: Section, data: str, directory: str, steps: tuple[str, ...], rounds: int) -> dict[str, _Found]:
    """Run steps in turn, those that load rows into empty tables."""
    runs: dict[str, list[_Found]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name in steps:
            if name in _LOADS:
                _empty_tables()
            runs[name].append(_run(name, directory))
    found = {}
    for name, each in runs.items():
        rates = [run.rate for run in each]
        found[name] = _Found(each[0].rows, median(rates), max(run.peak for run in each))
        row = {"data": data, "step": name, "rows": found[name].rows, "rows/s": found[name].rate}
        section.add({**row, "least": min(rates), "most": max(rates), "peak MiB": found[name].peak})
    return found


def _empty_tables() -> None:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in (*(one.name for one in MAPPINGS), "property_lookup"))
    with get_connection() as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(names))


def _run(step: str, directory: str) -> _Found:
    """Run a step as a process, with the settings of this one."""
    command = [sys.executable, "-m", "benchmarks.migration_steps", step, directory]
    rows, seconds, mib = map(float, subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split())
    return _Found(int(rows), rows / seconds, mib)
