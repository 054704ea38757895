"""The manifests of one export of a DynamoDB table to S3, and its data files."""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.source.input_file import open_input
from actingweb.migration.source.json_text import LARGEST_DOCUMENT

__all__ = ["FILES", "SUMMARY", "DataFile", "ExportSummary", "data_files", "read_summary"]

SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"

_COPY_AGAIN = "copy the export again"
_ITEM = re.compile(rb'\s*\{\s*"Item"\s*:\s*\{')


class _FromJson(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, hide_input_in_errors=True)


class ExportSummary(_FromJson):
    """The used parts of the summary of an export."""

    table_arn: str = Field(pattern=r"^arn:[^:]+:dynamodb:[^:]*:[^:]*:table/[A-Za-z0-9_.-]+$")
    item_count: int = Field(ge=0)
    output_format: str = "DYNAMODB_JSON"
    export_type: str = "FULL_EXPORT"
    export_arn: str = ""
    export_time: str = ""

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.table_arn.rpartition("/")[2]

    @property
    def region_and_account(self) -> str:
        """The ARN of the table up to its account."""
        return self.table_arn.partition(":table/")[0]

    @property
    def problem(self) -> str | None:
        """Why an export of this kind is not supported; None if it is."""
        if self.export_type == "INCREMENTAL_EXPORT":
            return "an incremental export, which contains changes: make a full export"
        if self.output_format == "ION":
            return "an export as Ion: make one as DynamoDB JSON"
        if (self.export_type, self.output_format) != ("FULL_EXPORT", "DYNAMODB_JSON"):
            return f"of type {self.export_type} and format {self.output_format}: make a full export as DynamoDB JSON"
        return None


class _Entry(_FromJson):
    """An entry of the list of data files."""

    item_count: int = Field(ge=0)
    md5_checksum: str
    data_file_s3_key: str = Field(alias="dataFileS3Key")


@dataclass(frozen=True)
class DataFile:
    """A data file, with the number of rows and the MD5 digest that the manifest states."""

    path: Path
    rows: int
    md5: str

    def lines(self, offset: int = 0) -> Iterator[tuple[bytes, int]]:
        """Yield the lines behind `offset` in the uncompressed text, each with the offset behind it."""
        with open_input(self.path) as (file, _):
            file.seek(offset)
            while line := file.readline(LARGEST_DOCUMENT):
                offset += len(line)
                yield line.rstrip(), offset

    def check(self) -> None:
        """Raise `SourceError` if the file does not match the manifest."""
        with _reading(self.path), self.path.open("rb") as file:
            if _base64(hashlib.file_digest(file, _new_md5)) != self.md5:
                raise SourceError(f"{self.path} is damaged: its MD5 is not that in {FILES}; {_COPY_AGAIN}")
        rows = 0
        for rows, (line, _) in enumerate(self.lines(), 1):
            if _ITEM.match(line) is None:
                raise SourceError(f'{self.path}, line {rows}: this is not an {{"Item": ...}} of a full export')
        if rows != self.rows:
            raise SourceError(f"{self.path} has {rows} rows, {FILES} says {self.rows}: {_COPY_AGAIN}")


def read_summary(directory: Path) -> ExportSummary:
    """Return the summary of an export. Raise `SourceError`."""
    path = directory / SUMMARY
    try:
        return ExportSummary.model_validate_json(_checked(path))
    except ValidationError as error:
        name = (
            ".".join(map(str, error.errors(include_input=False, include_url=False)[0]["loc"]))
            or "it is not a JSON object"
        )
        raise SourceError(f"{path} is not the summary of an export: {name}") from None


def data_files(directory: Path, summary: ExportSummary) -> tuple[DataFile, ...]:
    """Return the data files of an export, all of which exist, without reading them.

    Raise `UsageError` if the export is of an unsupported kind, `SourceError` if files are missing or do not match the
    manifests.
    """
    if summary.problem is not None:
        raise UsageError(f"{directory} is {summary.problem}")
    files = _listed(directory)
    present = set(_names_in(directory / "data"))
    for name, file in files.items():
        if name not in present:
            raise SourceError(f"{file.path} is missing: {_COPY_AGAIN}")
    if others := present - files.keys():
        raise SourceError(f"{directory / 'data' / min(others)} is not in {FILES}: {_COPY_AGAIN}")
    if (rows := sum(file.rows for file in files.values())) != summary.item_count:
        raise SourceError(f"{directory}: {FILES} counts {rows} rows, {SUMMARY} {summary.item_count}: {_COPY_AGAIN}")
    return tuple(files.values())


def _listed(directory: Path) -> dict[str, DataFile]:
    path = directory / FILES
    files: dict[str, DataFile] = {}
    for number, line in enumerate(_checked(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = _Entry.model_validate_json(line)
        except ValidationError:
            raise SourceError(f"{path}, line {number}: this is not the entry of a data file") from None
        name = PurePosixPath(entry.data_file_s3_key).name
        if name in files:
            raise SourceError(f"{path}, line {number}: {name} is listed twice")
        files[name] = DataFile(directory / "data" / name, entry.item_count, entry.md5_checksum)
    return files


def _names_in(data: Path) -> list[str]:
    with _reading(data):
        return [path.name for path in data.iterdir() if not path.name.startswith(".")] if data.is_dir() else []


def _checked(path: Path) -> bytes:
    """Return the content of a manifest, verified against its checksum if that was copied too."""
    checksum = path.with_suffix(".md5")
    with _reading(path):
        content = path.read_bytes()
        known = checksum.read_bytes().strip() if checksum.is_file() else None
    if known is not None and known != _base64(_new_md5(content)).encode():
        raise SourceError(f"{path} is damaged: its MD5 is not that in {checksum.name}; {_COPY_AGAIN}")
    return content


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise SourceError(f"{path} is missing: {_COPY_AGAIN}") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def _new_md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def _base64(digest: "hashlib._Hash") -> str:
    return base64.b64encode(digest.digest()).decode()
