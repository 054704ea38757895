"""What validation says of the target."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from actingweb.migration.batches import Batch
from actingweb.migration.canonical import TableForm
from actingweb.migration.compare import CompareOptions, CompareResult, compare
from actingweb.migration.differences import Difference
from actingweb.migration.inputs import Documents, Input
from actingweb.migration.target import Target
from tests.migration.tables import source_of


def validate(target: Target, directory: Path, **options: Any) -> CompareResult:
    """Compare the target with the files of a directory, in which the report is written."""
    return validate_with(target, Input.at(directory), directory, **options)


def validate_with(target: Target, source: Documents, directory: Path, **options: Any) -> CompareResult:
    """Compare the target with documents; the report is written in a directory."""

    def batches(form: TableForm) -> Iterable[Batch] | None:
        file = source.file(form.name)
        return None if file is None else file.batches()

    return compare(target, batches, _options(directory, options), lambda *_: None)


def validate_live(target: Target, environment: Mapping[str, str], directory: Path, **options: Any) -> CompareResult:
    """Compare the target with the DynamoDB tables that settings name."""
    source = source_of(environment)

    def batches(form: TableForm) -> Iterable[Batch] | None:
        return source.batches(form, lambda _: None, lambda _: False) if form in source.forms else None

    return compare(target, batches, _options(directory, options), lambda *_: None)


def found(result: CompareResult) -> list[tuple[str, str, dict[str, Any], str | None]]:
    """Return table, kind, key and column of the first differences."""
    return [_facts(difference) for difference in result.first]


def report_path(directory: Path) -> Path:
    """Return where the report is written."""
    return directory / "differences.ndjson"


def _facts(difference: Difference) -> tuple[str, str, dict[str, Any], str | None]:
    return difference.table, difference.kind, difference.key, difference.column


def _options(directory: Path, options: dict[str, Any]) -> CompareOptions:
    defaults: dict[str, Any] = {
        "report": report_path(directory),
        "indexed_properties": ("email",),
        "rejects": directory / "rejects",
    }
    return CompareOptions(**(defaults | options))
