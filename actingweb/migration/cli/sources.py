"""The options of the command line that name a source."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from actingweb.db.exceptions import ConfigurationError
from actingweb.db.settings import Settings, table_prefix
from actingweb.migration.errors import UsageError
from actingweb.migration.mapping import ALL, MAPPINGS, Tables, chosen
from actingweb.migration.source.export_dir import ExportDirectory, ExportedTables
from actingweb.migration.source.s3_export import S3ExportDirectory

if TYPE_CHECKING:
    from actingweb.migration.source.scan import DynamoDBSource

__all__ = ["DynamoDBFlags", "FilesFlags", "tables_of"]


@dataclass(frozen=True)
class DynamoDBFlags:
    """Which tables of DynamoDB to read, and how; None stands for an option that is not given.

    Attributes:
        profile: the profile of the AWS configuration.
        region: the AWS region.
        prefix: the prefix of the table names.
        segments: the number of segments of each scan.
        rcu: the read capacity units to consume per second.
        tables: the names of the tables to read, separated by commas.
    """

    profile: str | None
    region: str | None
    prefix: str | None
    segments: int
    rcu: float | None
    tables: str | None = None

    def source(self, settings: Settings) -> "DynamoDBSource":
        """Return the tables. Raise `UsageError` if no table name can begin with the prefix."""
        # Imported here, because botocore takes a quarter of the start of a command that reads files.
        from actingweb.migration.source.scan import DynamoDBSource

        host, prefix = settings.aws_db_host, _prefix(self.prefix)
        tables = tables_of(self.tables)
        return DynamoDBSource(prefix, self.region, host, self.profile, self.segments, self.rcu, tables)


@dataclass(frozen=True)
class FilesFlags:
    """Which files to read.

    Attributes:
        from_s3: whether they are exports of DynamoDB to S3.
        prefix: the prefix of the names of the tables exported to S3; None if the option is not given.
        tables: the names of the tables to read, separated by commas; None for all.
    """

    directory: Path
    from_s3: bool = False
    prefix: str | None = None
    tables: str | None = None

    def source(self, settings: Settings) -> ExportedTables:
        """Return the files. Raise `UsageError` or `SourceError` if they are incomplete."""
        if self.from_s3:
            prefix = _prefix(self.prefix) or settings.aws_db_prefix
            return S3ExportDirectory.at(self.directory, prefix, tables_of(self.tables))
        return ExportDirectory.at(self.directory, tables_of(self.tables))


def tables_of(names: str | None) -> Tables:
    """Return the tables that `--tables` names. Raise `UsageError` for a name that is not one of theirs."""
    if names is None:
        return ALL
    try:
        return chosen(name.strip() for name in names.split(","))
    except ValueError as error:
        known = ", ".join(mapping.name for mapping in MAPPINGS)
        raise UsageError(f"--tables: there is no table {error}, but {known}") from None


def _prefix(text: str | None) -> str | None:
    try:
        return text and table_prefix(text, "--table-prefix")
    except ConfigurationError as error:
        raise UsageError(str(error)) from None
