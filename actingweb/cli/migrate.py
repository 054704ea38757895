"""`actingweb-db migrate`, whose commands `scripts/migrate_dynamodb_to_postgresql.py` and `python -m` run too."""

from pathlib import Path

import typer

from actingweb.cli.format import FORMAT
from actingweb.cli.migrate_command import Action, Shared, command
from actingweb.cli.migrate_options import (
    EXIT_CODES,
    Accepted,
    AnyInputDir,
    DeleteExtra,
    Format,
    ImportRejects,
    InputDir,
    KnownRejects,
    Limit,
    MaxRejects,
    OutputDir,
    Page,
    Prefix,
    Profile,
    Rcu,
    Region,
    RejectsDir,
    Repair,
    Report,
    Restart,
    Resume,
    SampleRows,
    Segments,
    ShowValues,
    Skip,
    Source,
    Tables,
    WayBack,
)

__all__ = ["migrate"]

_ABOUT = (
    "Move ActingWeb data from DynamoDB to PostgreSQL.\n\n"
    "Options win over the environment, and that over a file .env in the working directory or above. Settings: "
    "AWS_DB_PREFIX, "
    "AWS_DB_HOST, AWS_DEFAULT_REGION, AWS_REGION, PG_DB_HOST, PG_DB_PORT, PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD, "
    "PG_DB_URL, PG_MIGRATION_URL, PG_DB_PREFIX, PG_DB_SCHEMA, INDEXED_PROPERTIES."
)

_SEGMENTS = 4
migrate = typer.Typer(help=_ABOUT, epilog=EXIT_CODES, **FORMAT)


@command(migrate)
def plan(
    shared: Shared,
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    rcu: Rcu = None,
    sample_rows: SampleRows = 1000,
    way_back: WayBack = False,
    report: Page = None,
) -> Action:
    """Examine both sides before a migration, and estimate what it takes. Nothing is written.

    Each finding is ok, a warning, or stops you, with what to do.
    """
    from actingweb.migration.cli import plan as job
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, _SEGMENTS, rcu)
    return lambda _: job.plan(source, shared.flags, sample_rows, report, writes=way_back, as_json=shared.json)


@command(migrate, postgresql=False)
def export(
    _: Shared,
    output_dir: OutputDir,
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    resume: Resume = False,
) -> Action:
    """Write the rows of DynamoDB to JSON files."""
    from actingweb.migration.cli import export as job
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    return lambda display: job.export(source, output_dir, resume, display)


@command(migrate)
def import_(
    shared: Shared,
    input_dir: InputDir,
    format_: Format = "files",
    table_prefix: Prefix = None,
    tables: Tables = None,
    skip_duplicates: Skip = False,
    max_rejects: MaxRejects = None,
    restart: Restart = False,
    rejects_dir: ImportRejects = None,
) -> Action:
    """Load exported files into PostgreSQL. After an interruption, the same command continues.

    Rows that PostgreSQL cannot store go to the reject files.
    """
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.sources import FilesFlags

    files = FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix, tables)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects, restart)
    return lambda display: job.import_(files, shared.flags, load_flags, rejects_dir, display)


@command(migrate)
def validate(
    shared: Shared,
    input_dir: AnyInputDir = None,
    format_: Format = "files",
    source: Source = "files",
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    report: Report = Path("differences.ndjson"),
    limit: Limit = 20,
    show_values: ShowValues = False,
    rejects_dir: KnownRejects = None,
    accept_rejects: Accepted = None,
    repair: Repair = False,
    delete_extra: DeleteExtra = False,
) -> Action:
    """Compare every row and column of PostgreSQL with the files, or with DynamoDB. Write nothing without --repair.

    With --source dynamodb, while a live migration exists, both sides may be in use: what differs is looked at again
    until no change under way can explain it, and --repair lets `sync` make it equal to what the owner of the row has.
    """
    from actingweb.migration.cli import validate as job
    from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags

    files = None if input_dir is None else FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix, tables)
    live = None if source == "files" else DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    report_flags = job.ReportFlags(report, limit, show_values, rejects_dir, accept_rejects or ())
    repair_flags = job.RepairFlags(repair, delete_extra)
    return lambda display: job.validate(files, live, shared.flags, report_flags, repair_flags, display)


@command(migrate)
def copy(
    shared: Shared,
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    rejects_dir: RejectsDir = Path("rejects"),
    skip_duplicates: Skip = False,
    max_rejects: MaxRejects = None,
    restart: Restart = False,
) -> Action:
    """Load the rows of DynamoDB directly into PostgreSQL. After an interruption, the same command continues."""
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects, restart)
    return lambda display: job.copy(source, shared.flags, load_flags, rejects_dir, display)


@command(migrate)
def replay(
    shared: Shared,
    rejects_dir: RejectsDir,
) -> Action:
    """Load rejected rows whose documents have been corrected in the reject files.

    Rows that still cannot be loaded stay there.
    """
    from actingweb.migration.cli import load as job

    return lambda display: job.replay(rejects_dir, shared.flags, display)
