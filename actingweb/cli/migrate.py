"""`actingweb-db migrate`, whose commands `scripts/migrate_dynamodb_to_postgresql.py` and `python -m` run too."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from actingweb.cli.format import FORMAT

__all__ = ["migrate"]

_ABOUT = (
    "Move ActingWeb data from DynamoDB to PostgreSQL.\n\n"
    "Options win over the environment, and that over a file .env in the working directory or above. Settings: "
    "AWS_DB_PREFIX, "
    "AWS_DB_HOST, AWS_DEFAULT_REGION, AWS_REGION, PG_DB_HOST, PG_DB_PORT, PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD, "
    "PG_DB_URL, PG_DB_PREFIX, PG_DB_SCHEMA, INDEXED_PROPERTIES."
)
_EXIT_CODES = (
    "Exit codes: 0 success · 2 wrong usage or settings · 3 rows were rejected · 4 differences were found · "
    "6 the source cannot be read · 7 the target cannot be written or read · 130 interrupted."
)

_SEGMENTS = 4
migrate = typer.Typer(help=_ABOUT, epilog=_EXIT_CODES, **FORMAT)


_OutputDir = Annotated[
    Path, typer.Option(help="The directory for the files; created if missing, private to its owner.")
]
_InputDir = Annotated[Path, typer.Option(help="The directory with the exported files.")]
_AnyInputDir = Annotated[
    Path | None, typer.Option(help="The directory with the exported files, unless --source is dynamodb.")
]
_Profile = Annotated[str | None, typer.Option(help="Profile of the AWS configuration. Default: the default profile.")]
_Prefix = Annotated[str | None, typer.Option(help="Prefix of the tables, such as prod_. Default: AWS_DB_PREFIX.")]
_Segments = Annotated[int, typer.Option(min=1, max=1024, help="Number of segments of the parallel scan of each table.")]
_Rcu = Annotated[
    float | None, typer.Option(min=1, help="Read capacity units per second to consume. Default: no limit.")
]
_Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted export.")]
_Host = Annotated[str | None, typer.Option(help="Host of the PostgreSQL server. Default: PG_DB_HOST.")]
_Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the server. Default: PG_DB_PORT.")]
_Database = Annotated[str | None, typer.Option(help="Name of the database. Default: PG_DB_NAME.")]
_User = Annotated[str | None, typer.Option(help="User to log in as. Default: PG_DB_USER.")]
_Password = Annotated[
    str | None,
    typer.Option(
        help="Prefer PG_DB_PASSWORD, or type the password when asked: until the tool has started, which takes a "
        "moment, other users of the machine can see this option in the list of processes.",
        show_default=False,
    ),
]
_RejectsDir = Annotated[
    Path,
    typer.Option(help="The directory of the reject files, TABLE.ndjson."),
]
_ImportRejects = Annotated[
    Path | None, typer.Option("--rejects-dir", help="The directory for the reject files. Default: INPUT_DIR/rejects.")
]
_KnownRejects = Annotated[
    Path | None,
    typer.Option("--rejects-dir", help="The import's reject files. Default: INPUT_DIR/rejects."),
]
_Format = Annotated[
    Literal["files", "dynamodb-export"],
    typer.Option(
        "--format", help="What the directory contains: one file per table, or copies of exports of DynamoDB to S3."
    ),
]
_Skip = Annotated[bool, typer.Option("--skip-duplicates", help="Keep existing rows that have the same key.")]
_MaxRejects = Annotated[int | None, typer.Option(min=0, help="Stop when a table has more rejected rows than this.")]
_SampleRows = Annotated[int, typer.Option(min=8, help="How many rows of each table to examine.")]
_WayBack = Annotated[
    bool,
    typer.Option(
        "--way-back", help="Also try whether the credentials allow writing to DynamoDB, which the way back needs."
    ),
]
_Source = Annotated[
    Literal["files", "dynamodb"], typer.Option(help="What to compare PostgreSQL with: files or the live tables.")
]
_Report = Annotated[Path, typer.Option(help="The file to write all differences to, one JSON object per line.")]
_Limit = Annotated[int, typer.Option(min=0, help="How many differences to print.")]
_ShowValues = Annotated[bool, typer.Option("--show-values", help="Also print and report the values that differ.")]
_Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as one JSON object, and nothing else, to stdout.")
]
_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    typer.Option(case_sensitive=False, help="The lowest level to log to stderr."),
]


@migrate.command(epilog=_EXIT_CODES)
def plan(
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    rcu: _Rcu = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    sample_rows: _SampleRows = 1000,
    way_back: _WayBack = False,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Examine both sides before a migration, and estimate what it takes. Nothing is written.

    Each finding is ok, a warning, or stops you, with what to do.
    """
    from actingweb.migration.cli import plan as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, table_prefix, _SEGMENTS, rcu)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    run("plan", lambda _: job.plan(source, flags, sample_rows, writes=way_back, as_json=json), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def export(
    output_dir: _OutputDir,
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS,
    rcu: _Rcu = None,
    resume: _Resume = False,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Write the rows of DynamoDB to JSON files."""
    from actingweb.migration.cli import export as job
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    run("export", lambda display: job.export(source, output_dir, resume, display), json, log_level)


@migrate.command("import", epilog=_EXIT_CODES)
def import_(
    input_dir: _InputDir,
    format_: _Format = "files",
    table_prefix: _Prefix = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    skip_duplicates: _Skip = False,
    max_rejects: _MaxRejects = None,
    rejects_dir: _ImportRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load exported files into PostgreSQL. After an interruption, the same command continues.

    Rows that PostgreSQL cannot store go to the reject files.
    """
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import FilesFlags

    files = FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects)
    run("import", lambda display: job.import_(files, flags, load_flags, rejects_dir, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def validate(
    input_dir: _AnyInputDir = None,
    format_: _Format = "files",
    source: _Source = "files",
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS,
    rcu: _Rcu = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    report: _Report = Path("differences.ndjson"),
    limit: _Limit = 20,
    show_values: _ShowValues = False,
    rejects_dir: _KnownRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Compare every row and column of PostgreSQL with the files, or with DynamoDB."""
    from actingweb.migration.cli import validate as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags, FilesFlags

    files = None if input_dir is None else FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix)
    tables = None if source == "files" else DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    report_flags = job.ReportFlags(report, limit, show_values, rejects_dir)
    run("validate", lambda display: job.validate(files, tables, flags, report_flags, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def copy(
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS,
    rcu: _Rcu = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    rejects_dir: _RejectsDir = Path("rejects"),
    skip_duplicates: _Skip = False,
    max_rejects: _MaxRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load the rows of DynamoDB directly into PostgreSQL. After an interruption, the same command continues."""
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    load_flags = job.LoadFlags(skip_duplicates, max_rejects)
    run("copy", lambda display: job.copy(source, flags, load_flags, rejects_dir, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def replay(
    rejects_dir: _RejectsDir,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load rejected rows whose documents have been corrected in the reject files.

    Rows that still cannot be loaded stay there.
    """
    from actingweb.migration.cli import load as job
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.run import run

    flags = PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    run("replay", lambda display: job.replay(rejects_dir, flags, display), json, log_level)
