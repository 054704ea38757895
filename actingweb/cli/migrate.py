"""`actingweb-db migrate`, whose commands `scripts/migrate_dynamodb_to_postgresql.py` and `python -m` run too."""

from pathlib import Path

import typer

from actingweb.cli.format import FORMAT
from actingweb.cli.migrate_options import (
    EXIT_CODES,
    Accepted,
    AnyInputDir,
    Database,
    DeleteExtra,
    Format,
    Host,
    ImportRejects,
    InputDir,
    Json,
    KnownRejects,
    Limit,
    LogLevel,
    MaxRejects,
    OutputDir,
    Page,
    Password,
    Port,
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
    User,
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


@migrate.command(epilog=EXIT_CODES)
def plan(
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    rcu: Rcu = None,
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
    sample_rows: SampleRows = 1000,
    way_back: WayBack = False,
    report: Page = None,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Examine both sides before a migration, and estimate what it takes. Nothing is written.

    Each finding is ok, a warning, or stops you, with what to do.
    """
    from actingweb.migration.cli import plan as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, _SEGMENTS, rcu)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    run("plan", lambda _: job.plan(source, flags, sample_rows, report, writes=way_back, as_json=json), json, log_level)


@migrate.command(epilog=EXIT_CODES)
def export(
    output_dir: OutputDir,
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    resume: Resume = False,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Write the rows of DynamoDB to JSON files."""
    from actingweb.migration.cli import export as job
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    run("export", lambda display: job.export(source, output_dir, resume, display), json, log_level)


@migrate.command("import", epilog=EXIT_CODES)
def import_(
    input_dir: InputDir,
    format_: Format = "files",
    table_prefix: Prefix = None,
    tables: Tables = None,
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
    skip_duplicates: Skip = False,
    max_rejects: MaxRejects = None,
    restart: Restart = False,
    rejects_dir: ImportRejects = None,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Load exported files into PostgreSQL. After an interruption, the same command continues.

    Rows that PostgreSQL cannot store go to the reject files.
    """
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import FilesFlags

    files = FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix, tables)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects, restart)
    run("import", lambda display: job.import_(files, flags, load_flags, rejects_dir, display), json, log_level)


@migrate.command(epilog=EXIT_CODES)
def validate(
    input_dir: AnyInputDir = None,
    format_: Format = "files",
    source: Source = "files",
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
    report: Report = Path("differences.ndjson"),
    limit: Limit = 20,
    show_values: ShowValues = False,
    rejects_dir: KnownRejects = None,
    accept_rejects: Accepted = None,
    repair: Repair = False,
    delete_extra: DeleteExtra = False,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Compare every row and column of PostgreSQL with the files, or with DynamoDB. Write nothing without --repair.

    With --source dynamodb, while a live migration exists, both sides may be in use: what differs is looked at again
    until no change under way can explain it, and --repair lets `sync` make it equal to what the owner of the row has.
    """
    from actingweb.migration.cli import validate as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags

    files = None if input_dir is None else FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix, tables)
    live = None if source == "files" else DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    report_flags = job.ReportFlags(report, limit, show_values, rejects_dir, accept_rejects or ())
    repair_flags = job.RepairFlags(repair, delete_extra)
    run(
        "validate",
        lambda display: job.validate(files, live, flags, report_flags, repair_flags, display),
        json,
        log_level,
    )


@migrate.command(epilog=EXIT_CODES)
def copy(
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = _SEGMENTS,
    rcu: Rcu = None,
    tables: Tables = None,
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
    rejects_dir: RejectsDir = Path("rejects"),
    skip_duplicates: Skip = False,
    max_rejects: MaxRejects = None,
    restart: Restart = False,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Load the rows of DynamoDB directly into PostgreSQL. After an interruption, the same command continues."""
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, segments, rcu, tables)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects, restart)
    run("copy", lambda display: job.copy(source, flags, load_flags, rejects_dir, display), json, log_level)


@migrate.command(epilog=EXIT_CODES)
def replay(
    rejects_dir: RejectsDir,
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
    json: Json = False,
    log_level: LogLevel = "WARNING",
) -> None:
    """Load rejected rows whose documents have been corrected in the reject files.

    Rows that still cannot be loaded stay there.
    """
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run

    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    run("replay", lambda display: job.replay(rejects_dir, flags, display), json, log_level)
