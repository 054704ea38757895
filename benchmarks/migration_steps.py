"""The steps of the migration's benchmark. Each takes the directory of the files and returns how many rows it did."""

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config
from psycopg import sql

from actingweb.db.settings import get_settings
from actingweb.migration.batches import Batch
from actingweb.migration.jobs.export import export_tables
from actingweb.migration.jobs.load import copy_tables, import_files
from actingweb.migration.jobs.load_options import LoadOptions, LoadSummary
from actingweb.migration.jobs.validate import ValidationOptions
from actingweb.migration.jobs.validate import validate as run_validation
from actingweb.migration.mapping import MAPPINGS
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.scan import DynamoDBSource
from actingweb.migration.target.connection import Target

__all__ = ["STEPS"]

_SEGMENTS = 4
_BLOCK = 256 * 1024


def plain_copy(directory: Path) -> int:
    """COPY the rows straight into the tables, from text that is ready."""
    target = _target()
    rows = 0
    with target.connect() as connection, connection.cursor() as cursor:
        for mapping in MAPPINGS:
            columns = sql.SQL(", ").join(map(sql.Identifier, mapping.record.fields))
            statement = target.sql(
                "COPY {schema}.{table} ({columns}) FROM STDIN", table=sql.Identifier(mapping.name), columns=columns
            )
            with (directory / f"{mapping.name}.copy").open("rb") as file, cursor.copy(statement) as copy:
                while block := file.read(_BLOCK):
                    copy.write(block)
            rows += cursor.rowcount
    return rows


def import_(directory: Path) -> int:
    """Import the files."""
    return _written(import_files(_target(), ExportDirectory.at(directory), _options(directory), lambda *_: None))


def copy(directory: Path) -> int:
    """Copy the tables of DynamoDB."""
    return _written(copy_tables(_source(), _target(), _options(directory), lambda *_: None))


def export(directory: Path) -> int:
    """Export the tables of DynamoDB."""
    with tempfile.TemporaryDirectory(dir=directory) as place:
        return sum(export_tables(_source(), Path(place) / "export").read.values())


def bare_scan(_: Path) -> int:
    """Scan the tables of DynamoDB with boto3 and throw the items away."""
    client = boto3.client(
        "dynamodb", endpoint_url=get_settings().aws_db_host, config=Config(max_pool_connections=_SEGMENTS)
    )
    paginator = client.get_paginator("scan")

    def scan(table: str, segment: int) -> int:
        pages = paginator.paginate(TableName=table, ConsistentRead=True, Segment=segment, TotalSegments=_SEGMENTS)
        return sum(len(page["Items"]) for page in pages)

    rows = 0
    with ThreadPoolExecutor(_SEGMENTS) as workers:
        for mapping in MAPPINGS:
            table = f"{get_settings().aws_db_prefix}_{mapping.layout.suffix}"
            rows += sum(workers.map(scan, [table] * _SEGMENTS, range(_SEGMENTS)))
    return rows


def validate(directory: Path) -> int:
    """Compare PostgreSQL with the files."""
    files = ExportDirectory.at(directory)
    rows: dict[str, int] = {}
    options = ValidationOptions(directory / "report.ndjson", get_settings().indexed_properties)
    result = run_validation(_target(), lambda mapping: _batches(files, mapping.name), options, rows.__setitem__)
    if result.differences:
        raise SystemExit(f"{result.differences} differences")
    return sum(rows.values())


STEPS: dict[str, Callable[[Path], int]] = {
    "plain COPY": plain_copy,
    "import": import_,
    "validate": validate,
    "bare scan": bare_scan,
    "export": export,
    "copy": copy,
}


def _batches(files: ExportDirectory, table: str) -> Iterable[Batch]:
    file = files.file(table)
    return () if file is None else file.batches()


def _target() -> Target:
    return Target(get_settings().postgresql)


def _source() -> DynamoDBSource:
    return DynamoDBSource(None, None, get_settings().aws_db_host, None, segments=_SEGMENTS)


def _options(directory: Path) -> LoadOptions:
    return LoadOptions(directory / "rejects", get_settings().indexed_properties)


def _written(summary: LoadSummary) -> int:
    return sum(counts.written for counts in summary.counts.values())
