"""The steps of the migration's benchmark. Each takes the directory of the files and returns how many rows it did.

`python -m benchmarks.migration_steps STEP DIRECTORY` does one of them, and prints rows, seconds and peak memory.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from typing import IO, LiteralString

import boto3
from botocore.config import Config
from psycopg import Copy, sql

from actingweb.db.settings import get_settings
from actingweb.migration.batches import Batch
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary
from actingweb.migration.jobs.validate import ValidationOptions
from actingweb.migration.jobs.validate import validate as run_validation
from actingweb.migration.mapping import MAPPINGS, TableMapping
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.scan import DynamoDBSource
from actingweb.migration.target.connection import Target, column_names
from benchmarks.machine import peak_mib

_SETTINGS = get_settings()
_TARGET = Target(_SETTINGS.postgresql)
_SEGMENTS = 4
_BLOCK = 256 * 1024


def _copy_text(direction: LiteralString, mode: str, move: Callable[[IO[bytes], Copy], object], directory: Path) -> int:
    """Run a plain COPY of each table, and move its text from or to a file."""
    rows = 0
    with _TARGET.connect() as connection, connection.cursor() as cursor:
        for mapping in MAPPINGS:
            names = {"table": sql.Identifier(mapping.name), "columns": column_names(mapping.record.fields)}
            statement = _TARGET.sql("COPY {schema}.{table} ({columns}) {to}", **names, to=sql.SQL(direction))
            with (directory / f"{mapping.name}.copy").open(mode) as file, cursor.copy(statement) as copy:
                move(file, copy)
            rows += cursor.rowcount
    return rows


def _import(directory: Path) -> int:
    return _written(import_files(_TARGET, ExportDirectory.at(directory), _options(directory), lambda *_: None))


def _copy(directory: Path) -> int:
    return _written(copy_tables(_source(), _TARGET, _options(directory), lambda *_: None))


def _export(directory: Path) -> int:
    with tempfile.TemporaryDirectory(dir=directory) as place:
        return sum(export_tables(_source(), Path(place) / "export").read.values())


def _scan(_: Path) -> int:
    """Scan the tables of DynamoDB with boto3 and throw the items away."""
    config = Config(max_pool_connections=_SEGMENTS)
    paginator = boto3.client("dynamodb", endpoint_url=_SETTINGS.aws_db_host, config=config).get_paginator("scan")

    def scan(table: str, segment: int) -> int:
        pages = paginator.paginate(TableName=table, ConsistentRead=True, Segment=segment, TotalSegments=_SEGMENTS)
        return sum(len(page["Items"]) for page in pages)

    tables = [f"{_SETTINGS.aws_db_prefix}_{mapping.layout.suffix}" for mapping in MAPPINGS]
    with ThreadPoolExecutor(_SEGMENTS) as workers:
        return sum(sum(workers.map(scan, [table] * _SEGMENTS, range(_SEGMENTS))) for table in tables)


def _validate(directory: Path) -> int:
    """Compare PostgreSQL with the files."""
    files, rows = ExportDirectory.at(directory), dict[str, int]()
    options = ValidationOptions(directory / "report.ndjson", _SETTINGS.indexed_properties)

    def batches(mapping: TableMapping) -> Iterable[Batch]:
        file = files.file(mapping.name)
        return () if file is None else file.batches()

    result = run_validation(_TARGET, batches, options, rows.__setitem__)
    if result.differences:
        raise SystemExit(f"{result.differences} differences")
    return sum(rows.values())


_STEPS: dict[str, Callable[[Path], int]] = {
    "text for COPY": partial(_copy_text, "TO STDOUT", "wb", lambda file, copy: file.writelines(copy)),
    "plain COPY": partial(_copy_text, "FROM STDIN", "rb", partial(copyfileobj, length=_BLOCK)),
    "import": _import,
    "validate": _validate,
    "bare scan": _scan,
    "export": _export,
    "copy": _copy,
}


def _source() -> DynamoDBSource:
    return DynamoDBSource(None, None, _SETTINGS.aws_db_host, None, segments=_SEGMENTS)


def _options(directory: Path) -> LoadOptions:
    return LoadOptions(directory / "rejects", _SETTINGS.indexed_properties)


def _written(summary: LoadSummary) -> int:
    return sum(counts.written for counts in summary.counts.values())


if __name__ == "__main__":
    began = time.perf_counter()
    done = _STEPS[sys.argv[1]](Path(sys.argv[2]))
    print(done, time.perf_counter() - began, peak_mib())
