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
from actingweb.migration.mapping import MAPPINGS, TableMapping
from actingweb.migration.source.export_dir import ExportDirectory
from actingweb.migration.source.scan import DynamoDBSource
from actingweb.migration.target.connection import Target

__all__ = ["STEPS"]

_SEGMENTS = 4
_BLOCK = 256 * 1024


def _copy_of(mapping: TableMapping, direction: sql.SQL) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, mapping.record.fields))
    return _target().sql(
        "COPY {schema}.{table} ({columns}) {direction}",
        table=sql.Identifier(mapping.name),
        columns=columns,
        direction=direction,
    )


def _copy_out(directory: Path) -> int:
    """Write the rows of the tables as the text of a COPY."""
    with _target().connect() as connection, connection.cursor() as cursor:
        for mapping in MAPPINGS:
            with (
                (directory / f"{mapping.name}.copy").open("wb") as file,
                cursor.copy(_copy_of(mapping, sql.SQL("TO STDOUT"))) as copy,
            ):
                file.writelines(copy)
    return 0


def _copy_in(directory: Path) -> int:
    """COPY the rows straight into the tables, from text that is ready."""
    rows = 0
    with _target().connect() as connection, connection.cursor() as cursor:
        for mapping in MAPPINGS:
            with (
                (directory / f"{mapping.name}.copy").open("rb") as file,
                cursor.copy(_copy_of(mapping, sql.SQL("FROM STDIN"))) as copy,
            ):
                while block := file.read(_BLOCK):
                    copy.write(block)
            rows += cursor.rowcount
    return rows


def _import(directory: Path) -> int:
    return _written(import_files(_target(), ExportDirectory.at(directory), _options(directory), lambda *_: None))


def _copy(directory: Path) -> int:
    return _written(copy_tables(_source(), _target(), _options(directory), lambda *_: None))


def _export(directory: Path) -> int:
    with tempfile.TemporaryDirectory(dir=directory) as place:
        return sum(export_tables(_source(), Path(place) / "export").read.values())


def _scan(_: Path) -> int:
    """Scan the tables of DynamoDB with boto3 and throw the items away."""
    settings = get_settings()
    config = Config(max_pool_connections=_SEGMENTS)
    paginator = boto3.client("dynamodb", endpoint_url=settings.aws_db_host, config=config).get_paginator("scan")

    def scan(table: str, segment: int) -> int:
        pages = paginator.paginate(TableName=table, ConsistentRead=True, Segment=segment, TotalSegments=_SEGMENTS)
        return sum(len(page["Items"]) for page in pages)

    tables = [f"{settings.aws_db_prefix}_{mapping.layout.suffix}" for mapping in MAPPINGS]
    with ThreadPoolExecutor(_SEGMENTS) as workers:
        return sum(sum(workers.map(scan, [table] * _SEGMENTS, range(_SEGMENTS))) for table in tables)


def _validate(directory: Path) -> int:
    """Compare PostgreSQL with the files."""
    files = ExportDirectory.at(directory)
    rows: dict[str, int] = {}
    options = ValidationOptions(directory / "report.ndjson", get_settings().indexed_properties)

    def batches(mapping: TableMapping) -> Iterable[Batch]:
        file = files.file(mapping.name)
        return () if file is None else file.batches()

    result = run_validation(_target(), batches, options, rows.__setitem__)
    if result.differences:
        raise SystemExit(f"{result.differences} differences")
    return sum(rows.values())


STEPS: dict[str, Callable[[Path], int]] = {
    "text for COPY": _copy_out,
    "plain COPY": _copy_in,
    "import": _import,
    "validate": _validate,
    "bare scan": _scan,
    "export": _export,
    "copy": _copy,
}


def _target() -> Target:
    return Target(get_settings().postgresql)


def _source() -> DynamoDBSource:
    return DynamoDBSource(None, None, get_settings().aws_db_host, None, segments=_SEGMENTS)


def _options(directory: Path) -> LoadOptions:
    return LoadOptions(directory / "rejects", get_settings().indexed_properties)


def _written(summary: LoadSummary) -> int:
    return sum(counts.written for counts in summary.counts.values())
