"""What validation says of the target."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actingweb.migration.batches import Batch
from actingweb.migration.jobs.differences import Difference, ValidationResult
from actingweb.migration.jobs.validate import OnRows, ValidationOptions
from actingweb.migration.jobs.validate import validate as run_validation
from actingweb.migration.mapping import TableMapping
from actingweb.migration.source.export_dir import ExportDirectory, ExportedTables
from actingweb.migration.target.connection import Target
from tests.migration.tables import source_of


def validate(target: Target, directory: Path, on_rows: OnRows = lambda *_: None, **options: Any) -> ValidationResult:
    """Compare the target with the files of a directory, in which the report is written."""
    return validate_with(target, ExportDirectory.at(directory), directory, on_rows, **options)


def validate_with(
    target: Target, source: ExportedTables, directory: Path, on_rows: OnRows = lambda *_: None, **options: Any
) -> ValidationResult:
    """Compare the target with documents; the report is written in a directory."""

    def batches(mapping: TableMapping) -> Iterable[Batch] | None:
        file = source.file(mapping.name)
        return None if file is None else file.batches()

    return run_validation(target, batches, _options(directory, options), on_rows)


def validate_live(target: Target, environment: Mapping[str, str], directory: Path, **options: Any) -> ValidationResult:
    """Compare the target with the DynamoDB tables that settings name."""
    source = source_of(environment)

    def batches(mapping: TableMapping) -> Iterable[Batch] | None:
        return source.batches(mapping, lambda _: None, lambda _: False) if mapping in source.mappings else None

    return run_validation(target, batches, _options(directory, options), lambda *_: None)


def found(result: ValidationResult) -> list[tuple[str, str, dict[str, Any], str | None]]:
    """Return table, kind, key and column of the first differences, sorted, as the order in which they come is open."""
    return sorted(map(_facts, result.first), key=str)


def report_path(directory: Path) -> Path:
    """Return where the report is written."""
    return directory / "differences.ndjson"


def _facts(difference: Difference) -> tuple[str, str, dict[str, Any], str | None]:
    return difference.table, difference.kind, difference.key, difference.column


def _options(directory: Path, options: dict[str, Any]) -> ValidationOptions:
    defaults: dict[str, Any] = {
        "report": report_path(directory),
        "indexed_properties": ("email",),
        "rejects": directory / "rejects",
    }
    return ValidationOptions(**(defaults | options))
